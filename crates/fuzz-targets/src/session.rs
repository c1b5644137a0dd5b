//! A conversation by SMTP, out of bytes.

use crate::doubles::{Keeping, Taken, now, run};
use crate::transcript;
use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use waybill_policy::ScriptedPolicy;
use waybill_smtp::inbound::{Ends, ListenerConfig, Shared, serve};
use waybill_types::IdMint;

pub(crate) const WORDS: &[&str] = &[
    "EHLO c.example\r\n",
    "HELO c\r\n",
    "MAIL FROM:<a@example.com>\r\n",
    "MAIL FROM:<> SIZE=5 SMTPUTF8\r\n",
    "RCPT TO:<b@example.com>\r\n",
    "RCPT TO:<\"b c\"@example.com>\r\n",
    "DATA\r\n",
    "\r\n.\r\n",
    ".\r\n",
    "\n.\n",
    "\r.\r\n",
    "\r\n..\r\n",
    "RSET\r\n",
    "NOOP\r\n",
    "VRFY x\r\n",
    "AUTH PLAIN AGEAYg==\r\n",
    "XCLIENT ADDR=192.0.2.7 NAME=c.example\r\n",
    "STARTTLS\r\n",
    "QUIT\r\n",
    "\r\n",
    "Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n",
];
pub(crate) const PROXY_WORDS: &[&str] = &[
    "PROXY TCP4 192.0.2.1 198.51.100.9 56324 443\r\n",
    "PROXY TCP6 2001:db8::1 ::1 1 25\r\n",
    "PROXY UNKNOWN\r\n",
    "\r\n\r\n\0\r\nQUIT\n",
    "\x21\x11\0\x0c",
    "\x20\0\0\0",
    "RCPT TO:<b@elsewhere.example>\r\n",
    "MAIL FROM:<a@example.com>\r\n",
    "65535",
];

/// What becomes of a CR or LF that stands alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LineEndings {
    Deny,
    Allow,
    Fix,
}

/// How the listener is set up.
#[derive(Clone, Copy, Debug)]
struct Setup {
    endings: LineEndings,
    xclient: bool,
    by_domain: bool,
    proxy: bool,
}

impl Setup {
    /// Out of the first byte: a digit, so that a corpus can be read.
    fn of(byte: u8, proxy: bool) -> Self {
        let endings = [LineEndings::Deny, LineEndings::Allow, LineEndings::Fix][usize::from(byte % 3)];
        Setup { endings, xclient: byte & 8 != 0, by_domain: byte & 4 != 0, proxy }
    }
}

/// What was said and taken.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Talk {
    /// Every byte of ours.
    pub(crate) said: Vec<u8>,
    /// The messages of each transaction.
    pub(crate) taken: Vec<Vec<Taken>>,
    rejected: Vec<String>,
}

/// The replies answer the lines, messages are what stood between DATA and the first CRLF.CRLF, and all of this is the same
/// in whatever pieces the bytes come. The first byte sets the listener up.
pub(crate) fn smtp_session(data: &[u8]) {
    let Some((&first, script)) = data.split_first() else { return };
    let setup = Setup::of(first, false);
    let whole = talk(setup, vec![Bytes::copy_from_slice(script)]);
    transcript::check(setup.endings, script, &whole);
    in_pieces(setup, script, &whole);
}

/// The same behind a proxy that names the client: without a header nothing is said at all.
pub(crate) fn proxy_header(data: &[u8]) {
    let setup = Setup::of(0, true);
    let whole = talk(setup, vec![Bytes::copy_from_slice(data)]);
    if !data.starts_with(b"PROXY ") && !data.starts_with(b"\r\n\r\n\0\r\nQUIT\n") {
        assert_eq!((whole.said.len(), whole.taken.len()), (0, 0), "said without a header");
    }
    in_pieces(setup, data, &whole);
}

fn in_pieces(setup: Setup, script: &[u8], whole: &Talk) {
    // Whether something came along with STARTTLS is told by how the bytes came, and is to be told so.
    if script.to_ascii_uppercase().windows(8).any(|word| word == b"STARTTLS") {
        return;
    }
    let same = |pieces: Vec<Bytes>, how: &str| {
        let other = talk(setup, pieces);
        assert!(other == *whole, "{how}: {}\nin one piece: {}", told(&other), told(whole));
    };
    same(cut_at_random(script), "in pieces");
    if script.len() <= 600 {
        same(script.chunks(1).map(Bytes::copy_from_slice).collect(), "byte by byte");
    }
}

fn told(talk: &Talk) -> String {
    format!("{:?} {:?} {:?}", String::from_utf8_lossy(&talk.said), talk.taken, talk.rejected)
}

/// Where it is cut depends on the bytes alone.
fn cut_at_random(script: &[u8]) -> Vec<Bytes> {
    let seed =
        script.iter().fold(script.len() as u64, |seed, byte| seed.wrapping_mul(31).wrapping_add(u64::from(*byte)));
    let mut random = StdRng::seed_from_u64(seed);
    let mut rest = Bytes::copy_from_slice(script);
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        pieces.push(rest.split_to(random.random_range(1..=rest.len().min(64))));
    }
    pieces
}

fn talk(setup: Setup, pieces: Vec<Bytes>) -> Talk {
    run(async {
        let intake = Arc::new(Keeping::default());
        let said = Arc::new(parking_lot::Mutex::new(Vec::new()));
        let stream = Script { pieces: pieces.into(), said: said.clone() };
        let shared = Arc::new(shared(setup, intake.clone()));
        let ends = Ends::new(([127, 0, 0, 1], 39780).into(), ([127, 0, 0, 1], 2025).into());
        let (_running, stopping) = watch::channel(false);
        serve(stream, ends, shared, stopping).await;
        let said = said.lock().clone();
        Talk { said, taken: intake.batches(), rejected: intake.rejections() }
    })
}

fn shared(setup: Setup, intake: Arc<Keeping>) -> Shared {
    static POLICY: OnceLock<ScriptedPolicy> = OnceLock::new();
    let config: ListenerConfig = serde_json::from_value(json!({
        "hostname": "mta.example",
        "invalid_line_endings": format!("{:?}", setup.endings),
        "batch_handling": if setup.by_domain { "BatchByDomain" } else { "BifurcateAlways" },
        "allow_xclient": setup.xclient,
        "require_proxy_protocol": setup.proxy,
        "max_message_size": 2000,
        "line_length_hard_limit": 200,
        "max_recipients_per_message": 4,
        "max_messages_per_connection": 6,
        "trace_headers": { "received_header": false, "supplemental_header": false },
    }))
    .expect("a configuration");
    // A policy remembers its calls, so this one handles nothing and is asked for nothing.
    let policy = POLICY.get_or_init(ScriptedPolicy::new).clone();
    let mut shared = Shared::new(config, "system.example", Arc::new(policy), intake, Arc::new(now));
    shared.mint = Arc::new(IdMint::new([0xab; 8]));
    shared
}

/// A client that has said everything already, in pieces, and hears everything.
struct Script {
    pieces: VecDeque<Bytes>,
    said: Arc<parking_lot::Mutex<Vec<u8>>>,
}

impl AsyncRead for Script {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Some(mut piece) = self.pieces.pop_front() else { return Poll::Ready(Ok(())) };
        let part = piece.split_to(piece.len().min(buf.remaining()));
        buf.put_slice(&part);
        if !piece.is_empty() {
            self.pieces.push_front(piece);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Script {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.said.lock().extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
