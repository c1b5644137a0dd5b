//! SPF records followed.

use futures::executor::block_on;
use waybill_dns::Zones;
use waybill_mail_auth::spf::{Query, check};

const ZONE: &str = r#"
$ORIGIN example.com.
@        TXT "v=spf1 ip4:192.0.2.0/28 a:mail mx -all"
@        TXT "something else"
@        MX 10 mx1
mail     A 192.0.2.20
mx1      A 192.0.2.21
mx1      AAAA 2001:db8::21
soft     TXT "v=spf1 ~all"
neutral  TXT "v=spf1 ?all"
open     TXT "v=spf1"
six      TXT "v=spf1 ip6:2001:db8::/64 -all"
none     TXT "v=spf2 all"
two      TXT "v=spf1 -all"
two      TXT "v=spf1 +all"
broken   TXT "v=spf1 ip4:192.0.2.300 -all"
wide     TXT "v=spf1 ip4:192.0.2.0/33 -all"
modified TXT "v=spf1 exp=why.example.com moo=1 all"
unknown  TXT "v=spf1 includes:x -all"
redirect TXT "v=spf1 redirect=example.com"
away     TXT "v=spf1 redirect=none.example.com"
inside   TXT "v=spf1 include:example.com include:soft.example.com -all"
lost     TXT "v=spf1 include:gone.example.com -all"
loop     TXT "v=spf1 include:loop.example.com -all"
circle   TXT "v=spf1 redirect=circle.example.com"
trouble  TXT "v=spf1 a:fails.example.com -all"
void2    TXT "v=spf1 a:n1.example.com a:n2.example.com ip4:192.0.2.1 -all"
void3    TXT "v=spf1 a:n1.example.com mx:n2.example.com exists:n3.example.com ip4:192.0.2.1 -all"
ten      TXT "v=spf1 a:mail a:mail a:mail a:mail a:mail a:mail a:mail a:mail a:mail a:mail ip4:192.0.2.1 -all"
eleven   TXT "v=spf1 a:mail a:mail a:mail a:mail a:mail a:mail a:mail a:mail a:mail a:mail a:mail ip4:192.0.2.1 -all"
many     TXT "v=spf1 mx -all"
many     MX 1 h1
many     MX 2 h2
many     MX 3 h3
many     MX 4 h4
many     MX 5 h5
many     MX 6 h6
many     MX 7 h7
many     MX 8 h8
many     MX 9 h9
many     MX 10 h10
many     MX 11 h11
macro    TXT "v=spf1 exists:%{ir}.%{l1r-}._spf.%{d2} -all"
7.2.0.192.ann._spf.example.com. A 127.0.0.2
ptr      TXT "v=spf1 ptr:example.com -all"
named    TXT "v=spf1 exists:%{p}.ok.example.com -all"
mail.example.com.ok A 127.0.0.2
20.2.0.192.in-addr.arpa. PTR mail.example.com.
20.2.0.192.in-addr.arpa. PTR forged.example.com.
22.2.0.192.in-addr.arpa. PTR mail.example.com.
"#;

/// Disposition and reason for mail of `ann@DOMAIN` that comes from `ip`.
fn asked(ip: &str, domain: &str) -> (&'static str, String) {
    // Names without a dot at the end in the records above are of the zone only for A and MX.
    let zone = ZONE.replace("a:mail", "a:mail.example.com");
    let zones = Zones::parse([zone.as_str()]).unwrap().failing("fails.example.com").failing("down.example.com");
    let sender = format!("ann@{domain}");
    let ip = ip.parse().unwrap();
    let query = Query { ip, domain, sender: &sender, helo: "helo.example.com", host: "mx.example.net" };
    let verdict = block_on(check(&zones, &query));
    (verdict.disposition.as_str(), verdict.reason)
}

#[track_caller]
fn says(ip: &str, domain: &str, disposition: &str, reason: &str) {
    assert_eq!(asked(ip, domain), (disposition, reason.to_owned()), "{ip} for {domain}");
}

#[test]
fn a_record_says_who_may_send() {
    says("192.0.2.7", "example.com", "pass", "matched 'ip4:192.0.2.0/28' directive");
    says("192.0.2.20", "EXAMPLE.com", "pass", "matched 'a:mail.example.com' directive");
    says("192.0.2.21", "example.com", "pass", "matched 'mx' directive");
    says("2001:db8::21", "example.com", "pass", "matched 'mx' directive");
    says("::ffff:192.0.2.7", "example.com", "pass", "matched 'ip4:192.0.2.0/28' directive");
    says("192.0.2.99", "example.com", "fail", "matched 'all' directive");
    says("2001:db8::7", "six.example.com", "pass", "matched 'ip6:2001:db8::/64' directive");
    says("192.0.2.7", "six.example.com", "fail", "matched 'all' directive");
    says("192.0.2.7", "soft.example.com", "softfail", "matched 'all' directive");
    says("192.0.2.7", "neutral.example.com", "neutral", "matched 'all' directive");
    says("192.0.2.7", "modified.example.com", "pass", "matched 'all' directive");
    says("192.0.2.7", "open.example.com", "neutral", "no directive of open.example.com matched");
}

#[test]
fn a_domain_without_one_record_has_nothing_to_say() {
    for domain in ["none.example.com", "gone.example.com", "a..b"] {
        says("192.0.2.7", domain, "none", &format!("{domain} has no SPF record"));
    }
    says("192.0.2.7", "two.example.com", "permerror", "two.example.com has more than one SPF record");
    for domain in ["broken.example.com", "unknown.example.com", "wide.example.com"] {
        says("192.0.2.7", domain, "permerror", &format!("the SPF record of {domain} cannot be read"));
    }
}

#[test]
fn other_records_are_followed() {
    says("192.0.2.20", "redirect.example.com", "pass", "matched 'a:mail.example.com' directive");
    says("192.0.2.99", "redirect.example.com", "fail", "matched 'all' directive");
    let nowhere = "away.example.com redirects to none.example.com, which has no SPF record";
    says("192.0.2.7", "away.example.com", "permerror", nowhere);
    says("192.0.2.7", "inside.example.com", "pass", "matched 'include:example.com' directive");
    // A softfail inside is no match.
    says("192.0.2.99", "inside.example.com", "fail", "matched 'all' directive");
    let lost = "lost.example.com includes gone.example.com, which has no SPF record";
    says("192.0.2.7", "lost.example.com", "permerror", lost);
}

#[test]
fn what_a_check_may_cost_has_an_end() {
    let terms = "more than 10 terms ask the DNS (RFC 7208, section 4.6.4)";
    let void = "more than 2 questions to the DNS have no answer (RFC 7208, section 4.6.4)";
    says("192.0.2.1", "loop.example.com", "permerror", terms);
    says("192.0.2.1", "circle.example.com", "permerror", terms);
    says("192.0.2.1", "ten.example.com", "pass", "matched 'ip4:192.0.2.1' directive");
    says("192.0.2.1", "eleven.example.com", "permerror", terms);
    says("192.0.2.1", "void2.example.com", "pass", "matched 'ip4:192.0.2.1' directive");
    says("192.0.2.1", "void3.example.com", "permerror", void);
    let hosts = "many.example.com has more than 10 MX hosts (RFC 7208, section 4.6.4)";
    says("192.0.2.1", "many.example.com", "permerror", hosts);
}

#[test]
fn what_nobody_knows_now_may_be_known_later() {
    let (disposition, reason) = asked("192.0.2.1", "trouble.example.com");
    assert_eq!(disposition, "temperror");
    assert!(reason.starts_with("failed to resolve fails.example.com: "), "{reason}");
    assert_eq!(asked("192.0.2.1", "down.example.com").0, "temperror");
}

#[test]
fn macros_are_filled_in_and_names_have_to_lead_back() {
    let exists = "matched 'exists:%{ir}.%{l1r-}._spf.%{d2}' directive";
    says("192.0.2.7", "macro.example.com", "pass", exists);
    says("192.0.2.8", "macro.example.com", "fail", "matched 'all' directive");
    says("192.0.2.20", "ptr.example.com", "pass", "matched 'ptr:example.com' directive");
    says("192.0.2.22", "ptr.example.com", "fail", "matched 'all' directive");
    says("192.0.2.20", "named.example.com", "pass", "matched 'exists:%{p}.ok.example.com' directive");
}
