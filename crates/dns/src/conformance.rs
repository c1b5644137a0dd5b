//! What every [`Resolver`](crate::Resolver) must do, as a test that each implementation runs against a server (or a
//! double) that has [`ZONE`].

use crate::{Answer, LookupError, Mx, Resolver, Tlsa};

/// What the resolver under test must be able to see.
pub const ZONE: &str = r#"
$ORIGIN waybill.test.
$TTL 30
@           IN SOA ns hostmaster 1 3600 600 86400 30
@       30  IN MX 20 MX2.waybill.test.
@       30  IN MX 10 mx1
nomail  30  IN MX 0 .
mx1     30  IN A 192.0.2.1
        30  IN A 192.0.2.2
        30  IN AAAA 2001:db8::1
alias   30  IN CNAME mx1
text    30  IN TXT "v=spf1 " "-all" ; two strings, one text
_25._tcp.mx1 30 IN TLSA 3 1 1 00FF 10
1.2.0.192.in-addr.arpa. 30 IN PTR mx1.waybill.test.
deep.below  30 IN A 192.0.2.3
"#;

/// Checks the contract.
///
/// # Panics
/// When it is not kept.
pub async fn check(resolver: &dyn Resolver) {
    let mut mx = resolver.mx("waybill.test").await.expect("an answer").records;
    mx.sort();
    let host = |preference, exchange: &str| Mx { preference, exchange: exchange.into() };
    assert_eq!(mx, [host(10, "mx1.waybill.test"), host(20, "mx2.waybill.test")], "lower case, no dot at the end");
    assert_eq!(resolver.mx("nomail.waybill.test.").await.expect("an answer").records, [host(0, "")]);
    for name in ["mx1.waybill.test", "MX1.WayBill.test.", "alias.waybill.test"] {
        let mut four = resolver.ipv4(name).await.expect("an answer").records;
        four.sort();
        assert_eq!(
            four,
            ["192.0.2.1", "192.0.2.2"].map(|text| text.parse::<std::net::Ipv4Addr>().expect("an address")),
            "{name}"
        );
    }
    let six = resolver.ipv6("mx1.waybill.test").await.expect("an answer").records;
    assert_eq!(six, ["2001:db8::1".parse::<std::net::Ipv6Addr>().expect("an address")]);
    let text = resolver.txt("text.waybill.test").await.expect("an answer").records;
    assert_eq!(text, [b"v=spf1 -all"]);
    let tlsa = resolver.tlsa("_25._tcp.mx1.waybill.test").await.expect("an answer").records;
    assert_eq!(tlsa, [Tlsa { usage: 3, selector: 1, matching: 1, data: vec![0, 255, 16] }]);
    assert_eq!(resolver.tlsa("_25._tcp.gone.waybill.test").await, Ok(Answer::no_such_name()));
    let names = resolver.ptr("192.0.2.1".parse().expect("an address")).await.expect("an answer").records;
    assert_eq!(names, ["mx1.waybill.test"]);
    // What is not there is an answer.
    for name in ["text.waybill.test", "below.waybill.test"] {
        let none = resolver.ipv4(name).await;
        assert_eq!(none, Ok(Answer::empty()), "{name} exists without an address");
    }
    for name in ["gone.waybill.test", "gone.example.invalid"] {
        assert_eq!(resolver.mx(name).await, Ok(Answer::no_such_name()), "{name}");
        assert_eq!(resolver.ipv4(name).await, Ok(Answer::no_such_name()), "{name}");
    }
    for name in ["a..b", "", "a b.example"] {
        assert_eq!(resolver.ipv4(name).await, Err(LookupError::NotAName(name.into())));
    }
}
