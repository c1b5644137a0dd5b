use super::check::Believed;
use crate::show::printable;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use hyper::HeaderMap;
use hyper::header::CONTENT_TYPE;
use serde::Deserialize;
use std::net::SocketAddr;
use waybill_types::Timestamp;

/// A message as an egress webhook sends it.
#[derive(Deserialize)]
struct Sent {
    encoding: String,
    offset: u64,
    time: i64,
    key: Option<String>,
    value: Option<String>,
}

/// Now.
#[expect(clippy::disallowed_methods, reason = "a client on a terminal: there is no clock to hand in")]
pub(super) fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp::EPOCH + since.unwrap_or_default()
}

/// Where a server runs: as klev says it where that is enough, the whole address elsewhere.
pub(super) fn place(address: SocketAddr) -> String {
    if address.ip().is_loopback() { format!(":{}", address.port()) } else { address.to_string() }
}

/// What is shown of a message; `None` for a body that is none, though it is signed.
pub(super) fn text(headers: &HeaderMap, body: &[u8], believed: Believed) -> Option<String> {
    let json = headers.get(CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    if !json {
        // A key or a value alone: which of the two it is nobody says.
        let offset = offset(headers, believed).map(|offset| format!("Offset: {offset}\n")).unwrap_or_default();
        return Some(format!("{offset} Value: {}\n", printable(&String::from_utf8_lossy(body))));
    }
    let sent: Sent = serde_json::from_slice(body).ok()?;
    let decode = |text: Option<String>| match (text, sent.encoding.as_str()) {
        (None, _) => Some(Vec::new()),
        (Some(text), "base64") => STANDARD.decode(text).ok(),
        (Some(text), "string") => Some(text.into_bytes()),
        _ => None,
    };
    let (key, value) = (decode(sent.key)?, decode(sent.value)?);
    let shown = |bytes: Vec<u8>| printable(&String::from_utf8_lossy(&bytes));
    let (offset, time) = (sent.offset, date(sent.time));
    Some(format!("Offset: {offset}\n Time: {time}\n Key: {}\n Value: {}\n", shown(key), shown(value)))
}

/// The offset in the id, where the id is under a signature.
fn offset(headers: &HeaderMap, believed: Believed) -> Option<u64> {
    let id = headers.get("webhook-id").filter(|_| believed == Believed::BodyAndId)?.to_str().ok()?;
    id.rsplit('_').next()?.parse().ok()
}

/// As klev's receiver shows a time: the fraction without zeros at its end.
fn date(micros: i64) -> String {
    let Some(time) = DateTime::<Utc>::from_timestamp_micros(micros) else { return format!("{micros} microseconds") };
    let fraction = format!("{:06}", time.timestamp_subsec_micros());
    let fraction = match fraction.trim_end_matches('0') {
        "" => String::new(),
        digits => format!(".{digits}"),
    };
    format!("{}{fraction} +0000 UTC", time.format("%Y-%m-%d %H:%M:%S"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    fn headers(kind: &'static str) -> HeaderMap {
        HeaderMap::from_iter([
            (CONTENT_TYPE, HeaderValue::from_static(kind)),
            ("webhook-id".parse().unwrap(), HeaderValue::from_static("log_2VnvpTOoNFQRf0G9peK1zKlfhlf_17")),
        ])
    }

    #[test]
    fn a_message_is_printed_as_the_seed_prints_it() {
        let body = br#"{"encoding":"base64","offset":0,"time":1695490927247960,"value":"aGVsbG8gd29ybGQ="}"#;
        assert_eq!(
            text(&headers("application/json"), body, Believed::Body).unwrap(),
            "Offset: 0\n Time: 2023-09-23 17:42:07.24796 +0000 UTC\n Key: \n Value: hello world\n"
        );
    }

    #[test]
    fn a_key_or_value_alone_is_printed_with_its_offset_where_that_is_signed() {
        let kind = headers("application/octet-stream");
        assert_eq!(text(&kind, b"hello", Believed::BodyAndId).unwrap(), "Offset: 17\n Value: hello\n");
        assert_eq!(text(&kind, b"hello", Believed::Body).unwrap(), " Value: hello\n");
    }

    #[test]
    fn what_a_publisher_wrote_drives_no_terminal_and_nonsense_is_not_printed() {
        let body = br#"{"encoding":"string","offset":1,"time":0,"key":"\u001b[2J","value":"a\nOffset: 9"}"#;
        assert_eq!(
            text(&headers("application/json"), body, Believed::Body).unwrap(),
            "Offset: 1\n Time: 1970-01-01 00:00:00 +0000 UTC\n Key: \\u{1b}[2J\n Value: a Offset: 9\n"
        );
        for wrong in [&b"{}"[..], b"x", br#"{"encoding":"hex","offset":0,"time":0,"key":"a"}"#] {
            assert!(text(&headers("application/json"), wrong, Believed::Body).is_none());
        }
        assert_eq!(date(i64::MAX), "9223372036854775807 microseconds");
    }
}
