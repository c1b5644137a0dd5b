//! The one form of a request that both sides agree on.

/// The path, encoded once more than it is sent; S3 alone takes it as it is sent.
pub(crate) fn path(path: &str, service: &str) -> String {
    if service == "s3" {
        return encode(&decode(if path.is_empty() { "/" } else { path }), b"/");
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let mut normal = format!("/{}", parts.join("/"));
    if normal.len() > 1 && (path.ends_with('/') || path.ends_with("/.") || path.ends_with("/..")) {
        normal.push('/');
    }
    encode(normal.as_bytes(), b"/")
}

/// The query, encoded and in order.
pub(crate) fn query(query: &[(String, String)]) -> String {
    let mut pairs: Vec<(String, String)> =
        query.iter().map(|(name, value)| (encode(name.as_bytes(), b""), encode(value.as_bytes(), b""))).collect();
    pairs.sort();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

/// The headers, a line each, and their names.
pub(crate) fn headers(headers: &[(String, String)]) -> (String, String) {
    let mut lines: Vec<(String, Vec<String>)> = Vec::new();
    for (name, value) in headers {
        let name = name.to_ascii_lowercase();
        let value = value.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
        let value = value.trim().to_owned();
        match lines.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => values.push(value),
            None => lines.push((name, vec![value])),
        }
    }
    lines.sort();
    let text = lines.iter().map(|(name, values)| format!("{name}:{}\n", values.join(","))).collect();
    (text, lines.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(";"))
}

/// Everything but the unreserved characters of RFC 3986 and `also` as `%XX`.
fn encode(bytes: &[u8], also: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) || also.contains(byte) {
            out.push(char::from(*byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn decode(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let coded = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        match coded.filter(|_| bytes[at] == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    out
}
