//! Descriptions of endpoints: what is read, and what is refused with the name of its field.

use proptest::prelude::*;
use serde_json::{Value, json};
use std::time::Duration;
use waybill_webhook_core::{
    AddressPolicy, Auth, Compression, EndpointConfig, HttpVersion, ProxyNames, Target, check_name, checked, printable,
    retry_after,
};

fn read(value: Value) -> Result<EndpointConfig, (String, String)> {
    EndpointConfig::from_json(value.to_string().as_bytes()).map_err(|error| (error.field, error.why))
}

/// An endpoint with one more field.
fn with(field: &str, value: Value) -> Result<EndpointConfig, (String, String)> {
    let mut all = json!({"url": "https://hooks.example/a"});
    all[field] = value;
    read(all)
}

#[test]
fn only_the_url_is_required() {
    let endpoint = read(json!({"url": "https://hooks.example/a"})).unwrap();
    assert_eq!(endpoint.method, "POST");
    assert_eq!(endpoint.timeout, Duration::from_secs(20));
    assert_eq!((endpoint.max_connections, endpoint.max_rate), (10, None));
    assert!(endpoint.tls.verify && endpoint.auth.is_none() && endpoint.proxy.is_none());
}

#[test]
fn every_field_is_read() {
    let endpoint = read(json!({
        "url": "http://hooks.example:8080/a?b",
        "method": "PUT",
        "headers": {"X-Team": "mail"},
        "timeout": "15s",
        "max_connections": 3,
        "max_rate": "100/s",
        "compression": "zstd",
        "http_version": "2",
        "tls": {"verify": false, "ca": "pem", "client_certificate": "pem", "client_key": "pem"},
        "proxy": {"url": "http://proxy.example:3128", "username": "u", "password": "p", "names": "proxy"},
        "auth": {"oauth2": {"token_url": "https://a.example/t", "client_id": "i", "client_secret": "s", "style": "body"}},
        "sign": {
            "standard": [{"secret": "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"}],
            "kong": {"secret": "k", "algorithm": "sha1"},
            "klev": [{"secret": "ewhsec_new"}, {"secret": "ewhsec_old", "until": 1_700_000_000}],
            "custom": [{"header": "X-Acme", "secret": "c", "value": "v1={signature}", "encoding": "base64"}]
        }
    }))
    .unwrap();
    assert_eq!(endpoint.compression, Compression::Zstd);
    assert_eq!(endpoint.http_version, HttpVersion::Http2);
    assert_eq!(endpoint.max_rate.unwrap().limit, 100);
    assert_eq!(endpoint.proxy.unwrap().names, ProxyNames::Proxy);
    assert!(matches!(endpoint.auth, Some(Auth::Oauth2(_))));
    assert_eq!(endpoint.sign.signer().unwrap().custom.len(), 1);
}

#[test]
fn what_is_wrong_is_named_with_its_field() {
    let refused = |field: &str, value: Value| with(field, value).unwrap_err();
    for (field, value, named, why) in [
        ("url", json!("ftp://a/"), "url", "only http and https can be called"),
        ("url", json!("http://u:hunter2@a/"), "url", "give them as \"auth\""),
        ("method", json!("CONNECT"), "method", "unknown method \"CONNECT\", expected GET, POST, PUT, PATCH or DELETE"),
        ("headers", json!({"Host": "a"}), "headers", "the header host cannot be set"),
        ("headers", json!({"X-A": "a\r\nb"}), "headers", "the value of the header x-a holds '\\r'"),
        ("headers", json!({"X A": "a"}), "headers", "\"X A\" is no name of a header"),
        ("timeout", json!(0), "timeout", "longer than nothing"),
        ("timeout", json!("1 year"), "timeout", "at most 300 s"),
        ("max_connections", json!(0), "max_connections", "between 1 and 1000"),
        ("max_rate", json!("fast"), "max_rate", "expected 'limit/period'"),
        ("compression", json!("br"), "compression", "unknown variant `br`, expected one of `none`, `gzip`, `zstd`"),
        ("tls", json!({"client_key": "hunter2"}), "tls", "client_certificate and client_key go together"),
        ("tls", json!({"verfy": true}), "tls.verfy", "unknown field `verfy`, expected one of `verify`"),
        ("proxy", json!({"url": "https://p.example"}), "proxy.url", "http://host:port"),
        ("proxy", json!({"url": "http://p.example", "username": "u"}), "proxy", "username and password go together"),
        ("auth", json!({"basic": {"username": "a:b", "password": "hunter2"}}), "auth.basic.username", "no colon"),
        ("auth", json!({"bearer": {"token": "hunter2 x"}}), "auth.bearer.token", "visible ASCII"),
        (
            "sign",
            json!({"standard": [{"secret": "hunter2"}]}),
            "sign.standard[0].secret",
            "begins with whsec_ or whsk_",
        ),
        ("sign", json!({"klev": [{"secret": "hunter2", "until": 1}]}), "sign.klev", "one key must be without an end"),
        (
            "sign",
            json!({"kong": {"secret": "hunter2", "algorithm": "md5"}}),
            "sign.kong.algorithm",
            "expected sha256 or sha1",
        ),
        (
            "sign",
            json!({"custom": [{"header": "webhook-id", "secret": "hunter2"}]}),
            "sign.custom[0].header",
            "cannot be set",
        ),
        (
            "sign",
            json!({"custom": [{"header": "x-a", "secret": "hunter2", "value": "v1"}]}),
            "sign.custom[0].value",
            "{signature} must appear",
        ),
        ("colour", json!("red"), "colour", "unknown field `colour`, expected one of `url`"),
    ] {
        let (found, text) = refused(field, value);
        assert_eq!(found, named, "{text}");
        assert!(text.contains(why), "{named}: {text}");
        assert!(!text.contains("hunter2"), "a secret is repeated: {text}");
    }
    let missing = EndpointConfig::from_json(b"{}").unwrap_err();
    assert_eq!(missing.to_string(), "missing field `url`");
    assert!(EndpointConfig::from_json(br#"{"url": "https://a.example"} trailing"#).is_err());
}

#[test]
fn authorisation_is_said_once() {
    let both = read(json!({
        "url": "https://a.example",
        "headers": {"authorization": "x"},
        "auth": {"bearer": {"token": "y"}}
    }));
    assert_eq!(both.unwrap_err().0, "auth");
}

#[test]
fn debug_of_an_endpoint_shows_no_secret() {
    let endpoint = read(json!({
        "url": "https://hooks.example/hunter2",
        "headers": {"X-Pass": "hunter2"},
        "tls": {"client_certificate": "pem", "client_key": "hunter2"},
        "proxy": {"url": "http://proxy.example:3128", "username": "u", "password": "hunter2"},
        "auth": {"basic": {"username": "u", "password": "hunter2"}},
        "sign": {"kong": {"secret": "hunter2"}, "klev": [{"secret": "hunter2"}]}
    }));
    assert!(!format!("{:?}", endpoint.unwrap()).contains("hunter2"));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "https?://[a-z0-9.:@#/\\\\%\\[\\]-]{0,30}".prop_map(Value::from),
    ];
    let names = prop_oneof![
        any::<String>(),
        prop::sample::select(vec![
            "url",
            "method",
            "headers",
            "timeout",
            "max_connections",
            "max_rate",
            "compression",
            "http_version",
            "tls",
            "proxy",
            "auth",
            "sign",
            "basic",
            "bearer",
            "oauth2",
            "secret",
            "standard",
            "kong",
            "klev",
            "custom",
            "until",
        ])
        .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(4, 40, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(names.clone(), inner, 0..8)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_json_makes_reading_an_endpoint_panic(mut value in any_json(), whole in any::<bool>()) {
        if let (true, Value::Object(map)) = (whole, &mut value) {
            map.insert("url".into(), json!("https://hooks.example/"));
        }
        let _ = EndpointConfig::from_json(value.to_string().as_bytes());
    }

    #[test]
    fn no_bytes_make_reading_an_endpoint_panic(bytes in any::<Vec<u8>>()) {
        let _ = EndpointConfig::from_json(&bytes);
    }

    #[test]
    fn no_text_makes_a_url_a_rule_a_header_or_a_time_panic(text in any::<String>(), url in "(http|https)://[\\PC]{0,40}") {
        for text in [&text, &url] {
            if let Ok(target) = Target::parse(text) {
                let _ = AddressPolicy::default().check_literal(&target);
                // What was read is what is sent: reading it again changes nothing.
                let again = format!("{target}{}", target.path());
                prop_assert_eq!(Target::parse(&again), Ok(target));
            }
            let _ = AddressPolicy::allowing([text.as_str()]);
            let _ = retry_after(text.as_bytes(), waybill_types::Timestamp::EPOCH);
            let _ = check_name(text);
        }
    }

    #[test]
    fn a_header_that_is_taken_is_one_line(name in any::<String>(), value in any::<String>()) {
        if let Ok(taken) = checked([(name.as_str(), value.as_str())]) {
            for (name, value) in taken {
                prop_assert!(!name.as_str().contains(['\r', '\n', ':', ' ', '\0']));
                prop_assert!(!value.as_bytes().iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
            }
        }
    }

    #[test]
    fn what_is_shown_is_one_line(bytes in any::<Vec<u8>>(), longest in 0_usize..64) {
        prop_assert!(!printable(&bytes, longest).chars().any(char::is_control));
    }
}
