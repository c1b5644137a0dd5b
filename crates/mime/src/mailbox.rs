//! Lists of addresses, as From, To and their kin have them (RFC 5322 section 3.4).

use mail_builder::headers::Header as _;
use mail_builder::headers::address::Address as Built;
use mail_parser::{Addr, Address as Parsed, HeaderForm, MessageParser};

use crate::error::Error;

/// Bytes of a header that are taken apart. More are refused: the search for the end of an encoded word that has none
/// begins again at each.
const LONGEST: usize = 64 * 1024;

/// One address with the name in front of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mailbox {
    /// As people read it: decoded, without quotes.
    pub name: Option<String>,
    /// In front of the `@`.
    pub local_part: String,
    /// Behind it.
    pub domain: String,
}

/// What an address list consists of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Address {
    /// One address.
    Mailbox(Mailbox),
    /// Several under a name; also none, as in `undisclosed-recipients:;`.
    Group {
        /// The name in front of the colon.
        name: String,
        /// Who is in it.
        entries: Vec<Mailbox>,
    },
}

/// The addresses of a header.
///
/// # Errors
/// When there is none, or something that is none; the text names the header.
pub fn addresses(name: &str, raw: &[u8]) -> Result<Vec<Address>, Error> {
    if raw.len() > LONGEST {
        return Err(Error::value(format!("{name} is longer than the {LONGEST} bytes of addresses that are read")));
    }
    let found = match read(raw) {
        Some(Parsed::List(list)) => list.iter().map(|one| mailbox(name, one).map(Address::Mailbox)).collect(),
        Some(Parsed::Group(groups)) => {
            let mut found = Vec::new();
            for group in &groups {
                let entries = group.addresses.iter().map(|one| mailbox(name, one)).collect::<Result<Vec<_>, _>>()?;
                match &group.name {
                    Some(called) => {
                        one_line(name, called)?;
                        found.push(Address::Group { name: called.to_string(), entries });
                    }
                    None => found.extend(entries.into_iter().map(Address::Mailbox)),
                }
            }
            Ok(found)
        }
        None => Ok(Vec::new()),
    }?;
    if found.is_empty() {
        return Err(Error::value(format!("{name} holds no address")));
    }
    Ok(found)
}

/// The addresses of a header with the names in front of them, groups taken apart, whatever they are; what is none is left
/// out, and so is a header that is longer than anybody writes.
pub fn emails(raw: &[u8]) -> Vec<(Option<String>, String)> {
    let found = Some(raw).filter(|raw| raw.len() <= LONGEST).and_then(read).map(Parsed::into_list).unwrap_or_default();
    let email = |one: Addr<'_>| Some((one.name.map(|name| name.into_owned()), one.address?.into_owned()));
    found.into_iter().filter_map(email).collect()
}

fn read(raw: &[u8]) -> Option<Parsed<'static>> {
    let section = [b"X: ", raw.trim_ascii(), b"\r\n\r\n"].concat();
    let parsed = MessageParser::new().header_address("X").parse_headers(&section[..])?;
    let value = parsed.header_as("X", HeaderForm::GroupedAddresses).into_iter().next()?;
    value.into_address().map(Parsed::into_owned)
}

fn mailbox(header: &str, one: &Addr<'_>) -> Result<Mailbox, Error> {
    let text = one.address.as_deref().or(one.name.as_deref()).unwrap_or_default();
    let parts = one.address.as_deref().and_then(|email| email.rsplit_once('@'));
    let (local_part, domain) = parts.ok_or_else(|| no_address(header, text))?;
    let found =
        Mailbox { name: one.name.as_deref().map(str::to_owned), local_part: local_part.into(), domain: domain.into() };
    found.check(header)?;
    Ok(found)
}

fn no_address(header: &str, text: &str) -> Error {
    Error::value(format!("{header}: '{}' is no address such as user@domain", text.escape_debug()))
}

impl Mailbox {
    fn email(&self) -> String {
        format!("{}@{}", self.local_part, self.domain)
    }

    fn check(&self, header: &str) -> Result<(), Error> {
        // What stands in quotes may hold anything else; we write none of it.
        let wrong = |c: char| c.is_control() || c.is_whitespace() || "<>(),;:\"\\@".contains(c);
        let literal = self.domain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let domain = literal.map_or_else(|| self.domain.clone(), |literal| literal.replace(':', ""));
        let is_wrong = |part: &str| part.is_empty() || part.contains(wrong);
        if is_wrong(&self.local_part) || is_wrong(&domain) {
            return Err(no_address(header, &self.email()));
        }
        one_line(header, self.name.as_deref().unwrap_or_default())
    }

    fn built(&self) -> Built<'_> {
        Built::new_address(self.name.as_deref().filter(|name| !name.is_empty()), self.email())
    }
}

fn one_line(header: &str, name: &str) -> Result<(), Error> {
    if name.contains(['\r', '\n', '\0']) {
        return Err(Error::value(format!(
            "{header}: the name '{}' has a line end or a NUL in it, and what follows could be read as a header of its own",
            name.escape_debug()
        )));
    }
    Ok(())
}

/// The header's value, folded, names beyond ASCII as encoded words.
///
/// # Errors
/// When one of them is no address, or a name has a line end in it.
pub fn render_addresses(name: &str, addresses: &[Address]) -> Result<String, Error> {
    let mut built = Vec::with_capacity(addresses.len());
    for address in addresses {
        match address {
            Address::Mailbox(mailbox) => {
                mailbox.check(name)?;
                built.push(mailbox.built());
            }
            Address::Group { name: group, entries } => {
                one_line(name, group)?;
                entries.iter().try_for_each(|mailbox| mailbox.check(name))?;
                built.push(Built::new_group(Some(group.as_str()), entries.iter().map(Mailbox::built).collect()));
            }
        }
    }
    if built.is_empty() {
        return Err(Error::value(format!("{name} holds no address")));
    }
    let mut out = Vec::new();
    Built::new_list(built).write_header(&mut out, name.len() + 2);
    let text = String::from_utf8(out).map_err(|error| Error::value(format!("{name}: {error}")))?;
    Ok(text.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: Option<&str>, local_part: &str, domain: &str) -> Mailbox {
        Mailbox { name: name.map(str::to_owned), local_part: local_part.into(), domain: domain.into() }
    }

    #[test]
    fn mailboxes_and_groups_come_apart_and_read_back() {
        let raw = " =?utf-8?q?J=C3=BCrgen?= <j@Example.com>,\r\n \"A, B\" <a@x.example>, The A Team: b@y, c@z;, d@[192.0.2.1]\r\n";
        let found = addresses("To", raw.as_bytes()).unwrap();
        let team =
            Address::Group { name: "The A Team".into(), entries: vec![one(None, "b", "y"), one(None, "c", "z")] };
        let expected = [
            Address::Mailbox(one(Some("Jürgen"), "j", "Example.com")),
            Address::Mailbox(one(Some("A, B"), "a", "x.example")),
            team,
            Address::Mailbox(one(None, "d", "[192.0.2.1]")),
        ];
        assert_eq!(found, expected);
        let written = render_addresses("To", &found).unwrap();
        assert!(written.is_ascii() && written.split("\r\n").all(|line| line.len() <= 78), "{written}");
        assert_eq!(addresses("To", written.as_bytes()).unwrap(), expected);
        let nobody = addresses("To", b"undisclosed-recipients:;").unwrap();
        assert_eq!(nobody, [Address::Group { name: "undisclosed-recipients".into(), entries: vec![] }]);
    }

    #[test]
    fn what_is_no_address_is_refused_with_its_text() {
        for wrong in ["", "somebody", "a@", "@b", "Name <>", ","] {
            let error = addresses("From", wrong.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with("From"), "{wrong}: {error}");
        }
        assert_eq!(
            addresses("From", b"somebody").unwrap_err().to_string(),
            "From: 'somebody' is no address such as user@domain"
        );
        for (named, name) in [("\0A <a@b>", "\\0A"), ("\0Team: a@b;", "\\0Team")] {
            let error = addresses("To", named.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with("To: the name") && error.contains(name), "{error}");
        }
        let long = "a@b, ".repeat(20_000);
        assert!(addresses("To", long.as_bytes()).unwrap_err().to_string().contains("longer than"));
    }

    #[test]
    fn nothing_is_smuggled_in_by_a_part_of_an_address() {
        for evil in [
            one(Some("x\r\nBcc: y@z"), "a", "b"),
            one(None, "a\r\nBcc: y", "b"),
            one(None, "a", "b>\r\n"),
            one(None, "a b", "c"),
            one(None, "a", "b, c@d"),
        ] {
            assert!(render_addresses("To", &[Address::Mailbox(evil.clone())]).is_err(), "{evil:?}");
        }
        let group = Address::Group { name: "x\nBcc: y@z".into(), entries: vec![] };
        assert!(render_addresses("To", &[group]).is_err());
    }
}
