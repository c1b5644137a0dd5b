//! A response body as text in the charset it names.

use std::borrow::Cow;

use encoding_rs::Encoding;
pub(crate) use waybill_http1::charset;

/// The most bytes a response body may have unless the script says otherwise: an endpoint must not be
/// able to fill the memory of the mail server.
pub const DEFAULT_MAX_RESPONSE_SIZE: u64 = 16 * 1024 * 1024;

/// The bytes as text. A byte order mark counts more than `charset`; what cannot be read becomes U+FFFD.
pub(crate) fn decode<'a>(bytes: &'a [u8], charset: &'static Encoding) -> Cow<'a, str> {
    charset.decode(bytes).0
}
