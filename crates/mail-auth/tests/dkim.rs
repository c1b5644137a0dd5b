//! Mail signed and verified.

mod support;

use futures::executor::block_on;
use serde_json::json;
use support::{NOW, RFC_MAIL, signer, signer_with, unsigned_mail, zones};
use waybill_dns::Zones;
use waybill_mail_auth::{AuthenticationResult, dkim};

fn verified(mail: &str, zones: &Zones) -> Vec<AuthenticationResult> {
    block_on(dkim::verify(mail.as_bytes(), zones, NOW))
}

/// Result and reason of the only signature.
fn verdict(mail: &str) -> (String, String) {
    let [result] = &verified(mail, &zones())[..] else { panic!("one signature was expected in {mail}") };
    (result.result.clone(), result.reason.clone().unwrap_or_default())
}

fn signed(selector: &str) -> String {
    signer(selector).dkim_signature(unsigned_mail().as_bytes(), NOW).unwrap() + unsigned_mail()
}

#[test]
fn the_mail_of_rfc_8463_has_two_signatures_that_pass() {
    let results = verified(RFC_MAIL, &zones());
    let shown: Vec<_> = results.iter().map(|r| (r.result.as_str(), r.reason.as_deref(), &r.props)).collect();
    let props = |a: &str, b: &str, s: &str| {
        let props = json!({
            "header.a": a, "header.b": b, "header.d": "football.example.com", "header.i": "@football.example.com",
            "header.s": s,
        });
        serde_json::from_value(props).unwrap()
    };
    assert_eq!(
        shown,
        [
            ("pass", None, &props("ed25519-sha256", "/gCrinpc", "brisbane")),
            ("pass", None, &props("rsa-sha256", "F45dVWDf", "test")),
        ]
    );
}

#[test]
fn what_the_keys_of_rfc_8463_sign_verifies() {
    for selector in ["brisbane", "test", "big"] {
        for (headers, body) in
            [("Relaxed", "Relaxed"), ("Simple", "Relaxed"), ("Relaxed", "Simple"), ("Simple", "Simple")]
        {
            let forms = json!({ "header_canonicalization": headers, "body_canonicalization": body });
            let signer = signer_with(selector, &forms).unwrap();
            for mail in [
                unsigned_mail(),
                "From: a@football.example.com\r\n\r\n",
                "From: x@y\r\nto: b\r\nTo: c\r\n\r\n a  \r\n\r\n\r\n",
            ] {
                let signed = signer.dkim_signature(mail.as_bytes(), NOW).unwrap() + mail;
                assert_eq!(verdict(&signed), ("pass".into(), String::new()), "{signed}");
            }
        }
    }
}

#[test]
fn a_signature_has_every_option_and_short_lines() {
    let options = json!({
        "atps": "other.example", "atpsh": "sha256", "agent_user_identifier": "a;b@sub.football.example.com",
        "expiration": 3600, "body_length": true, "reporting": true, "over_sign": true,
    });
    let field = signer_with("brisbane", &options).unwrap().dkim_signature(unsigned_mail().as_bytes(), NOW).unwrap();
    let flat = field.replace("\r\n\t", " ");
    let expected = "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed; d=football.example.com; s=brisbane; \
                    i=a=3Bb@sub.football.example.com; r=y; atps=other.example; atpsh=sha256; t=1800000000; x=1800003600; \
                    l=54; h=From:From:To:To: Subject:Subject:Date:Date:Message-ID:Message-ID:Cc; bh=";
    assert!(flat.starts_with(expected), "{flat}");
    assert!(field.lines().all(|line| line.replace('\t', "        ").len() <= 78), "{field}");
    assert_eq!(verdict(&(field + unsigned_mail())).0, "pass");
}

#[test]
fn a_change_of_what_was_signed_makes_it_fail() {
    let body = ("fail".to_owned(), "the body is not the one that was signed".to_owned());
    let headers = ("fail".to_owned(), "the signature does not fit the headers and the key".to_owned());
    for selector in ["brisbane", "test", "big"] {
        let mail = signed(selector);
        assert_eq!(verdict(&mail).0, "pass");
        assert_eq!(verdict(&mail.replace("lost", "won")), body);
        assert_eq!(verdict(&format!("{mail}more\r\n")), body);
        assert_eq!(verdict(&mail.replace("Is dinner", "Was dinner")), headers);
        assert_eq!(verdict(&mail.replace("\r\nTo: ", "\r\nX-To: ")), headers);
        assert_eq!(verdict(&mail.replace("t=1800000000", "t=1800000001")), headers);
        // Another From above the one that was signed is not seen by the signature; over-signing sees it.
        assert_eq!(verdict(&mail.replace("\r\nFrom: ", "\r\nFrom: eve@example.com\r\nFrom: ")).0, "pass");
        // What is not signed, and how a header is written, do not count.
        assert_eq!(verdict(&mail.replace("\r\nTo: Suzie", "\r\nX-New: x\r\nTO:   Suzie")).0, "pass");
    }
    let over = signer_with("big", &json!({ "over_sign": true })).unwrap();
    let mail = over.dkim_signature(unsigned_mail().as_bytes(), NOW).unwrap() + unsigned_mail();
    assert_eq!(verdict(&mail).0, "pass");
    assert_eq!(verdict(&mail.replace("\r\nFrom: ", "\r\nFrom: eve@example.com\r\nFrom: ")), headers);
    assert_eq!(verdict(&mail.replace("\r\nTo: ", "\r\nCc: eve@example.com\r\nTo: ")), headers);
    let strict = signer_with("big", &json!({ "header_canonicalization": "Simple" })).unwrap();
    let mail = strict.dkim_signature(unsigned_mail().as_bytes(), NOW).unwrap() + unsigned_mail();
    assert_eq!(verdict(&mail.replace("To: Suzie", "To:  Suzie")), headers);
}

#[test]
fn what_stands_behind_the_signed_part_of_a_body_is_not_vouched_for() {
    let signer = signer_with("big", &json!({ "body_length": true })).unwrap();
    let mail = signer.dkim_signature(unsigned_mail().as_bytes(), NOW).unwrap() + unsigned_mail();
    assert_eq!(verdict(&mail).0, "pass");
    let (result, reason) = verdict(&format!("{mail}Buy this.\r\n"));
    assert_eq!((result.as_str(), reason.as_str()), ("policy", "only the first 54 of 65 bytes of the body are signed"));
}

#[test]
fn a_signature_that_cannot_be_used_says_why() {
    let mail = signed("brisbane");
    for (from, to, result, why) in [
        ("s=brisbane", "s=gone", "permerror", "there is no key gone._domainkey.football.example.com"),
        ("s=brisbane", "s=test", "permerror", "the key is not one for ed25519-sha256"),
        ("a=ed25519-sha256", "a=rsa-sha1", "permerror", "rsa-sha1 is not accepted (RFC 8301)"),
        ("a=ed25519-sha256", "a=dsa", "neutral", "Unsupported algorithm in DKIM Signature"),
        ("v=1;", "v=2;", "neutral", "Unsupported version in DKIM Signature"),
        ("v=1;", "", "permerror", "the tag v is not 1"),
        ("h=From:", "h=Frrm:", "permerror", "From is not signed"),
        ("t=1800000000;", "t=1700000000; x=1800000000;", "fail", "the signature has expired"),
        ("t=1800000000;", "i=a@evil.example;", "permerror", "the tag i is not of the domain in d"),
        ("d=football.example.com;", "", "neutral", "Missing parameters"),
        ("d=football.example.com;", "d=a..b;", "permerror", "\"brisbane._domainkey.a..b\" is not a domain name"),
    ] {
        assert!(mail.contains(from));
        assert_eq!(verdict(&mail.replacen(from, to, 1)), (result.into(), why.into()), "{to}");
    }
    let trouble = verified(&mail, &zones().failing("brisbane._domainkey.football.example.com"));
    assert_eq!(trouble[0].result, "temperror");
    assert_eq!(verified(unsigned_mail(), &zones()), []);
}

#[test]
fn no_more_than_ten_signatures_are_looked_at() {
    let mail = signed("brisbane");
    let (field, _) = mail.split_once("From: ").unwrap();
    assert_eq!(verified(&(field.repeat(11) + unsigned_mail()), &zones()).len(), 10);
}

#[test]
fn options_that_make_worthless_signatures_are_refused() {
    for (options, expected) in [
        (json!({ "domain": "a..b" }), "domain: \"a..b\" is no name that the DNS could know"),
        (json!({ "selector": "a b" }), "selector: \"a b\" is no name that the DNS could know"),
        (json!({ "headers": ["To"] }), "headers: From has to be one of them (RFC 6376, section 5.4)"),
        (json!({ "headers": ["From", "a:b"] }), "headers: \"a:b\" is not a header name"),
        (json!({ "expiration": 0 }), "expiration: expected seconds from now on, 1 or more"),
        (json!({ "atpsh": "none" }), "atpsh: it says how the domain in atps is written, and there is none"),
        (
            json!({ "agent_user_identifier": "joe@example.com" }),
            "agent_user_identifier: expected USER@football.example.com, or a domain below it, got \"joe@example.com\"",
        ),
    ] {
        assert_eq!(signer_with("big", &options).unwrap_err().to_string(), expected);
    }
}
