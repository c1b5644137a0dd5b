//! Lists of tags, `name=value; name=value` (RFC 6376, section 3.2), as far as the library does not tell.

/// The value of a tag, without space around it.
pub(crate) fn find<'a>(list: &'a [u8], name: &str) -> Option<&'a [u8]> {
    list.split(|byte| *byte == b';').find_map(|tag| {
        let equals = tag.iter().position(|byte| *byte == b'=')?;
        (tag[..equals].trim_ascii() == name.as_bytes()).then(|| tag[equals + 1..].trim_ascii())
    })
}

/// Whether a tag that lists words, joined by colons, has one of these; a tag that is not there has all.
pub(crate) fn lists(list: &[u8], name: &str, words: &[&str]) -> bool {
    let Some(value) = find(list, name) else { return true };
    let is_one = |word: &[u8]| words.iter().any(|known| word.trim_ascii().eq_ignore_ascii_case(known.as_bytes()));
    value.split(|byte| *byte == b':').any(is_one)
}

/// A signature's field as it was when it was signed: the value of `b` taken out, and the line end behind it.
pub(crate) fn unsigned(value: &[u8]) -> Vec<u8> {
    let value = value.strip_suffix(b"\n").map_or(value, |line| line.strip_suffix(b"\r").unwrap_or(line));
    let mut kept = Vec::with_capacity(value.len());
    for (index, tag) in value.split(|byte| *byte == b';').enumerate() {
        if index > 0 {
            kept.push(b';');
        }
        match tag.iter().position(|byte| *byte == b'=') {
            Some(equals) if tag[..equals].trim_ascii() == b"b" => kept.extend_from_slice(&tag[..=equals]),
            _ => kept.extend_from_slice(tag),
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_found_by_their_name() {
        let list = b"v=1; a = x;\r\n\tb =c=d ;bh=e";
        for (name, value) in [("v", Some("1")), ("a", Some("x")), ("b", Some("c=d")), ("bh", Some("e")), ("h", None)] {
            assert_eq!(find(list, name), value.map(str::as_bytes), "{name}");
        }
        assert!(lists(b"t=y:s", "t", &["s"]) && lists(b"v=1", "t", &["s"]) && !lists(b"t=y", "t", &["s"]));
    }

    #[test]
    fn only_the_signature_is_taken_out() {
        assert_eq!(unsigned(b" v=1; bh=x; b=abc\r\n\tdef\r\n"), b" v=1; bh=x; b=");
        assert_eq!(unsigned(b" b = a ; bh=x;\n"), b" b =; bh=x;");
        assert_eq!(unsigned(b""), b"");
    }
}
