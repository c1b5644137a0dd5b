//! The vectors of `contract/signatures.md`, `contract/klev.md` and `contract/kong-event-hooks.md`, and other services'.

use std::time::Duration;
use waybill_types::Timestamp;
use waybill_webhook_sign::verify::{self, Received, TOLERANCE};
use waybill_webhook_sign::{
    EventId, Keyring, KlevKey, KongAlgorithm, KongKey, Secret, Signer, StandardKey, StandardVerifier,
};

const V1: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const V1A: &str = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==";
const V1A_PUBLIC: &str = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=";
const SHORTEST: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";

fn sign(key: &str, id: &str, seconds: i64, body: &str) -> String {
    StandardKey::parse(key).unwrap().sign(&EventId::new(id).unwrap(), seconds, body.as_bytes())
}

#[test]
fn standard_webhooks_signatures_are_those_of_the_contract() {
    let (id, seconds, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
    assert_eq!(sign(V1, id, seconds, body), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    assert_eq!(
        sign(V1A, id, seconds, body),
        "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
    );
    let (id, seconds, body) = ("msg_00000000000000000000000001", 1_700_000_000, r#"{"type":"Delivery","id":1}"#);
    assert_eq!(sign(SHORTEST, id, seconds, body), "v1,/PUDm6IPij1fqEdcj/011h7whBX6+Qj4/L2aXolbyRA=");
    let longest: Vec<u8> = (0..64).collect();
    let longest = StandardKey::from_bytes(&longest).unwrap();
    let made = longest.sign(&EventId::new(id).unwrap(), seconds, body.as_bytes());
    assert_eq!(made, "v1,WouWXLopWWjYvcoNA/ZVjBt3goETmw1pc+6i/FUJlvY=");
    assert_eq!(sign(SHORTEST, "msg_e", seconds, ""), "v1,XYu6YzYUZ00ZCyNa0Zen3RUF/FIzM/srbtKgU4a+Qjw=");
    assert_eq!(sign(SHORTEST, "msg_u", seconds, r#"{"s":"é✓"}"#), "v1,THMIrBovYHi4PRqb17MYC6Z8vN5H8msShYcdsjgEnM4=");
}

#[test]
fn the_public_half_of_a_v1a_key_checks_what_the_private_half_signed() {
    let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    let signature = sign(V1A, id, 1_614_265_330, "{}");
    let headers = standard_headers(id, "1614265330", &signature);
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
    let key = StandardVerifier::parse(V1A_PUBLIC).unwrap();
    let check = |body: &[u8]| {
        verify::standard(
            std::slice::from_ref(&key),
            &Received { headers: &headers, body },
            Timestamp::from_secs(1_614_265_330),
            TOLERANCE,
        )
    };
    assert_eq!(check(b"{}"), Ok(()));
    assert_eq!(check(b"{ }"), Err(verify::Refusal::NoMatch));
}

fn standard_headers<'a>(id: &'a str, seconds: &'a str, signature: &'a str) -> [(&'static str, &'a str); 3] {
    [("webhook-id", id), ("webhook-timestamp", seconds), ("webhook-signature", signature)]
}

#[test]
fn klevs_signature_is_that_of_the_contract() {
    let key = KlevKey::new(Secret::new("ewhsec_4WWS5n4YcVrX8FhtxTKG3ctFHud3amGsr"));
    let body = br#"{"encoding":"base64","offset":0,"time":1695490927247960,"value":"aGVsbG8gd29ybGQ="}"#;
    let made = key.sign(1_695_490_928, body);
    assert_eq!(made, "39a722cc6cc06473ea0572f7f60c277c97c0137bfbd24b2f64a70c65e0a50153");
    let header = format!("t=1695490928;v1={made}");
    let headers: &[(&str, &[u8])] = &[("X-Klev-Signature", header.as_bytes())];
    let now = Timestamp::from_secs(1_695_490_928 + 300);
    assert_eq!(verify::klev(std::slice::from_ref(&key), &Received { headers, body }, now, TOLERANCE), Ok(()));
    // The same secret is a key of Standard Webhooks: all bytes of its text.
    let shown = StandardKey::parse(key.standard_text().reveal()).unwrap();
    let id = EventId::new("log_1_0").unwrap();
    assert_eq!(shown.sign(&id, 1, body), key.as_standard().unwrap().sign(&id, 1, body));
}

#[test]
fn kongs_signature_is_that_of_the_contract() {
    let key = |algorithm| KongKey { secret: Secret::new("hunter2"), algorithm };
    assert_eq!(key(KongAlgorithm::Sha1).sign(b"foobar"), "sha1=47632029fcc7936dc59ff90b5bb736a44c74ab62");
    // printf foobar | openssl dgst -sha256 -hmac hunter2
    assert_eq!(
        key(KongAlgorithm::default()).sign(b"foobar"),
        "sha256=5a358840a04feeb31ef3f2ee5025f9c8ca772beece1dabc628a84dc946809eea"
    );
}

#[test]
fn signatures_of_github_slack_and_stripe_are_believed() {
    let secret = |text: &str| [Secret::new(text)];
    // The example of GitHub's own documentation.
    let github: &[(&str, &[u8])] =
        &[("X-Hub-Signature-256", b"sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17")];
    let received = Received { headers: github, body: b"Hello, World!" };
    assert_eq!(verify::github(&secret("It's a Secret to Everybody"), &received), Ok(()));
    assert_eq!(verify::github(&secret("another"), &received), Err(verify::Refusal::NoMatch));

    // printf 'v0:1531420618:token=x&team_id=T1' | openssl dgst -sha256 -hmac 8f742231b10e8888abcd99yyyzzz85a5
    let slack: &[(&str, &[u8])] = &[
        ("X-Slack-Request-Timestamp", b"1531420618"),
        ("X-Slack-Signature", b"v0=ee1a198e50481730009ed1fa99d3f2d9cc2ef6ebdfc11672345c4cbcf915c217"),
    ];
    let body = b"token=x&team_id=T1";
    let received = Received { headers: slack, body };
    let now = Timestamp::from_secs(1_531_420_618);
    assert_eq!(verify::slack(&secret("8f742231b10e8888abcd99yyyzzz85a5"), &received, now, TOLERANCE), Ok(()));
    let late = now + Duration::from_secs(301);
    assert_eq!(
        verify::slack(&secret("8f742231b10e8888abcd99yyyzzz85a5"), &received, late, TOLERANCE),
        Err(verify::Refusal::TooOld)
    );

    // python3: hmac.new(b"whsec_test", b'1700000000.{"id":"evt_1"}', sha256)
    let stripe: &[(&str, &[u8])] = &[(
        "Stripe-Signature",
        b"t=1700000000,v1=00ff,v1=c89214b5b5da833daed6f0b8c5bb6bd58cea9022bd80ccc78230f3942d632925,v0=6ffbb59b2300aae63f272406069a9788598b792a944a07aba816edb039989a39",
    )];
    let received = Received { headers: stripe, body: br#"{"id":"evt_1"}"# };
    let now = Timestamp::from_secs(1_700_000_000);
    assert_eq!(verify::stripe(&secret("whsec_test"), &received, now, TOLERANCE), Ok(()));
}

#[test]
fn one_attempt_carries_every_scheme_at_once_and_during_a_rotation_both_keys() {
    let now = Timestamp::from_secs(1_700_000_000);
    let until = Some(now + Duration::from_secs(60));
    let signer = Signer {
        standard: Keyring::dated([
            (StandardKey::parse(V1).unwrap(), None),
            (StandardKey::parse(SHORTEST).unwrap(), until),
            (StandardKey::parse(V1A).unwrap(), None),
        ])
        .unwrap(),
        kong: Some(KongKey { secret: Secret::new("hunter2"), algorithm: KongAlgorithm::Sha256 }),
        klev: Keyring::dated([
            (KlevKey::new(Secret::new("ewhsec_new")), None),
            (KlevKey::new(Secret::new("ewhsec_old")), until),
        ])
        .unwrap(),
        custom: Vec::new(),
    };
    let id = EventId::new("evt_1").unwrap();
    let versions = |now| -> Vec<(String, String)> { signer.headers(&id, now, b"{}") };
    let value = |headers: &[(String, String)], name: &str| {
        headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()).unwrap()
    };
    let during = versions(now);
    let list = value(&during, "webhook-signature");
    let kinds: Vec<&str> = list.split(' ').map(|entry| entry.split_once(',').unwrap().0).collect();
    assert_eq!(kinds, ["v1", "v1", "v1a"]);
    assert_eq!(value(&during, "x-klev-signature").matches(";v1=").count(), 2);
    assert!(value(&during, "x-kong-signature").starts_with("sha256="));
    // Every key by itself believes the list.
    let headers: Vec<_> = during.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    for key in [V1, SHORTEST, V1A_PUBLIC] {
        let key = [StandardVerifier::parse(key).unwrap()];
        let received = Received { headers: &headers, body: b"{}" };
        assert_eq!(verify::standard(&key, &received, now, TOLERANCE), Ok(()), "{key:?}");
    }
    let after = versions(now + Duration::from_secs(60));
    assert_eq!(value(&after, "webhook-signature").split(' ').count(), 2);
    assert_eq!(value(&after, "x-klev-signature").matches(";v1=").count(), 1);
}
