//! `multipart/form-data` (RFC 7578), read: text fields only.

/// Name and text of each part.
pub(super) fn parse(content_type: &str, body: &[u8]) -> Result<Vec<(String, String)>, &'static str> {
    let boundary = parameter(content_type, "boundary").filter(|boundary| (1..=70).contains(&boundary.len()));
    let delimiter = format!("--{}", boundary.ok_or("its Content-Type names no boundary")?);
    let line = format!("\r\n{delimiter}");
    let unended = "it does not end with its boundary";
    let start = match body.strip_prefix(delimiter.as_bytes()) {
        Some(rest) => rest,
        None => &body[find(body, line.as_bytes()).ok_or("its boundary is not there")? + line.len()..],
    };
    let mut rest = start;
    let mut parts = Vec::new();
    while !rest.starts_with(b"--") {
        let begin = find(rest, b"\r\n").ok_or(unended)?;
        let end = find(&rest[begin..], line.as_bytes()).ok_or(unended)? + begin;
        // The line end of the delimiter belongs to the head, so that a head without headers ends at once.
        parts.push(part(&rest[begin..end])?);
        rest = &rest[end + line.len()..];
    }
    Ok(parts)
}

/// Of `\r\n HEADERS \r\n\r\n TEXT`.
fn part(part: &[u8]) -> Result<(String, String), &'static str> {
    let head_end = find(part, b"\r\n\r\n").ok_or("a part has no head")?;
    let head = std::str::from_utf8(&part[..head_end]).map_err(|_| "a part's head is no UTF-8")?;
    let is_disposition =
        |line: &&str| line.get(..20).is_some_and(|name| name.eq_ignore_ascii_case("content-disposition:"));
    let disposition = head.split("\r\n").find(is_disposition).ok_or("a part has no Content-Disposition")?;
    let name = parameter(disposition, "name").ok_or("a part has no name")?;
    let text = std::str::from_utf8(&part[head_end + 4..]).map_err(|_| "a part is no UTF-8 text")?;
    Ok((name, text.to_owned()))
}

/// A parameter of a header, quoted or not.
fn parameter(header: &str, name: &str) -> Option<String> {
    let mut rest = header;
    while let Some((_, behind)) = rest.split_once(';') {
        let behind = behind.trim_start();
        let (key, value) = behind.split_once('=')?;
        let (text, after) = match value.strip_prefix('"') {
            Some(quoted) => {
                let end = quoted.find('"')?;
                (&quoted[..end], &quoted[end + 1..])
            }
            None => {
                let end = value.find(';').unwrap_or(value.len());
                (value[..end].trim(), &value[end..])
            }
        };
        if key.trim().eq_ignore_ascii_case(name) {
            return Some(text.to_owned());
        }
        rest = after;
    }
    None
}

fn find(within: &[u8], what: &[u8]) -> Option<usize> {
    within.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &str = "multipart/form-data; charset=utf-8; boundary=\"a;b\"";

    #[test]
    fn text_fields_are_read_as_curl_sends_them() {
        let body = "preamble\r\n--a;b\r\nContent-Disposition: form-data; name=\"source\"\r\n\r\nlog\r\n--a;b\r\n\
                    X: y\r\ncontent-disposition: form-data; filename=\"f;name=x\"; name=config.body\r\n\r\n\r\n--b\r\n\r\n--a;b--\r\n";
        let parts = parse(TYPE, body.as_bytes()).unwrap();
        assert_eq!(parts, [("source".into(), "log".into()), ("config.body".into(), "\r\n--b\r\n".into())]);
        assert_eq!(parse(TYPE, b"--a;b--").unwrap(), []);
    }

    #[test]
    fn torn_bodies_are_refused_at_every_length() {
        let body = b"--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--x--";
        let of = |len: usize| parse("multipart/form-data; boundary=x", &body[..len]);
        assert!(of(body.len()).is_ok());
        for len in 0..body.len() {
            assert!(of(len).is_err(), "{len}");
        }
        assert!(parse("multipart/form-data", body).is_err());
        assert!(parse("multipart/form-data; boundary=x", b"--x\r\nA: b\r\n\r\n1\r\n--x--").is_err());
        assert!(parse("multipart/form-data; boundary=x", b"--x\r\n\r\n1\r\n--x--").is_err());
    }
}
