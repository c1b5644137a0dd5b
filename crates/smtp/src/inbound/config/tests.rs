use super::*;
use serde_json::{from_value, json};

fn config(table: Value) -> Result<ListenerConfig, String> {
    from_value(table).map_err(|error| error.to_string())
}

fn params(table: Value, peer: &str, via: &str) -> SessionParams {
    config(table).unwrap().params_for(peer.parse().unwrap(), via.parse().unwrap())
}

#[test]
fn an_empty_table_gives_the_documented_defaults() {
    let listener = config(json!({})).unwrap();
    assert_eq!((listener.listen.as_str(), listener.max_connections), ("127.0.0.1:2025", 32_768));
    let params = params(json!({}), "192.0.2.1", "192.0.2.2");
    assert_eq!(params, SessionParams::default());
    assert!(params.relay_hosts.contains("::1".parse().unwrap()));
}

#[test]
fn every_key_is_read() {
    let table = json!({
        "listen": "0:2026", "hostname": "mta.example", "relay_hosts": ["10.0.0.0/8"], "banner": "hello",
        "max_connections": 5, "client_timeout": "5 mins", "data_processing_timeout": 7,
        "max_messages_per_connection": 3, "max_recipients_per_message": 4, "max_message_size": 100,
        "data_buffer_size": 1000, "batch_handling": "BatchByDomain", "deferred_spool": false,
        "deferred_queue": false, "invalid_line_endings": "Fix", "line_length_hard_limit": 2000,
        "allow_xclient": false, "require_proxy_protocol": false,
        "trace_headers": {"received_header": false, "include_meta_names": ["tenant"]},
        "tls_certificate": null, "tls_private_key": null, "tls_required_client_ca": null,
        "meta": {"site": "a"}, "peer": {}, "via": {},
    });
    let listener = config(table.clone()).unwrap();
    assert_eq!((listener.listen.as_str(), listener.max_connections), ("0:2026", 5));
    let params = params(table, "192.0.2.1", "192.0.2.2");
    assert_eq!(params.client_timeout, Duration::from_secs(300));
    assert_eq!(params.data_processing_timeout, Duration::from_secs(7));
    assert_eq!(params.batch_handling, BatchHandling::BatchByDomain);
    assert_eq!(params.invalid_line_endings, InvalidLineEndings::Fix);
    assert_eq!((params.max_message_size, params.line_length_hard_limit), (100, 2000));
    assert_eq!(params.trace_headers.include_meta_names, ["tenant"]);
    assert!(!params.trace_headers.received_header && params.trace_headers.supplemental_header);
    assert_eq!(params.meta["site"], "a");
    assert!(!params.relay_hosts.contains("127.0.0.1".parse().unwrap()));
}

#[test]
fn mail_can_be_deferred_for_some_networks_only() {
    let table = json!({"peer": {"10.0.0.0/8": {"deferred_queue": true}}});
    assert!(params(table.clone(), "10.1.2.3", "192.0.2.2").deferred_queue);
    assert!(!params(table, "192.0.2.1", "192.0.2.2").deferred_queue);
}

#[test]
fn nonsense_is_refused_with_a_reason() {
    for (table, reason) in [
        (json!({"colour": 1}), "unknown field `colour`, expected one of `listen`"),
        (json!({"client_timeout": "soon"}), "invalid value: string \"soon\", expected a duration"),
        (json!({"listen": "mta.example"}), "`listen` is to be ADDRESS:PORT"),
        (json!({"max_message_size": -1}), "invalid value: integer `-1`"),
        (json!({"allow_xclient": "yes"}), "invalid type: string \"yes\", expected a boolean"),
        (json!({"invalid_line_endings": "Ignore"}), "unknown variant `Ignore`"),
        (json!({"relay_hosts": ["example.com"]}), "expected an IP address or a CIDR"),
        (json!({"listen": "a b:25"}), "`listen` is to be ADDRESS:PORT, got \"a b:25\""),
        (json!({"banner": "a\r\n250 b"}), "`banner` is \"a\\r\\n250 b\", expected a text without control characters"),
        (json!({"hostname": "a b"}), "`hostname` is \"a b\", expected a host's name without spaces"),
        (json!({"hostname": ""}), "expected a text without control characters, got \"\""),
        (
            json!({"data_buffer_size": 9_000_000_000_000_000_000_u64}),
            "`data_buffer_size` is 9000000000000000000, expected",
        ),
        (json!({"client_timeout": 1e12}), "expected a duration of at most 36525 days, got 1000000000000"),
        (json!({"peer": {"10.0.0.0/8": {"banner": "\u{0}"}}}), "`banner` is"),
        (json!({"trace_headers": {"header_name": "X Ref"}}), "`header_name` is no name for a header"),
        (json!({"trace_headers": {"header_name": "X-A:\r\nX-B"}}), "`header_name` is no name for a header"),
        (json!({"trace_headers": {"colour": 1}}), "unknown field `colour`"),
        (json!({"peer": {"10.0.0.0/8": {"listen": "0:25"}}}), "`listen` belongs to the whole listener"),
        (json!({"peer": {"everywhere": {}}}), "expected an IP address or a CIDR"),
    ] {
        let error = config(table).unwrap_err();
        assert!(error.starts_with(reason), "{error}");
    }
}

#[test]
fn none_at_all_is_refused_by_name_wherever_it_stands() {
    let counts = [
        "max_connections",
        "max_messages_per_connection",
        "max_recipients_per_message",
        "max_message_size",
        "data_buffer_size",
        "line_length_hard_limit",
    ];
    for (keys, what) in [(&counts[..], "number"), (&["client_timeout", "data_processing_timeout"], "duration")] {
        for key in keys {
            let error = config(json!({ *key: 0 })).unwrap_err();
            assert_eq!(error, format!("`{key}` is 0, expected a {what} above zero"));
            assert!(config(json!({ *key: 1 })).is_ok(), "{key}");
            for table in ["peer", "via"] {
                let error =
                    config(json!({ table: {"10.0.0.0/8": {"peer": {"10.1.0.0/16": { *key: 0 }}}}})).unwrap_err();
                assert!(error.starts_with(&format!("`{key}` ")), "{error}");
            }
        }
    }
}

#[test]
fn peer_then_via_refine_the_listener_recursively() {
    let table = json!({
        "banner": "all", "meta": {"a": 1, "b": 1},
        "peer": {
            "10.0.0.0/8": {"banner": "ten", "max_message_size": 10},
            "10.1.0.0/16": {
                "banner": "ten-one", "meta": {"b": 2},
                "via": {"192.0.2.0/24": {"hostname": "inner.example"}},
            },
        },
        "via": {"192.0.2.1": {"banner": "via", "relay_hosts": []}},
    });
    let one = params(table.clone(), "10.1.2.3", "192.0.2.9");
    assert_eq!((one.banner.as_str(), one.hostname.as_deref()), ("ten-one", Some("inner.example")));
    assert_eq!((one.meta["a"].clone(), one.meta["b"].clone()), (json!(1), json!(2)));
    assert_eq!(one.max_message_size, SessionParams::default().max_message_size, "only the longest prefix applies");
    let two = params(table.clone(), "10.2.0.1", "192.0.2.1");
    assert_eq!((two.banner.as_str(), two.max_message_size), ("via", 10));
    assert_eq!(two.relay_hosts, CidrSet::default());
    assert_eq!(params(table, "203.0.113.1", "203.0.113.2").banner, "all");
}
