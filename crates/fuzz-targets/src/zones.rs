//! Zone files, and what becomes of a domain's hosts.

use futures::FutureExt;
use waybill_dns::{MailExchange, Zones};

pub(crate) const WORDS: &[&str] = &[
    "$ORIGIN ",
    "$TTL 30",
    "\n",
    "@ ",
    "IN ",
    "MX 10 ",
    "A 192.0.2.1",
    "AAAA ::1",
    "CNAME ",
    "TXT \"",
    "PTR ",
    "TLSA 3 1 1 ",
    "$SECURE",
    ";",
    "example.com.",
    "a.example.com",
    ".",
];

/// Zones that are read answer for `example.com`; those that are not are refused with a line.
pub(crate) fn dns_zone(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let zones = match Zones::parse([text]) {
        Ok(zones) => zones,
        Err(error) => {
            assert!((1..=text.lines().count()).contains(&error.line), "{error}");
            assert!(error.zone == 1 && !error.why.is_empty(), "{error}");
            return;
        }
    };
    let found = MailExchange::find(&zones, "example.com").now_or_never().expect("zones answer at once");
    let Ok(found) = found else { return };
    // An order of preference, and a name that does not depend on it.
    assert!(found.hosts.iter().all(|host| !host.name.is_empty()), "{found:?}");
    let again = MailExchange::find(&zones, "Example.COM.").now_or_never().expect("zones answer at once");
    assert_eq!(again.expect("the same domain").site_name, found.site_name);
}
