//! Chains sealed and verified.

mod support;

use futures::executor::block_on;
use serde_json::json;
use support::{NOW, signer, signer_with, unsigned_mail, zones};
use waybill_dns::Zones;
use waybill_mail_auth::AuthenticationResult;
use waybill_mail_auth::arc::{Chain, ChainStatus, MOST_SETS};

fn status(mail: &str, zones: &Zones) -> ChainStatus {
    block_on(Chain::begin(mail.as_bytes(), NOW).finish(zones)).status().clone()
}

fn failed(mail: &str) -> String {
    match status(mail, &zones()) {
        ChainStatus::Fail(why) => why,
        other => panic!("{other:?} of {mail}"),
    }
}

/// The mail with a set of `selector` on top, if one was made.
fn sealed(mail: &str, selector: &str) -> Option<String> {
    let results: Vec<AuthenticationResult> = serde_json::from_value(
        json!([{ "method": "spf", "result": "pass", "props": { "smtp.mailfrom": "joe@a.example" } }]),
    )
    .unwrap();
    let chain = block_on(Chain::begin(mail.as_bytes(), NOW).finish(&zones()));
    let fields = chain.seal(&signer(selector), "mx.example.net", &results, NOW).unwrap()?;
    Some(fields + mail)
}

fn chain_of(selectors: &[&str]) -> String {
    selectors.iter().fold(unsigned_mail().to_owned(), |mail, selector| sealed(&mail, selector).unwrap())
}

#[test]
fn a_chain_of_three_holds() {
    assert_eq!(status(unsigned_mail(), &zones()), ChainStatus::None);
    let mail = chain_of(&["big", "brisbane", "test"]);
    assert_eq!(status(&mail, &zones()), ChainStatus::Pass);
    let flat = mail.replace("\r\n\t", " ");
    let names: Vec<&str> =
        flat.lines().map_while(|line| line.split_once(": ")).map(|(name, _)| name).take(10).collect();
    let set = ["ARC-Seal", "ARC-Message-Signature", "ARC-Authentication-Results"];
    assert_eq!(names, [&set[..], &set, &set, &["From"]].concat());
    assert!(
        flat.contains("ARC-Seal: i=3; a=rsa-sha256; t=1800000000; cv=pass; d=football.example.com; s=test; b="),
        "{flat}"
    );
    assert!(flat.contains("ARC-Seal: i=1; a=rsa-sha256; t=1800000000; cv=none; "), "{flat}");
    assert!(
        flat.contains("ARC-Authentication-Results: i=2; mx.example.net; spf=pass smtp.mailfrom=joe@a.example\r\n"),
        "{flat}"
    );
}

#[test]
fn a_chain_that_was_tampered_with_does_not_hold_and_is_not_sealed() {
    let mail = chain_of(&["big", "brisbane"]);
    let seal_line = mail.lines().find(|line| line.starts_with("ARC-Seal: i=2")).unwrap().to_owned();
    for (changed, why) in [
        (mail.replace("lost", "won"), "ARC-Message-Signature: the body is not the one that was signed"),
        (
            mail.replace("Is dinner", "Was dinner"),
            "ARC-Message-Signature with i=2: the signature does not fit the headers and the key",
        ),
        (
            mail.replacen("spf=pass", "spf=fail", 1),
            "ARC-Seal with i=2: the signature does not fit the headers and the key",
        ),
        (
            mail.replace("i=1; mx.example.net", "i=1; mx.example.org"),
            "ARC-Seal with i=2: the signature does not fit the headers and the key",
        ),
        (mail.replace("cv=none", "cv=pass"), "ARC-Seal with i=1: the tag cv does not fit"),
        (mail.replace("cv=pass", "cv=fail"), "ARC-Seal with i=2: the chain was broken before"),
        (mail.replace(&seal_line, "X-Seal: x"), "a set is not complete"),
        (mail.replace("ARC-Seal: i=2", "ARC-Seal: i=3"), "there is no ARC-Seal with i=2"),
        (mail.replace("ARC-Seal: i=2", "ARC-Seal: i=1"), "ARC-Seal with i=1: the tag cv does not fit"),
        (
            mail.replace("s=brisbane", "s=gone"),
            "ARC-Message-Signature with i=2: there is no key gone._domainkey.football.example.com",
        ),
    ] {
        assert_eq!(failed(&changed), why);
        assert_eq!(sealed(&changed, "big"), None);
    }
    let trouble = zones().failing("big._domainkey.football.example.com");
    let ChainStatus::Fail(why) = status(&mail, &trouble) else { panic!() };
    assert!(why.starts_with("ARC-Seal with i=1: failed to resolve big."), "{why}");
}

#[test]
fn a_chain_ends_at_fifty() {
    let mut mail = unsigned_mail().to_owned();
    for _ in 0..MOST_SETS {
        mail = sealed(&mail, "brisbane").unwrap();
    }
    assert_eq!(status(&mail, &zones()), ChainStatus::Pass);
    assert_eq!(sealed(&mail, "brisbane"), None);
    let more = mail.replacen("ARC-Seal: i=50", "ARC-Seal: i=50; x=y\r\nARC-Seal: i=50", 1);
    assert_eq!(failed(&more), "ARC-Seal: Invalid 'cv=' value found in ARC header");
}

#[test]
fn results_that_cannot_be_written_are_told() {
    let chain = block_on(Chain::begin(unsigned_mail().as_bytes(), NOW).finish(&zones()));
    let error = chain.seal(&signer_with("big", &json!({})).unwrap(), "mx example", &[], NOW).unwrap_err();
    assert!(error.to_string().starts_with("the server id \"mx example\" is no word"), "{error}");
}
