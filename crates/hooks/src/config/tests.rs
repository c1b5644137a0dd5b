use super::*;
use serde_json::{Value, from_value, json};

fn refusal<T: for<'de> Deserialize<'de> + std::fmt::Debug>(value: Value) -> String {
    from_value::<T>(value).unwrap_err().to_string()
}

#[test]
fn files_need_no_more_than_a_directory() {
    let config: LocalLogsConfig = from_value(json!({"log_dir": "/var/log/x"})).unwrap();
    assert_eq!(
        config,
        LocalLogsConfig {
            log_dir: "/var/log/x".into(),
            max_file_size: 1_000_000_000,
            max_segment_duration: None,
            compression_level: 0,
            back_pressure: 128_000,
            meta: Vec::new(),
            headers: Vec::new(),
            per_record: PerRecords::default(),
            filter_event: None,
            min_free_space: MinFree::Percent(10.0),
            min_free_inodes: MinFree::Percent(10.0),
        }
    );
    assert!(refusal::<LocalLogsConfig>(json!({})).starts_with("missing field `log_dir`"));
}

#[test]
fn every_key_of_the_contract_is_read() {
    let config: LocalLogsConfig = from_value(json!({
        "log_dir": "/l", "max_file_size": 1e6, "max_segment_duration": "5 min", "compression_level": 9,
        "back_pressure": 10, "meta": ["tenant", "x_*"], "headers": ["Subject"], "filter_event": "keep",
        "per_record": {"Any": {"enable": false}, "Bounce": {
            "enable": true, "suffix": "_b", "log_dir": "/b", "template": "{{ id }}", "segment_header": "# b\n"}},
        "min_free_space": "5%", "min_free_inodes": 100,
    }))
    .unwrap();
    assert_eq!((config.max_file_size, config.back_pressure, config.compression_level), (1_000_000, 10, 9));
    assert_eq!(config.max_segment_duration, Some(Duration::from_secs(300)));
    assert_eq!((config.min_free_space, config.min_free_inodes), (MinFree::Percent(5.0), MinFree::Amount(100)));
    assert_eq!(config.filter_event.as_deref(), Some("keep"));
    let capture = config.capture();
    assert!(capture.wants_header("SUBJECT") && capture.wants_meta("x_a") && !capture.wants_meta("y"));
}

#[test]
fn an_empty_lua_table_is_an_empty_list() {
    let config: LogHookConfig = from_value(json!({"name": "w", "meta": {}, "headers": {}, "per_record": {}})).unwrap();
    assert_eq!(config.capture(), Capture::nothing());
    assert_eq!((config.back_pressure, config.deferred_spool), (128_000, false));
    let error = refusal::<LogHookConfig>(json!({"name": "w", "meta": {"a": "b"}}));
    assert_eq!(error, "expected a list, got a table with the key \"a\"");
}

#[test]
fn what_makes_no_sense_is_refused_with_the_name_of_the_key() {
    for (key, value, expected) in [
        ("log_directory", json!("/l"), "unknown field `log_directory`, expected one of `log_dir`, `max_file_size`"),
        ("max_file_size", json!(0), "invalid value: integer `0`, expected a whole number above zero"),
        ("back_pressure", json!(1.5), "invalid value: floating point `1.5`, expected a whole number above zero"),
        ("back_pressure", json!(-1), "invalid value: integer `-1`, expected a whole number above zero"),
        ("max_segment_duration", json!(0), "max_segment_duration: expected a duration above zero"),
        ("compression_level", json!(23), "compression_level: expected at most 22, got 23"),
        ("per_record", json!({"Any": {"suffix": "../x"}}), "expected a part of a file name, got \"../x\""),
    ] {
        let mut config = json!({"log_dir": "/l"});
        config[key] = value;
        let error = refusal::<LocalLogsConfig>(config);
        assert!(error.starts_with(expected), "{key}: {error}");
    }
    let error = refusal::<LogHookConfig>(json!({"name": "w", "filter_event": "f"}));
    assert!(error.starts_with("unknown field `filter_event`"), "{error}");
}

#[test]
fn a_disposition_hook_has_a_name_and_types() {
    let config: LogDispositionHookConfig =
        from_value(json!({"name": "d", "per_record": {"Any": {"enable": false}}})).unwrap();
    assert_eq!(config.name, "d");
    assert!(!config.per_record.enables(waybill_log_record::RecordType::Delivery));
    assert!(refusal::<LogDispositionHookConfig>(json!({"name": "d", "meta": {}})).starts_with("unknown field `meta`"));
}
