use super::call::Body;
use crate::misuse::Misuse;
use anyhow::Context;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde_json::Value;
use std::path::{Path, PathBuf};
use waybill_types::Timestamp;

/// What is published.
#[derive(Clone, PartialEq, Eq, Debug, Default, Args)]
pub(super) struct MessageArgs {
    /// The key, as text
    #[arg(long, value_name = "TEXT", group = "a_key")]
    key: Option<String>,
    /// A file that holds the key
    #[arg(long, value_name = "FILE", group = "a_key")]
    key_file: Option<PathBuf>,
    /// The key, in base64
    #[arg(long, value_name = "BASE64", group = "a_key")]
    key_bytes: Option<String>,
    /// The value, as text
    #[arg(long, value_name = "TEXT", group = "a_value")]
    value: Option<String>,
    /// A file that holds the value
    #[arg(long, value_name = "FILE", group = "a_value")]
    value_file: Option<PathBuf>,
    /// The value, in base64
    #[arg(long, value_name = "BASE64", group = "a_value")]
    value_bytes: Option<String>,
    /// The time of the message: RFC 3339, or microseconds since the epoch [default: when it is published]
    #[arg(long, value_name = "TIME")]
    time: Option<String>,
}

/// The body of a publish: as texts where everything is one, else in base64.
pub(super) fn body(args: &MessageArgs) -> anyhow::Result<Value> {
    let key = bytes("key", args.key.as_deref(), args.key_file.as_deref(), args.key_bytes.as_deref())?;
    let value = bytes("value", args.value.as_deref(), args.value_file.as_deref(), args.value_bytes.as_deref())?;
    let text = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(|bytes| String::from_utf8(bytes.clone()).ok());
    let mut body = Body::default();
    match (text(&key), text(&value)) {
        (Some(None), _) | (_, Some(None)) => {
            body.set("encoding", Some("base64"));
            body.set("key", key.map(|key| STANDARD.encode(key)));
            body.set("value", value.map(|value| STANDARD.encode(value)));
        }
        (key, value) => {
            body.set("encoding", Some("string")).set("key", key.flatten()).set("value", value.flatten());
        }
    }
    body.set("time", args.time.as_deref().map(time).transpose()?);
    Ok(body.json())
}

fn bytes(what: &str, text: Option<&str>, file: Option<&Path>, base64: Option<&str>) -> anyhow::Result<Option<Vec<u8>>> {
    if let Some(text) = text {
        return Ok(Some(text.as_bytes().to_vec()));
    }
    if let Some(file) = file {
        return std::fs::read(file).map(Some).with_context(|| format!("read the {what} from {}", file.display()));
    }
    let Some(base64) = base64 else { return Ok(None) };
    let decoded = STANDARD.decode(base64);
    decoded.map(Some).map_err(|why| Misuse::new(format!("--{what}-bytes is no padded base64: {why}")).into())
}

/// Microseconds since the epoch.
pub(super) fn time(text: &str) -> anyhow::Result<i64> {
    let micros = text.parse().ok().or_else(|| Timestamp::parse_rfc3339(text).map(|time| time.nanos() / 1000));
    micros.ok_or_else(|| {
        Misuse::new(format!("--time {text}: expected RFC 3339 or a number of microseconds since the epoch")).into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn texts_are_sent_as_texts_and_everything_else_as_base64() {
        let args = MessageArgs { key: Some("k".into()), value: Some("hello".into()), ..MessageArgs::default() };
        assert_eq!(body(&args).unwrap(), json!({"encoding": "string", "key": "k", "value": "hello"}));
        let args = MessageArgs { key: Some("k".into()), value_bytes: Some("/w==".into()), ..MessageArgs::default() };
        assert_eq!(body(&args).unwrap(), json!({"encoding": "base64", "key": "aw==", "value": "/w=="}));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "from a file\n").unwrap();
        let args = MessageArgs { value_file: Some(file.path().to_owned()), ..MessageArgs::default() };
        assert_eq!(body(&args).unwrap(), json!({"encoding": "string", "value": "from a file\n"}));
        assert_eq!(body(&MessageArgs::default()).unwrap(), json!({"encoding": "string"}), "neither key nor value");
    }

    #[test]
    fn a_time_is_a_date_or_microseconds() {
        assert_eq!(time("2023-09-23T17:42:07.24796Z").unwrap(), 1_695_490_927_247_960);
        assert_eq!(time("1695490927247960").unwrap(), 1_695_490_927_247_960);
        assert!(time("yesterday").unwrap_err().is::<Misuse>());
        let wrong = MessageArgs { key_bytes: Some("?".into()), ..MessageArgs::default() };
        assert!(body(&wrong).unwrap_err().to_string().contains("--key-bytes"));
        let missing = MessageArgs { key_file: Some("/no/such/file".into()), ..MessageArgs::default() };
        assert!(format!("{:#}", body(&missing).unwrap_err()).contains("/no/such/file"));
    }
}
