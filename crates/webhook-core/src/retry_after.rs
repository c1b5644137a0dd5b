use std::time::Duration;
use waybill_types::Timestamp;

/// Nobody may ask for more: an endpoint could otherwise silence itself for ever by a slip.
pub const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// What `Retry-After` (RFC 9110, section 10.2.3) asks for: seconds, or a date, counted from `now`. At most a day.
/// `None` where it says nothing that can be read; a date that is past asks for nothing.
pub fn retry_after(value: &[u8], now: Timestamp) -> Option<Duration> {
    let text = std::str::from_utf8(value).ok()?.trim_matches([' ', '\t']);
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit are more than a day.
        let seconds = text.parse().map_or(LONGEST_RETRY_AFTER, Duration::from_secs);
        return Some(seconds.min(LONGEST_RETRY_AFTER));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    let since = date.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some((Timestamp::EPOCH + since).since(now).min(LONGEST_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_the_three_forms_of_a_date_are_read() {
        // Sun, 06 Nov 1994 08:49:37 GMT
        let now = Timestamp::from_secs(784_111_777 - 90);
        let read = |text: &str| retry_after(text.as_bytes(), now).map(|wait| wait.as_secs());
        assert_eq!(read("120"), Some(120));
        assert_eq!(read(" 0 "), Some(0));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:37 GMT"), Some(90));
        assert_eq!(read("Sunday, 06-Nov-94 08:49:37 GMT"), Some(90));
        assert_eq!(read("Sun Nov  6 08:49:37 1994"), Some(90));
        assert_eq!(read("Sun, 06 Nov 1994 08:47:00 GMT"), Some(0), "past");
    }

    #[test]
    fn nobody_is_silenced_for_longer_than_a_day() {
        let read = |text: &str| retry_after(text.as_bytes(), Timestamp::EPOCH);
        for text in ["86401", "18446744073709551616", "99999999999999999999999", "Fri, 31 Dec 9999 23:59:59 GMT"] {
            assert_eq!(read(text), Some(LONGEST_RETRY_AFTER), "{text}");
        }
    }

    #[test]
    fn what_says_nothing_is_nothing() {
        for text in
            ["", "-1", "+5", "1.5", "soon", "5 s", "Sun, 99 Nov 1994 08:49:37 GMT", "Wed, 31 Dec 1969 23:59:59 GMT"]
        {
            assert_eq!(retry_after(text.as_bytes(), Timestamp::EPOCH), None, "{text}");
        }
        assert_eq!(retry_after(b"\xff", Timestamp::EPOCH), None);
    }
}
