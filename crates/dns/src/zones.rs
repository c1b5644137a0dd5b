use crate::name::{ascii, reverse};
use crate::{Answer, LookupError, Mx, Resolver, Tlsa};
use futures::FutureExt;
use futures::future::BoxFuture;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// A resolver that answers out of zone files and asks nobody: for tests, and for policies that want to be tested
/// without the network. A name that stands in no zone does not exist.
///
/// It reads the records that mail needs (A, AAAA, CNAME, MX, PTR, TLSA, TXT), `$ORIGIN`, `$TTL`, `@`, comments, owners left
/// out; times and the class may be left out or stand there. Other types are passed over. `$SECURE` is our own: DNSSEC vouches
/// for the names that stand below it in a zone, as far as those go who ask for that ([`Resolver::validated`]).
#[derive(Clone, Debug, Default)]
pub struct Zones {
    records: BTreeMap<String, Vec<Data>>,
    failing: BTreeSet<String>,
    /// Names that DNSSEC vouches for.
    secure: BTreeSet<String>,
    validating: bool,
}

/// A line of a zone file that says nothing.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("zone {zone}, line {line}: {why}")]
pub struct ZoneError {
    /// Which zone, counted from 1.
    pub zone: usize,
    /// Which line, counted from 1.
    pub line: usize,
    /// What is wrong.
    pub why: String,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Data {
    V4(Ipv4Addr),
    V6(Ipv6Addr),
    Cname(String),
    Mx(Mx),
    Ptr(String),
    Txt(Vec<u8>),
    Tlsa(Tlsa),
    /// Of a type that nobody asks for here; its name exists.
    Other,
}

/// CNAMEs that lead on for longer than this lead nowhere.
const LONGEST_CHAIN: usize = 8;

impl Zones {
    /// Reads zone files.
    ///
    /// # Errors
    /// A line that cannot be read.
    pub fn parse<'a>(zones: impl IntoIterator<Item = &'a str>) -> Result<Self, ZoneError> {
        let mut all = Zones::default();
        for (index, zone) in zones.into_iter().enumerate() {
            let mut reading = Reading::default();
            for (number, line) in zone.lines().enumerate() {
                all.read(line, &mut reading).map_err(|why| ZoneError { zone: index + 1, line: number + 1, why })?;
            }
        }
        Ok(all)
    }

    /// Every question about this name fails.
    #[must_use]
    pub fn failing(mut self, name: &str) -> Self {
        self.failing.insert(name.to_ascii_lowercase());
        self
    }

    fn read(&mut self, line: &str, Reading { origin, owner, secure }: &mut Reading) -> Result<(), String> {
        let mut words = words(line);
        if words.is_empty() {
            return Ok(());
        }
        match words[0].as_str() {
            "$ORIGIN" => {
                let name = words.get(1).ok_or("$ORIGIN without a name")?;
                *origin = absolute(name, origin)?;
                return Ok(());
            }
            "$TTL" => return Ok(()),
            "$SECURE" => {
                *secure = true;
                return Ok(());
            }
            _ => {}
        }
        // The owner is left out where the line begins with a type, a class or a time; indentation alone proves
        // nothing, as zones are written indented in scripts.
        if !is_type(&words[0]) && !is_class(&words[0]) && !is_time(&words[0]) || words.len() > 1 && words[0] == "@" {
            *owner = absolute(&words.remove(0), origin)?;
        }
        while words.first().is_some_and(|word| is_class(word) || is_time(word)) {
            words.remove(0);
        }
        if words.is_empty() {
            return Err("a record needs a type".into());
        }
        let kind = words.remove(0).to_ascii_uppercase();
        let data = data(&kind, &words, origin)?;
        if *secure {
            self.secure.insert(owner.clone());
        }
        self.records.entry(owner.clone()).or_default().push(data);
        Ok(())
    }

    /// Records behind CNAMEs, picked by type.
    fn look<T>(&self, name: &str, pick: impl Fn(&Data) -> Option<T>) -> Result<Answer<T>, LookupError> {
        let mut name = ascii(name)?;
        let mut secure = self.validating;
        for _ in 0..LONGEST_CHAIN {
            if self.failing.contains(&name) {
                return Err(LookupError::Failed(format!("no server answered for {name}")));
            }
            let Some(all) = self.records.get(&name) else {
                let below = format!(".{name}");
                let exists = self.records.keys().any(|known| known.ends_with(&below));
                return Ok(if exists { Answer::empty() } else { Answer::no_such_name() });
            };
            secure &= self.secure.contains(&name);
            let found: Vec<T> = all.iter().filter_map(&pick).collect();
            let next = all.iter().find_map(|data| if let Data::Cname(next) = data { Some(next) } else { None });
            match next {
                Some(next) if found.is_empty() => name.clone_from(next),
                _ => return Ok(Answer::of(found).secured(secure)),
            }
        }
        Err(LookupError::Failed(format!("the CNAMEs of {name} lead nowhere")))
    }
}

/// Where one is in a zone file.
#[derive(Default)]
struct Reading {
    origin: String,
    owner: String,
    secure: bool,
}

fn is_class(word: &str) -> bool {
    ["IN", "CH", "HS"].iter().any(|class| word.eq_ignore_ascii_case(class))
}

fn is_time(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit())
        && word.trim_end_matches(['s', 'm', 'h', 'd', 'w']).parse::<u32>().is_ok()
}

fn is_type(word: &str) -> bool {
    const TYPES: &[&str] = &["A", "AAAA", "CNAME", "MX", "PTR", "TXT", "SOA", "NS", "SRV", "TLSA", "CAA"];
    TYPES.contains(&word)
}

/// The words of a line; text between quotes is one word, and a `;` outside of them begins a comment.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            '\\' if quoted => word.get_or_insert_default().extend(chars.next()),
            ';' if !quoted => break,
            c if c.is_whitespace() && !quoted => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

fn absolute(name: &str, origin: &str) -> Result<String, String> {
    let whole = match (name, origin) {
        ("@", "") => return Err("@ without an $ORIGIN".into()),
        ("@", origin) => return Ok(origin.to_owned()),
        (".", _) => return Ok(String::new()),
        (name, origin) if !name.ends_with('.') && !origin.is_empty() => format!("{name}.{origin}"),
        (name, _) => name.to_owned(),
    };
    ascii(&whole).map_err(|error| error.to_string())
}

fn data(kind: &str, words: &[String], origin: &str) -> Result<Data, String> {
    let word = |index: usize| words.get(index).map(String::as_str).ok_or_else(|| format!("{kind} without its data"));
    let wrong = |what: &str| format!("{kind}: {what:?} cannot be read");
    Ok(match kind {
        "A" => Data::V4(word(0)?.parse().map_err(|_| wrong(&words[0]))?),
        "AAAA" => Data::V6(word(0)?.parse().map_err(|_| wrong(&words[0]))?),
        "CNAME" => Data::Cname(absolute(word(0)?, origin)?),
        "PTR" => Data::Ptr(absolute(word(0)?, origin)?),
        "MX" => Data::Mx(Mx {
            preference: word(0)?.parse().map_err(|_| wrong(&words[0]))?,
            exchange: absolute(word(1)?, origin)?,
        }),
        "TXT" => {
            word(0)?;
            Data::Txt(words.concat().into_bytes())
        }
        "TLSA" => {
            let number = |index: usize| word(index)?.parse().map_err(|_| wrong(&words[index]));
            let (usage, selector, matching) = (number(0)?, number(1)?, number(2)?);
            word(3)?;
            let data = hex(&words[3..].concat()).ok_or_else(|| wrong(&words[3]))?;
            Data::Tlsa(Tlsa { usage, selector, matching, data })
        }
        _ if is_type(kind) => Data::Other,
        _ => return Err(format!("{kind} is not a type of record known here")),
    })
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16)?.try_into().ok()).collect();
    let digits = digits.filter(|digits| digits.len().is_multiple_of(2))?;
    Some(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

impl Resolver for Zones {
    fn mx<'a>(&'a self, domain: &'a str) -> BoxFuture<'a, Result<Answer<Mx>, LookupError>> {
        let pick = |data: &Data| if let Data::Mx(mx) = data { Some(mx.clone()) } else { None };
        async move { self.look(domain, pick) }.boxed()
    }

    fn ipv4<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<Answer<Ipv4Addr>, LookupError>> {
        let pick = |data: &Data| if let Data::V4(address) = data { Some(*address) } else { None };
        async move { self.look(host, pick) }.boxed()
    }

    fn ipv6<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<Answer<Ipv6Addr>, LookupError>> {
        let pick = |data: &Data| if let Data::V6(address) = data { Some(*address) } else { None };
        async move { self.look(host, pick) }.boxed()
    }

    fn txt<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Answer<Vec<u8>>, LookupError>> {
        let pick = |data: &Data| if let Data::Txt(text) = data { Some(text.clone()) } else { None };
        async move { self.look(name, pick) }.boxed()
    }

    fn tlsa<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Answer<Tlsa>, LookupError>> {
        let pick = |data: &Data| if let Data::Tlsa(tlsa) = data { Some(tlsa.clone()) } else { None };
        async move { self.look(name, pick) }.boxed()
    }

    fn validated(&self) -> Arc<dyn Resolver> {
        Arc::new(Zones { validating: true, ..self.clone() })
    }

    fn ptr(&self, address: IpAddr) -> BoxFuture<'_, Result<Answer<String>, LookupError>> {
        let pick = |data: &Data| if let Data::Ptr(name) = data { Some(name.clone()) } else { None };
        async move { self.look(&reverse(address), pick) }.boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance;

    #[tokio::test]
    async fn the_zones_keep_the_contract() {
        conformance::check(&Zones::parse([conformance::ZONE]).unwrap()).await;
    }

    #[tokio::test]
    async fn names_below_secure_are_vouched_for_to_those_who_ask_for_that() {
        let zones = Zones::parse(["plain.example. A 192.0.2.1
             $SECURE
             signed.example. A 192.0.2.2
             there.example. CNAME signed.example.
             away.example. CNAME plain.example."]);
        let (zones, mut secure) = (zones.unwrap(), Vec::new());
        let validated = zones.validated();
        for name in ["plain", "signed", "there", "away"] {
            let name = format!("{name}.example");
            assert!(!zones.ipv4(&name).await.unwrap().secure, "{name}");
            secure.push(validated.ipv4(&name).await.unwrap().secure);
        }
        assert_eq!(secure, [false, true, true, false]);
    }

    #[test]
    fn a_line_that_says_nothing_is_named() {
        for (zone, why) in [
            ("a.example. A 1.2.3", "A: \"1.2.3\" cannot be read"),
            ("a.example. MX 10", "MX without its data"),
            ("a.example.", "a record needs a type"),
            ("a.example. 30 IN PIGEON x", "PIGEON is not a type of record known here"),
            ("@ A 1.2.3.4", "@ without an $ORIGIN"),
            ("a.example. TLSA 3 1 1", "TLSA without its data"),
            ("a.example. TLSA 3 1 300 ab", "TLSA: \"300\" cannot be read"),
            ("a.example. TLSA 3 1 1 abc", "TLSA: \"abc\" cannot be read"),
        ] {
            let error = Zones::parse(["; fine", &format!("\n{zone}")]).unwrap_err();
            assert_eq!(error, ZoneError { zone: 2, line: 2, why: why.into() });
        }
    }
}
