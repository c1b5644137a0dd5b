//! Webhooks of others, and conditions of filters.

use bytes::Bytes;
use waybill_streams_core::{Code, Filter, Id, IngressType, Keeping, Kind, Limits, Message, Reception, receive};
use waybill_types::Timestamp;
use waybill_webhook_sign::verify::Received;
use waybill_webhook_sign::{EventId, KlevKey, Secret, StandardKey};

pub(crate) const INGRESS_WORDS: &[&str] = &[
    "x-hub-signature-256: sha256=",
    "x-klev-signature: t=1700000000;v1=",
    "x-slack-signature: v0=",
    "x-slack-request-timestamp: 1700000000",
    "stripe-signature: t=1700000000,v1=",
    "webhook-signature: v1,",
    "webhook-timestamp: 1700000000",
    "webhook-id: msg_1",
    "\n\n",
    ",v1=",
    ";v1=",
    "t=-1",
    "9223372036854775808",
    r#"{"encoding":"base64","value":"/w=="}"#,
    r#"{"type":"url_verification","challenge":"x"}"#,
];

const KLEV: &str = "ewhsec_4WWS5n4YcVrX8FhtxTKG3ctFHud3amGsr";
const STANDARD: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NOW: i64 = 1_700_000_000;

/// The first byte is the type, then headers a line, an empty line, the body. Whatever stands in the headers is believed
/// by nobody who does not hold the secret; what is signed right is believed whatever the body is, by that body alone.
pub(crate) fn ingress(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    let kind = IngressType::ALL[usize::from(*first) % IngressType::ALL.len()];
    let (head, body) = match rest.windows(2).position(|pair| pair == b"\n\n") {
        Some(at) => (&rest[..at], &rest[at + 2..]),
        None => (rest, &b""[..]),
    };
    let lines: Vec<(String, &[u8])> = head
        .split(|byte| *byte == b'\n')
        .filter_map(|line| {
            let at = line.iter().position(|byte| *byte == b':')?;
            let name = String::from_utf8_lossy(&line[..at]).into_owned();
            Some((name, line[at + 1..].trim_ascii_start()))
        })
        .collect();
    let headers: Vec<(&str, &[u8])> = lines.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let secret = Secret::new(if kind == IngressType::Standard { STANDARD } else { KLEV });
    let ask = |headers: &[(&str, &[u8])], body: &[u8]| {
        receive(kind, &[&secret], &Received { headers, body }, Timestamp::from_secs(NOW), &Limits::default())
    };
    // Nobody guesses a digest of 256 bits.
    let error = ask(&headers, body).expect_err("believed without the secret");
    assert_eq!(error.code, Code::AuthenticationFailed);
    assert!(!error.message.contains(secret.reveal()) && error.message.len() < 200, "{error}");
    if let Some(headers) = signed(kind, body) {
        let headers: Vec<(&str, &[u8])> = headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        match ask(&headers, body) {
            Ok(Reception::Message { names, .. }) => assert!(!names.is_empty(), "it would be stored twice"),
            Ok(Reception::Challenge(_)) => panic!("only Slack asks"),
            Err(error) => assert_ne!(error.code, Code::AuthenticationFailed, "it was signed right"),
        }
        let changed = [body, b"x"].concat();
        assert_eq!(ask(&headers, &changed).map_err(|error| error.code), Err(Code::AuthenticationFailed));
    }
}

fn signed(kind: IngressType, body: &[u8]) -> Option<Vec<(&'static str, String)>> {
    match kind {
        IngressType::Standard => {
            let (key, id) = (StandardKey::parse(STANDARD).ok()?, EventId::new("msg_1").ok()?);
            let signature = key.sign(&id, NOW, body);
            Some(vec![
                ("webhook-id", "msg_1".to_owned()),
                ("webhook-timestamp", NOW.to_string()),
                ("webhook-signature", signature),
            ])
        }
        IngressType::KlevMessage | IngressType::KlevKey | IngressType::KlevValue => {
            let signature = KlevKey::new(Secret::new(KLEV)).sign(NOW, body);
            Some(vec![("x-klev-signature", format!("t={NOW};v1={signature}"))])
        }
        _ => None,
    }
}

pub(crate) const CONDITION_WORDS: &[&str] = &[
    "toJson(value)",
    "toJson(key)",
    "offset",
    "time",
    "key",
    "value",
    ".exists(x, x == 1)",
    ".all(x, ",
    ".matches('^a+$')",
    " && ",
    " || ",
    " ? ",
    "has(",
    "size(",
    "[",
    "{",
    "@json value",
];

/// A condition is refused with a reason, or read; what is read is stored and read again, and says the same of a message
/// each time it is asked.
pub(crate) fn condition(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let id = |kind| Id::mint(kind, 0, [7; 16]);
    let filter = Filter {
        filter_id: id(Kind::Filter),
        metadata: String::new(),
        source_id: id(Kind::Log),
        target_id: id(Kind::Log),
        expression: text.to_owned(),
        keeping: Keeping::All,
    };
    let condition = match filter.condition() {
        Ok(condition) => condition,
        Err(error) => {
            assert!(matches!(error.code, Code::FilterCompileFailed | Code::FilterTypeNotBool), "{error}");
            return;
        }
    };
    let stored = serde_json::to_vec(&filter).expect("JSON");
    let again = serde_json::from_slice::<Filter>(&stored).expect("a filter").condition().expect("it was read before");
    for value in [None, Some(&br#"{"x":"y","list":[1,2,{"a":null}],"n":-1.5}"#[..]), Some(b"no json"), Some(&[255][..])]
    {
        let message =
            Message { time: 5, key: Some(Bytes::from_static(b"k")), value: value.map(Bytes::copy_from_slice), hops: 0 };
        assert_eq!(Filter::wants(&condition, 3, &message), Filter::wants(&again, 3, &message), "{text:?}");
    }
}
