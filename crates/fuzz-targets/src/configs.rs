//! Tables of options, as they come out of a policy.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::net::IpAddr;
use waybill_http_api::HttpListenerConfig;
use waybill_lua::read_section;
use waybill_queue_core::config::{EgressPathConfig, EgressPool, EgressSource, QueueConfig};
use waybill_queue_core::retry::at_least;
use waybill_smtp::inbound::ListenerConfig;

pub(crate) const WORDS: &[&str] = &[
    "queue\n",
    "path\n",
    "source\n",
    "pool\n",
    "smtp\n",
    "http\n",
    r#""retry_interval":"5m""#,
    r#""max_message_rate":"100/s""#,
    r#""protocol":{"custom_lua":{"constructor":"x"}}"#,
    r#""connection_limit":"local:10""#,
    r#""prohibited_hosts":["127.0.0.0/8"]"#,
    r#""peer":{"192.0.2.0/24":{"banner":"x"}}"#,
    r#""relay_hosts":["::1/128"]"#,
    r#""listen":"127.0.0.1:25""#,
    r#""trusted_hosts":["::/0"]"#,
    r#""name":"n""#,
    r#""entries":[{"name":"a","weight":0}]"#,
    r#""source_address":"192.0.2.1""#,
    "18446744073709551616",
    "-1",
    "1e400",
    "null",
    "{}",
    "[]",
    "true",
];

/// A table is refused with a sentence, or shown as something that reads as the same. The kind stands in the first line.
pub(crate) fn config_table(data: &[u8]) {
    let Some(end) = data.iter().position(|byte| *byte == b'\n') else { return };
    let Ok(json) = serde_json::from_slice::<Value>(&data[end + 1..]) else { return };
    match &data[..end] {
        b"queue" => {
            if let Some(config) = shown_as_it_reads::<QueueConfig>(&json) {
                queue(&config);
            }
        }
        b"path" => shown_always_alike::<EgressPathConfig>(&json),
        b"source" => shown_always_alike::<EgressSource>(&json),
        b"pool" => drop(shown_as_it_reads::<EgressPool>(&json)),
        // What may hold a key is shown nowhere.
        b"http" => drop(read::<HttpListenerConfig>(&json)),
        b"smtp" => {
            if let Some(config) = read::<ListenerConfig>(&json) {
                let address = |last| IpAddr::from([192, 0, 2, last]);
                let params = config.params_for(address(1), address(2));
                assert_eq!(params, config.params_for(address(1), address(2)));
            }
        }
        _ => {}
    }
}

/// Waits stay within what the table says, however often something was tried.
fn queue(config: &QueueConfig) {
    let retry = config.retry();
    let mut last = std::time::Duration::ZERO;
    for attempts in [0, 1, 2, 63, 64, u16::MAX] {
        let wait = retry.delay(attempts);
        assert!(wait >= last, "{config:?}: the wait behind {attempts} attempts is {wait:?}");
        assert!(at_least(wait, None) >= wait);
        last = wait;
    }
}

fn shown_as_it_reads<T: Serialize + DeserializeOwned + PartialEq>(json: &Value) -> Option<T> {
    let config = read::<T>(json)?;
    let shown = serde_json::to_value(&config).expect("a table");
    match read_section::<T>(&shown) {
        Ok(again) => assert!(again == config, "{json} is shown as {shown}"),
        Err(error) => panic!("{json} is shown as {shown}, which is refused: {error}"),
    }
    Some(config)
}

/// What may hold a secret is shown without it: what is shown reads as a table that is shown in the same way.
fn shown_always_alike<T: Serialize + DeserializeOwned>(json: &Value) {
    let Some(config) = read::<T>(json) else { return };
    let shown = serde_json::to_value(&config).expect("a table");
    let again = read_section::<T>(&shown).unwrap_or_else(|error| panic!("{json} is shown as {shown}: {error}"));
    assert_eq!(serde_json::to_value(&again).expect("a table"), shown, "{json}");
}

fn read<T: DeserializeOwned>(json: &Value) -> Option<T> {
    match read_section::<T>(json) {
        Ok(config) => Some(config),
        Err(error) => {
            assert!(error.starts_with("deserialize error: ") && error.len() > 25, "{error}");
            None
        }
    }
}
