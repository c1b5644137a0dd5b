//! What fields of the record and of the policy have in common.

/// Whether this may be the name of a field: a letter or digit, then up to 31 of those, `_`, `-` and `.`.
pub(crate) fn is_name(text: &str) -> bool {
    let more = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    (1..=32).contains(&text.len()) && text.as_bytes()[0].is_ascii_alphanumeric() && text.bytes().all(more)
}
