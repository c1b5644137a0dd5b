//! XCLIENT: a trusted proxy or test says in whose name it speaks.

use super::Ends;
use super::reply::Reply;
use super::session::{Session, State};
use serde_json::Value as Json;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// What a client may tell us.
pub(super) const OFFER: &str = "XCLIENT ADDR PORT DESTADDR DESTPORT";

impl Session {
    /// The ends of the connection are from here on what the client says; everything else begins anew.
    pub(super) async fn xclient(&mut self, attributes: &str) -> Result<Reply, Reply> {
        if !self.may_xclient {
            return Err(Reply::new(550, format!("5.7.0 XCLIENT is not for {}", self.ends.peer)));
        }
        if self.transaction().is_some() {
            return Err(Reply::new(503, "5.5.0 a transaction is under way, RSET would end it"));
        }
        let ends = read(attributes, self.ends)?;
        self.reintroduce(ends).await.map_err(Reply::closing)?;
        Ok(self.greeting())
    }

    /// The client is somebody else now: what is known of the one before is forgotten, and the listener's parameters are
    /// those for this one.
    ///
    /// # Errors
    /// The last word to it, when policy does not want it.
    pub(super) async fn reintroduce(&mut self, ends: Ends) -> Result<(), Reply> {
        self.state = State::Fresh;
        self.hello.clear();
        self.extended = false;
        self.authz = None;
        for name in ["ehlo_domain", "authn_id", "authz_id", "auth_info"] {
            self.set_meta(name, Json::Null);
        }
        if self.ends != ends {
            self.remember_original(self.real);
            self.ends = ends;
            // What the listener says of the one before does not go with the mail of the other.
            let before: Vec<String> = self.params.meta.keys().cloned().collect();
            before.iter().for_each(|name| self.set_meta(name, Json::Null));
            self.params = self.shared.config.params_for(ends.peer.ip(), ends.via.ip());
            for (name, value) in &self.params.meta {
                self.set_meta(name, value.clone());
            }
            self.predefine();
            self.ask_for_parameters().await?;
        }
        Ok(())
    }
}

/// `ADDR=… PORT=…` over what is there.
fn read(attributes: &str, mut ends: Ends) -> Result<Ends, Reply> {
    let bad = |what: &str| Reply::new(501, format!("5.5.4 XCLIENT: cannot make sense of {what}"));
    let mut words = attributes.split(' ').filter(|word| !word.is_empty()).peekable();
    if words.peek().is_none() {
        return Err(Reply::syntax());
    }
    for word in words {
        let (name, value) = word.split_once('=').ok_or_else(|| bad(word))?;
        let name = name.to_ascii_uppercase();
        let value = from_xtext(value).ok_or_else(|| bad(&name))?;
        // What the proxy does not know stays as it is.
        let known = !matches!(value.to_ascii_uppercase().as_str(), "[UNAVAILABLE]" | "[TEMPUNAVAIL]");
        let end = match name.as_str() {
            "ADDR" | "PORT" => &mut ends.peer,
            "DESTADDR" | "DESTPORT" => &mut ends.via,
            _ => return Err(bad(&name)),
        };
        if name.ends_with("ADDR") {
            let ip = if known { address(&value).ok_or_else(|| bad(&name))? } else { end.ip() };
            *end = SocketAddr::new(ip, end.port());
        } else if known {
            end.set_port(value.parse().map_err(|_| bad(&name))?);
        }
    }
    Ok(Ends::new(ends.peer, ends.via))
}

/// An address, an IPv6 one with or without its prefix.
fn address(text: &str) -> Option<IpAddr> {
    match text.get(..5) {
        Some(prefix) if prefix.eq_ignore_ascii_case("IPV6:") => text[5..].parse::<Ipv6Addr>().ok().map(IpAddr::from),
        _ => text.parse().ok(),
    }
}

/// RFC 3461 section 4: `+` and two hexadecimal digits stand for a byte.
fn from_xtext(text: &str) -> Option<String> {
    let mut parts = text.split('+');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends() -> Ends {
        Ends::new("127.0.0.1:1000".parse().unwrap(), "127.0.0.2:25".parse().unwrap())
    }

    #[test]
    fn attributes_replace_what_they_name() {
        for (attributes, peer, via) in [
            ("ADDR=192.0.2.1", "192.0.2.1:1000", "127.0.0.2:25"),
            ("addr=192.0.2.1 port=7", "192.0.2.1:7", "127.0.0.2:25"),
            ("PORT=7  ADDR=IPV6:2001:db8::1", "[2001:db8::1]:7", "127.0.0.2:25"),
            ("ADDR=::ffff:192.0.2.1", "192.0.2.1:1000", "127.0.0.2:25"),
            ("ADDR=192+2E0.2.1", "192.0.2.1:1000", "127.0.0.2:25"),
            ("DESTADDR=192.0.2.2 DESTPORT=587", "127.0.0.1:1000", "192.0.2.2:587"),
            ("ADDR=[UNAVAILABLE] PORT=[tempunavail]", "127.0.0.1:1000", "127.0.0.2:25"),
        ] {
            let expected = Ends::new(peer.parse().unwrap(), via.parse().unwrap());
            assert_eq!(read(attributes, ends()), Ok(expected), "{attributes}");
        }
    }

    #[test]
    fn nonsense_is_refused_as_a_whole() {
        for attributes in [
            "",
            "ADDR",
            "ADDR=",
            "ADDR=host.example",
            "ADDR=IPV6:192.0.2.1",
            "PORT=65536",
            "PORT=x",
            "ADDR=192.0.2.1 LOGIN=root",
            "NAME=x",
            "ADDR=+",
            "ADDR=+x",
            "ADDR=+zz",
            "ADDR=+ff",
            "ADDR=é",
        ] {
            assert_eq!(read(attributes, ends()).unwrap_err().code, 501, "{attributes}");
        }
    }
}
