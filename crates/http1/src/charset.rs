use encoding_rs::{Encoding, UTF_8};

/// The charset that a `content-type` names, UTF-8 when it names none or one that nobody knows.
pub fn charset(content_type: Option<&[u8]>) -> &'static Encoding {
    let content_type = content_type.and_then(|value| std::str::from_utf8(value).ok()).unwrap_or_default();
    let named = content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
    });
    named.and_then(|label| Encoding::for_label(label.as_bytes())).unwrap_or(UTF_8)
}
