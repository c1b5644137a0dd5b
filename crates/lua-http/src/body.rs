//! A response body as text in the charset it names.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8};

/// The most bytes a response body may have unless the script says otherwise: an endpoint must not be
/// able to fill the memory of the mail server.
pub const DEFAULT_MAX_RESPONSE_SIZE: u64 = 16 * 1024 * 1024;

/// The charset that the response's `content-type` names, UTF-8 when it names none or one that nobody knows.
pub(crate) fn charset(content_type: Option<&[u8]>) -> &'static Encoding {
    let content_type = content_type.and_then(|value| std::str::from_utf8(value).ok()).unwrap_or_default();
    let named = content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
    });
    named.and_then(|label| Encoding::for_label(label.as_bytes())).unwrap_or(UTF_8)
}

/// The bytes as text. A byte order mark counts more than `charset`; what cannot be read becomes U+FFFD.
pub(crate) fn decode<'a>(bytes: &'a [u8], charset: &'static Encoding) -> Cow<'a, str> {
    charset.decode(bytes).0
}
