use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// An envelope address (RFC 5321 section 4.1.2, RFC 6531): `local@domain`, the null sender, or `postmaster`.
///
/// The text is kept as it came, without angle brackets.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EnvelopeAddress {
    text: Box<str>,
    /// Where the `@` stands; the length of the text where there is none.
    at: usize,
}

/// Why a text is no envelope address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// There is no `@` behind the local part.
    #[error("an address needs a domain: local@domain")]
    NoDomain,
    /// The local part has characters that need quotes, or dots in the wrong places.
    #[error("the local part of the address is not valid")]
    Local,
    /// The domain is neither a name nor a literal such as `[192.0.2.1]`.
    #[error("the domain of the address is not valid")]
    Domain,
    /// Longer than 64 bytes before or 255 behind the `@` (RFC 5321 section 4.5.3.1).
    #[error("the address is too long")]
    TooLong,
}

impl EnvelopeAddress {
    /// The null sender, `<>`.
    pub fn null_sender() -> Self {
        EnvelopeAddress { text: "".into(), at: 0 }
    }

    /// True for `<>`.
    pub fn is_null(&self) -> bool {
        self.text.is_empty()
    }

    /// The whole address, `""` for the null sender.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The part before the `@`, quotes included.
    pub fn user(&self) -> &str {
        &self.text[..self.at]
    }

    /// The part behind the `@`; `None` for the null sender and a bare `postmaster`.
    pub fn domain(&self) -> Option<&str> {
        self.text.get(self.at + 1..)
    }
}

impl FromStr for EnvelopeAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.is_empty() {
            return Ok(EnvelopeAddress::null_sender());
        }
        if text.eq_ignore_ascii_case("postmaster") {
            return Ok(EnvelopeAddress { text: text.into(), at: text.len() });
        }
        let at = local_part(text)?;
        let domain = text.get(at + 1..).ok_or(AddressError::NoDomain)?;
        if at > 64 || domain.len() > 255 {
            return Err(AddressError::TooLong);
        }
        if !valid_domain(domain) {
            return Err(AddressError::Domain);
        }
        Ok(EnvelopeAddress { text: text.into(), at })
    }
}

/// The place of the `@` that ends a valid local part: a dot-string or a quoted string.
fn local_part(text: &str) -> Result<usize, AddressError> {
    let bytes = text.as_bytes();
    if bytes[0] == b'"' {
        let mut i = 1;
        while i < bytes.len() {
            match bytes[i] {
                // A quoted pair (RFC 5321 section 4.1.2): a backslash does not make a control character good. Line ends
                // above all, which would begin another command where the address is sent on.
                b'\\' => match bytes.get(i + 1) {
                    Some(0..=31 | 127) | None => return Err(AddressError::Local),
                    Some(_) => i += 1,
                },
                b'"' => {
                    return if bytes.get(i + 1) == Some(&b'@') { Ok(i + 1) } else { Err(AddressError::NoDomain) };
                }
                0..=31 | 127 => return Err(AddressError::Local),
                _ => {}
            }
            i += 1;
        }
        return Err(AddressError::Local);
    }
    let at = text.find('@').ok_or(AddressError::NoDomain)?;
    let local = &text[..at];
    if local.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(is_atext)) {
        Ok(at)
    } else {
        Err(AddressError::Local)
    }
}

/// RFC 5322 section 3.2.3, and everything beyond ASCII (RFC 6531 section 3.3).
fn is_atext(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte) || byte >= 128
}

fn valid_domain(domain: &str) -> bool {
    if let Some(literal) = domain.strip_prefix('[') {
        let Some(inner) = literal.strip_suffix(']') else { return false };
        return match inner.get(..5) {
            Some(tag) if tag.eq_ignore_ascii_case("IPv6:") => inner[5..].parse::<std::net::Ipv6Addr>().is_ok(),
            _ => inner.parse::<std::net::Ipv4Addr>().is_ok(),
        };
    }
    // Underscores are not letters of a host name, yet queue domains such as NAME.log_hook rely on them.
    let label_ok = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_' || b >= 128)
    };
    !domain.is_empty() && domain.strip_suffix('.').unwrap_or(domain).split('.').all(label_ok)
}

impl fmt::Display for EnvelopeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for EnvelopeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.text)
    }
}

impl Serialize for EnvelopeAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for EnvelopeAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_split_at_the_right_at_sign() {
        for (text, user, domain) in [
            ("a@example.com", "a", Some("example.com")),
            ("\"a b\"@example.com", "\"a b\"", Some("example.com")),
            ("\"a@b\"@example.com", "\"a@b\"", Some("example.com")),
            (r#""a\ \"b\\"@example.com"#, r#""a\ \"b\\""#, Some("example.com")),
            ("josé@bücher.example", "josé", Some("bücher.example")),
            ("a+tag.x@[192.0.2.1]", "a+tag.x", Some("[192.0.2.1]")),
            ("a@[IPv6:2001:db8::1]", "a", Some("[IPv6:2001:db8::1]")),
            ("Postmaster", "Postmaster", None),
            ("", "", None),
        ] {
            let address: EnvelopeAddress = text.parse().unwrap();
            assert_eq!((address.user(), address.domain(), address.as_str()), (user, domain, text));
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "nodomain",
            "@x.example",
            "a@",
            "a b@x",
            "a..b@x",
            ".a@x",
            "a@-x",
            "a@x..y",
            "\"a@x",
            "a@[1.2.3]",
            "a@b@c",
            "a\r\n@x",
            "\"a\\\r\nRCPT TO:<b@y>\"@x",
            "\"a\\\n\"@x",
            "\"a\\\0\"@x",
            "\"a\\\x7f\"@x",
            "\"a\\",
            "\"a\\\"@x",
        ] {
            assert!(text.parse::<EnvelopeAddress>().is_err(), "{text}");
        }
        assert_eq!(format!("{}@x", "a".repeat(65)).parse::<EnvelopeAddress>(), Err(AddressError::TooLong));
    }
}
