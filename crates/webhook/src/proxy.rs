use crate::failure::Failure;
use data_encoding::BASE64;
use std::fmt::Write as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use waybill_webhook_core::{Proxy, Trouble, printable};
use waybill_webhook_sign::Secret;

/// A proxy's answer is a status line and a few headers.
const LONGEST_ANSWER: usize = 8192;

/// Has a proxy open a way to `authority` (RFC 9110, section 9.3.6). The caller limits the time.
pub(crate) async fn open_way(proxy: &Proxy, stream: &mut TcpStream, authority: &str) -> Result<(), Failure> {
    let broken = |error: std::io::Error| Failure::Trouble(Trouble::Proxy(error.to_string()));
    let request = Secret::new(request(proxy, authority));
    stream.write_all(request.reveal().as_bytes()).await.map_err(broken)?;
    let mut answer = Vec::with_capacity(512);
    let end = loop {
        if let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if answer.len() >= LONGEST_ANSWER {
            return Err(Trouble::Proxy("its answer has no end".to_owned()).into());
        }
        if stream.read_buf(&mut answer).await.map_err(broken)? == 0 {
            return Err(Trouble::Proxy("it closed the connection".to_owned()).into());
        }
    };
    let status = answer.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    let code = status.strip_prefix(b"HTTP/1.").and_then(|rest| rest.get(2..5));
    match code {
        // What is behind a way speaks when spoken to; anything before that is the proxy's own invention.
        Some([b'2', ..]) if answer.len() == end => Ok(()),
        Some([b'2', ..]) => Err(Trouble::Proxy("it sends more than its answer".to_owned()).into()),
        _ => Err(Trouble::Proxy(format!("it answers {:?}", printable(status, 200))).into()),
    }
}

fn request(proxy: &Proxy, authority: &str) -> String {
    let mut request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n");
    if let (Some(user), Some(password)) = (&proxy.username, &proxy.password) {
        let credentials = BASE64.encode(format!("{user}:{}", password.reveal()).as_bytes());
        // Writing to a String cannot fail.
        let _ = write!(request, "Proxy-Authorization: Basic {credentials}\r\n");
    }
    request + "\r\n"
}
