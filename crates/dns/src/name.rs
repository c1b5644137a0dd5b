//! Names as they are compared: ASCII, lower case, without the dot at the end.

use crate::LookupError;
use std::net::IpAddr;

/// A name as it is asked for. International names become ASCII.
///
/// # Errors
/// When it is no name.
pub fn ascii(name: &str) -> Result<String, LookupError> {
    let not_a_name = || LookupError::NotAName(name.to_owned());
    let bare = name.strip_suffix('.').unwrap_or(name);
    let ascii = if bare.is_ascii() {
        bare.to_ascii_lowercase()
    } else {
        idna::domain_to_ascii(bare).map_err(|_| not_a_name())?
    };
    let label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(|byte| byte.is_ascii_graphic());
    if ascii.len() <= 253 && ascii.split('.').all(label) { Ok(ascii) } else { Err(not_a_name()) }
}

/// The address in a literal, `[192.0.2.1]` or `[IPv6:2001:db8::1]`; `None` where there are no brackets.
pub fn literal(domain: &str) -> Option<Result<IpAddr, LookupError>> {
    let inner = domain.strip_prefix('[')?.strip_suffix(']')?;
    let address = match inner.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("IPv6:") => inner[5..].parse().map(IpAddr::V6),
        _ => inner.parse(),
    };
    Some(address.map_err(|_| LookupError::NotAName(domain.to_owned())))
}

/// The name under which an address's own names stand.
pub fn reverse(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(address) => {
            let mut name = String::with_capacity(72);
            for byte in address.octets().iter().rev() {
                for nibble in [byte & 15, byte >> 4] {
                    name.push(char::from_digit(nibble.into(), 16).unwrap_or('0'));
                    name.push('.');
                }
            }
            name + "ip6.arpa"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lower_case_ascii() {
        assert_eq!(ascii("Example.COM.").unwrap(), "example.com");
        assert_eq!(ascii("bücher.example").unwrap(), "xn--bcher-kva.example");
        assert_eq!(ascii("_dmarc.example.com").unwrap(), "_dmarc.example.com");
        for name in ["", ".", "a..b", "a b.example", &"a".repeat(64), &"a.".repeat(130)] {
            assert!(matches!(ascii(name), Err(LookupError::NotAName(_))), "{name}");
        }
    }

    #[test]
    fn literals_are_known_by_their_brackets() {
        assert_eq!(literal("example.com"), None);
        assert_eq!(literal("[192.0.2.1]"), Some(Ok("192.0.2.1".parse().unwrap())));
        assert_eq!(literal("[ipv6:2001:db8::1]"), Some(Ok("2001:db8::1".parse().unwrap())));
        assert!(matches!(literal("[192.0.2]"), Some(Err(_))));
    }

    #[test]
    fn an_address_reversed_is_a_name() {
        assert_eq!(reverse("192.0.2.1".parse().unwrap()), "1.2.0.192.in-addr.arpa");
        let six = reverse("2001:db8::1".parse().unwrap());
        assert!(six.starts_with("1.0.0.0.") && six.ends_with(".8.b.d.0.1.0.0.2.ip6.arpa"), "{six}");
    }
}
