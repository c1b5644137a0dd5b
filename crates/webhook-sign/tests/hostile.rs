//! What somebody without the key may send: `contract/security-cases.md`, "Verification code".

use proptest::prelude::*;
use std::time::Duration;
use waybill_types::Timestamp;
use waybill_webhook_sign::verify::{self, Received, Refusal, TOLERANCE};
use waybill_webhook_sign::{CustomSignature, EventId, KlevKey, Secret, StandardKey, StandardVerifier};

const NOW: i64 = 1_700_000_000;
const BODY: &[u8] = br#"{"a":1}"#;

fn now() -> Timestamp {
    Timestamp::from_secs(NOW)
}

fn key() -> StandardKey {
    StandardKey::from_bytes(b"0123456789abcdef01234567").unwrap()
}

fn good() -> String {
    key().sign(&EventId::new("evt_1").unwrap(), NOW, BODY)
}

fn standard(id: &str, timestamp: &str, signature: &str, body: &[u8], now: i64) -> Result<(), Refusal> {
    let headers: &[(&str, &[u8])] = &[
        ("Webhook-Id", id.as_bytes()),
        ("Webhook-Timestamp", timestamp.as_bytes()),
        ("Webhook-Signature", signature.as_bytes()),
    ];
    let received = Received { headers, body };
    verify::standard(&[key().verifier()], &received, Timestamp::from_secs(now), TOLERANCE)
}

fn klev_key() -> KlevKey {
    KlevKey::new(Secret::new("ewhsec_4WWS5n4YcVrX8FhtxTKG3ctFHud3amGsr"))
}

fn klev(value: &str) -> Result<(), Refusal> {
    let headers: &[(&str, &[u8])] = &[("x-klev-signature", value.as_bytes())];
    verify::klev(&[klev_key()], &Received { headers, body: BODY }, now(), TOLERANCE)
}

#[test]
fn five_minutes_either_way_are_tolerated_and_a_second_more_is_not() {
    let at = |now: i64| standard("evt_1", &NOW.to_string(), &good(), BODY, now);
    assert_eq!(at(NOW + 300), Ok(()));
    assert_eq!(at(NOW + 299), Ok(()));
    assert_eq!(at(NOW + 301), Err(Refusal::TooOld));
    assert_eq!(at(NOW - 300), Ok(()));
    assert_eq!(at(NOW - 301), Err(Refusal::TooNew));
}

#[test]
fn a_timestamp_has_one_spelling() {
    for wrong in ["", "-1", "+1700000000", "01700000000", "1700000000 ", " 1700000000", "1.7e9", "0x6553f100", "१"] {
        assert_eq!(
            standard("evt_1", wrong, &good(), BODY, NOW),
            Err(Refusal::Malformed("webhook-timestamp")),
            "{wrong:?}"
        );
    }
    assert_eq!(
        standard("evt_1", "9223372036854775808", &good(), BODY, NOW),
        Err(Refusal::Malformed("webhook-timestamp")),
        "2^63"
    );
    assert_eq!(standard("evt_1", "9223372036854775807", &good(), BODY, NOW), Err(Refusal::TooNew));
    assert_eq!(standard("evt_1", "0", &good(), BODY, NOW), Err(Refusal::TooOld));
}

#[test]
fn one_changed_byte_of_body_id_time_or_signature_is_noticed() {
    let time = NOW.to_string();
    assert_eq!(standard("evt_1", &time, &good(), BODY, NOW), Ok(()));
    assert_eq!(standard("evt_1", &time, &good(), br#"{"a":2}"#, NOW), Err(Refusal::NoMatch));
    assert_eq!(standard("evt_1", &time, &good(), br#"{"a": 1}"#, NOW), Err(Refusal::NoMatch), "re-encoded");
    assert_eq!(standard("evt_2", &time, &good(), BODY, NOW), Err(Refusal::NoMatch));
    assert_eq!(standard("evt_1", &(NOW + 1).to_string(), &good(), BODY, NOW), Err(Refusal::NoMatch));
    for wrong in
        ["", "v1", "v1,", "v1,%%%", "v1,AAAA", &good()[..20], &format!("{}A", good()), &good().replace("v1", "v2")]
    {
        assert_eq!(standard("evt_1", &time, wrong, BODY, NOW), Err(Refusal::NoMatch), "{wrong:?}");
    }
}

#[test]
fn an_id_with_a_dot_is_no_id_although_the_signed_text_would_fit() {
    // The text `evt.1700000000.x` is both (evt, 1700000000, x) and (evt.1700000000, x as a time).
    let made = key().sign(&EventId::new("evt").unwrap(), NOW, b"1700000000.{}");
    assert_eq!(standard("evt.1700000000", "1700000000", &made, b"{}", NOW), Err(Refusal::Malformed("webhook-id")));
}

#[test]
fn a_list_of_ten_thousand_signatures_is_not_worked_through() {
    let list = vec!["v1,AAAA"; 10_000].join(" ") + " " + &good();
    assert_eq!(standard("evt_1", &NOW.to_string(), &list, BODY, NOW), Err(Refusal::TooMany("webhook-signature")));
    let digests = vec![";v1=00"; 10_000].concat();
    assert_eq!(klev(&format!("t={NOW}{digests}")), Err(Refusal::TooMany("x-klev-signature")));
}

#[test]
fn unknown_versions_are_passed_over() {
    let list = format!("v9,xyz v1a,AAAA {}", good());
    assert_eq!(standard("evt_1", &NOW.to_string(), &list, BODY, NOW), Ok(()));
}

#[test]
fn a_header_that_is_missing_twice_or_no_text_is_named() {
    let full: Vec<(&str, Vec<u8>)> = vec![
        ("webhook-id", b"evt_1".to_vec()),
        ("webhook-timestamp", NOW.to_string().into_bytes()),
        ("webhook-signature", good().into_bytes()),
    ];
    let check = |headers: &[(&str, Vec<u8>)]| {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_slice())).collect();
        verify::standard(&[key().verifier()], &Received { headers: &headers, body: BODY }, now(), TOLERANCE)
    };
    assert_eq!(check(&full), Ok(()));
    for index in 0..3 {
        let (mut less, mut more, mut binary) = (full.clone(), full.clone(), full.clone());
        let name = less.remove(index).0;
        more.push(full[index].clone());
        binary[index].1 = vec![0xff, 0xfe];
        assert_eq!(check(&less), Err(Refusal::Missing(name)));
        assert_eq!(check(&more), Err(Refusal::Twice(name)));
        assert_eq!(check(&binary), Err(Refusal::Malformed(name)));
    }
}

#[test]
fn klevs_header_says_its_time_once_and_hex_may_be_upper_case() {
    let made = klev_key().sign(NOW, BODY);
    assert_eq!(klev(&format!("t={NOW};v1={made}")), Ok(()));
    assert_eq!(klev(&format!("t={NOW};v1=00ff;v1={made};v2=x")), Ok(()), "a second v1 during a rotation");
    assert_eq!(klev(&format!("t={NOW};v1={}", made.to_uppercase())), Ok(()));
    assert_eq!(klev(&format!("t={NOW};t={NOW};v1={made}")), Err(Refusal::Twice("x-klev-signature")));
    assert_eq!(klev(&format!("v1={made}")), Err(Refusal::Malformed("x-klev-signature")));
    assert_eq!(klev(&format!("t=-5;v1={made}")), Err(Refusal::Malformed("x-klev-signature")));
    assert_eq!(klev(&format!("t={NOW};v1={}", &made[..62])), Err(Refusal::NoMatch), "a digest of another length");
    assert_eq!(klev(&format!("t={NOW};v1=zz")), Err(Refusal::NoMatch));
    assert_eq!(klev(&format!("t={NOW}")), Err(Refusal::NoMatch));
    assert_eq!(klev(&format!("t={};v1={made}", NOW - 301)), Err(Refusal::TooOld));
}

#[test]
fn a_refusal_repeats_nothing_of_what_came() {
    let secret = "v1,c2VjcmV0LXNlY3JldC1zZWNyZXQ=";
    let refusal = standard("evt_1", &NOW.to_string(), secret, b"private", NOW).unwrap_err();
    assert!(!refusal.to_string().contains("c2Vj") && !refusal.to_string().contains("private"));
}

proptest! {
    #[test]
    fn no_header_makes_verification_panic_or_believe(id in any::<Vec<u8>>(), time in "[0-9t=;,v .]{0,30}", list in any::<String>()) {
        let headers: &[(&str, &[u8])] = &[
            ("webhook-id", &id), ("webhook-timestamp", time.as_bytes()), ("webhook-signature", list.as_bytes()),
            ("x-klev-signature", list.as_bytes()), ("stripe-signature", time.as_bytes()), ("x-slack-signature", &id),
            ("x-slack-request-timestamp", time.as_bytes()), ("x-hub-signature-256", list.as_bytes()),
        ];
        let received = Received { headers, body: BODY };
        let secret = [Secret::new("s")];
        let most = Duration::MAX;
        prop_assert!(verify::standard(&[key().verifier()], &received, now(), most).is_err());
        prop_assert!(verify::klev(&[klev_key()], &received, now(), most).is_err());
        prop_assert!(verify::stripe(&secret, &received, now(), most).is_err());
        prop_assert!(verify::slack(&secret, &received, now(), most).is_err());
        prop_assert!(verify::github(&secret, &received).is_err());
    }

    #[test]
    fn what_is_signed_is_believed(id in "[a-zA-Z0-9_-]{1,40}", seconds in 0..4_000_000_000_i64, body in any::<Vec<u8>>()) {
        let made = key().sign(&EventId::new(id.clone()).unwrap(), seconds, &body);
        prop_assert_eq!(standard(&id, &seconds.to_string(), &made, &body, seconds), Ok(()));
    }

    #[test]
    fn no_text_makes_reading_a_key_or_a_template_panic(text in any::<String>()) {
        for prefix in ["", "whsec_", "whsk_", "whpk_"] {
            let _ = StandardKey::parse(&format!("{prefix}{text}"));
            let _ = StandardVerifier::parse(&format!("{prefix}{text}"));
        }
        let _ = CustomSignature::new("h", &text, &text, Secret::new("s"));
        let _ = EventId::new(text);
    }
}
