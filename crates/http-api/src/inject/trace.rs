//! Headers that lead back from a message to its injection.

use std::net::IpAddr;
use waybill_types::{EnvelopeAddress, MessageId, Timestamp};

/// The `Received` header (RFC 5321 section 4.4).
pub(crate) fn received(peer: IpAddr, hostname: &str, id: MessageId, to: &EnvelopeAddress, now: Timestamp) -> String {
    let date = now.to_utc().to_rfc2822();
    format!(
        "Received: from [{peer}] ({peer})\r\n  by {hostname} (Waybill)\r\n  with HTTP id {id} for <{to}>;\r\n  {date}\r\n"
    )
}

/// Whether a text can stand before the colon of a header (RFC 5322 section 2.2).
pub(crate) fn is_header_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 128 && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_break_a_header_are_none() {
        assert!(is_header_name("X-KumoRef"));
        for name in ["", "a b", "a:b", "a\r\nb", "é", "a\0"] {
            assert!(!is_header_name(name), "{name:?}");
        }
    }
}
