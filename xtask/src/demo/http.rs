//! As much of HTTP/1.1 as a webhook sender needs on the other side.

use std::io::{BufRead, Read, Write};

use anyhow::{Context, Result, bail};

/// The longest request line and headers that are read.
const HEAD_LIMIT: u64 = 64 * 1024;
/// The longest body that is read: many times a batch of records.
const BODY_LIMIT: u64 = 16 * 1024 * 1024;

/// The body of the next request on a connection; nothing when the peer has closed it.
pub(super) fn read_body(connection: &mut impl BufRead) -> Result<Option<Vec<u8>>> {
    let mut head = connection.by_ref().take(HEAD_LIMIT);
    let request_line = read_line(&mut head)?;
    if request_line.is_empty() {
        return Ok(None);
    }
    if !request_line.ends_with("HTTP/1.1") && !request_line.ends_with("HTTP/1.0") {
        bail!("no request of HTTP/1: {request_line}");
    }
    let mut length = 0;
    loop {
        let line = read_line(&mut head)?;
        let Some((name, value)) = line.split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => {
                length = value.trim().parse().with_context(|| format!("content-length is `{value}`"))?
            }
            "transfer-encoding" => bail!("transfer-encoding is more than this receiver knows"),
            _ => {}
        }
    }
    if length > BODY_LIMIT {
        bail!("a body of {length} bytes");
    }
    let mut body = Vec::new();
    connection.by_ref().take(length).read_to_end(&mut body).context("read the body")?;
    if (body.len() as u64) < length {
        bail!("the body ended after {} of {length} bytes", body.len());
    }
    Ok(Some(body))
}

/// Answers with a short text and leaves the connection open.
pub(super) fn answer(connection: &mut impl Write, status: &str, text: &str) -> Result<()> {
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n", text.len());
    connection.write_all(format!("{head}{text}").as_bytes()).context("answer")
}

fn read_line(head: &mut impl BufRead) -> Result<String> {
    let mut line = String::new();
    head.read_line(&mut line).context("read the request's head")?;
    Ok(line.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_follow_each_other_on_a_connection() {
        let mut bytes = &b"POST /log HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}GET / HTTP/1.1\r\n\r\n"[..];
        assert_eq!(read_body(&mut bytes).unwrap(), Some(b"{}".to_vec()));
        assert_eq!(read_body(&mut bytes).unwrap(), Some(Vec::new()));
        assert_eq!(read_body(&mut bytes).unwrap(), None);
    }

    #[test]
    fn what_is_cut_short_or_unknown_is_refused() {
        for request in [
            "hello\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n{}",
            "POST / HTTP/1.1\r\nContent-Length: many\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ] {
            assert!(read_body(&mut request.as_bytes()).is_err(), "{request}");
        }
    }

    #[test]
    fn the_answer_tells_its_length() {
        let mut sent = Vec::new();
        answer(&mut sent, "200 OK", "thanks").unwrap();
        assert!(String::from_utf8(sent).unwrap().ends_with("Content-Length: 6\r\n\r\nthanks"));
    }
}
