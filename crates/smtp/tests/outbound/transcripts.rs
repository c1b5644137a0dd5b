//! Whole conversations with a next hop, several in each file of `transcripts/`, and what becomes of the mail.
//!
//! `##` begins one. `S:` is what the next hop says, `C:` what it must hear, `S hex:` and `C hex:` the same in bytes; `C*5:`
//! is five of them, and `{x*N}` stands for N times x. `=` is the outcome of one message (with the command that it answers in
//! brackets), or why there is no session (`refused`) or no host (`nowhere`). `#` begins a remark. `!` is for the rest:
//!
//! ```text
//! ! path {..}, source {..}, section {..}      what policy says of them; they may name <address> and <port>
//! ! queue, zone, failing                      whose mail, what the DNS says, and a name that it fails for
//! ! sts mode: enforce; mx: ..                 the policy of there.example
//! ! from, to, body                            the message
//! ! bodiless, together                        its body is not in memory; all messages are one batch
//! ! certificate NAME                          what the next hop has, of an authority that is believed
//! ! full, watchdog DURATION                   it accepts no connection; the limit of the whole
//! ! close, gone, drained                      in between: it closes; the client does, in silence or with something
//! ! tls, tls fails                            unsaid; a handshake
//! ```
//!
//! In what is expected `<address>` and `<port>` are the next hop's, `<...>` is for words of the system.

use crate::common::{BODY, Way, deliver, mail, shown};
use crate::source::Said;
use crate::spelling::expand;
use crate::tls::{acceptor, authority, trust};
use futures::FutureExt;
use serde_json::Value as Json;
use std::fs;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_rustls::TlsAcceptor;
use waybill_delivery::ResolveError;
use waybill_dns::Zones;
use waybill_spool::Message;

/// Cues that are read before the conversation begins.
const SETUP: [&str; 15] = [
    "path",
    "source",
    "section",
    "queue",
    "zone",
    "failing",
    "sts",
    "from",
    "to",
    "body",
    "bodiless",
    "together",
    "certificate",
    "full",
    "watchdog",
];

/// One conversation.
pub(crate) struct Scene {
    place: String,
    /// With their numbers in the file.
    lines: Vec<(usize, String)>,
}

/// Every conversation.
pub(crate) fn all() -> Vec<Scene> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/outbound/transcripts");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut scenes: Vec<Scene> = Vec::new();
    for file in files {
        for (index, line) in fs::read_to_string(&file).unwrap().lines().enumerate() {
            if let Some(name) = line.strip_prefix("## ") {
                scenes.push(Scene { place: format!("{} \"{name}\"", file.display()), lines: Vec::new() });
            } else if !line.is_empty() && !line.starts_with('#') {
                scenes.last_mut().expect("a heading").lines.push((index + 1, line.to_owned()));
            }
        }
    }
    scenes
}

#[tokio::test]
async fn every_conversation_with_a_next_hop_goes_as_written() {
    let scenes = all();
    assert!(scenes.len() > 50, "the transcripts are there");
    // All that go wrong are told of, not the first alone.
    let mut wrong = Vec::new();
    for scene in scenes {
        let played =
            AssertUnwindSafe(tokio::time::timeout(Duration::from_secs(120), scene.play())).catch_unwind().await;
        match played {
            Ok(Ok(())) => {}
            Ok(Err(_)) => wrong.push(format!("{}: somebody waits for what never comes", scene.place)),
            Err(_) => wrong.push(scene.place),
        }
    }
    assert!(wrong.is_empty(), "not as written:\n{}", wrong.join("\n"));
}

impl Scene {
    /// What stands behind this cue, each time.
    fn cues(&self, word: &str) -> Vec<String> {
        let of = |line: &str| {
            let cue = line.strip_prefix("! ")?;
            let (name, rest) = cue.split_once(' ').unwrap_or((cue, ""));
            (name == word).then(|| rest.to_owned())
        };
        self.lines.iter().filter_map(|(_, line)| of(line)).collect()
    }

    fn has(&self, cue: &str) -> bool {
        !self.cues(cue).is_empty()
    }

    /// What is to become of each message.
    pub(crate) fn outcomes(&self) -> Vec<&str> {
        self.lines.iter().filter_map(|(_, line)| line.strip_prefix("= ")).collect()
    }

    async fn play(&self) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(if self.has("full") { 1 } else { 16 }).unwrap();
        let address = listener.local_addr().unwrap();
        let (way, acceptor) = self.way(address);
        let got = if self.has("full") {
            let _waiting = fill(address).await;
            self.send(&way).await
        } else {
            tokio::join!(self.send(&way), self.hop(listener, acceptor)).0
        };
        let hidden = |text: &str| {
            text.replace(&address.to_string(), "<address>").replace(&format!("_{}.", address.port()), "_<port>.")
        };
        let got: Vec<String> = got.iter().map(|text| hidden(text)).collect();
        let expected = self.outcomes();
        let same = |(got, expected): (&String, &&str)| Said(expected.replace("<...>", "{}")).is(got);
        let all = got.len() == expected.len() && got.iter().zip(&expected).all(same);
        assert!(all, "{}\nexpected {expected:#?}\ngot {got:#?}", self.place);
    }

    fn way(&self, address: SocketAddr) -> (Way, Option<TlsAcceptor>) {
        let read = |text: &String| -> Json {
            let port = address.port().to_string();
            let text = expand(text).replace("<address>", &address.to_string()).replace("<port>", &port);
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {text}: {error}", self.place))
        };
        let named = self.has("zone") || self.has("queue") || self.has("failing");
        let section = match self.cues("section").first() {
            Some(section) => read(section),
            None if named => Json::Object(Default::default()),
            None => serde_json::json!({"mx_list": [{"name": "mx.test", "addr": address.to_string()}]}),
        };
        let mut way = Way::of(section).path(serde_json::json!({"smtp_port": address.port()}));
        for path in self.cues("path") {
            way = way.path(read(&path));
        }
        for source in self.cues("source") {
            way.source.as_object_mut().unwrap().extend(read(&source).as_object().unwrap().clone());
        }
        if let Some(queue) = self.cues("queue").pop() {
            way.queue = queue;
        }
        let zone = self.cues("zone").join("\n").replace("<port>", &address.port().to_string());
        way.zones = Zones::parse([zone.as_str()]).unwrap();
        for name in self.cues("failing") {
            way.zones = way.zones.failing(&name.replace("<port>", &address.port().to_string()));
        }
        if let Some(limit) = self.cues("watchdog").pop() {
            way.watchdog = waybill_types::parse_duration(&limit).unwrap();
        }
        if let Some(policy) = self.cues("sts").pop() {
            let text = format!("version: STSv1\n{}\nmax_age: 86400\n", policy.replace("; ", "\n"));
            way.policies.insert("there.example".into(), text);
        }
        let certificate = self.cues("certificate").pop().map(|name| {
            let authority = authority();
            way.trust = trust(&authority);
            acceptor(&authority, &name, None)
        });
        (way, certificate)
    }

    fn message(&self) -> Message {
        let one = |cue: &str, usual: &str| self.cues(cue).pop().map_or_else(|| usual.to_owned(), |text| expand(&text));
        let to = one("to", "rcpt@there.example");
        let recipients: Vec<&str> = to.split(' ').map(|word| if word == "<>" { "" } else { word }).collect();
        let message = mail(&one("from", "sender@here.example"), &recipients, one("body", BODY));
        if self.has("bodiless") {
            // It is stored, and memory is short.
            let _ = message.to_store();
            message.shrink();
        }
        message
    }

    /// The client's part: what became of each message.
    async fn send(&self, way: &Way) -> Vec<String> {
        match way.destination().await {
            Ok(_) => {}
            Err(ResolveError::Nowhere { response, .. }) => return vec![format!("nowhere {response}")],
            Err(error) => panic!("{}: {error}", self.place),
        }
        let mut session = match way.open().await {
            Ok(session) => session,
            Err(error) => return vec![format!("refused {}", error.response)],
        };
        let mut got = Vec::new();
        let messages: Vec<Message> = self.outcomes().iter().map(|_| self.message()).collect();
        if self.has("together") {
            got.extend(session.deliver(&messages).await.outcomes.iter().map(shown));
        } else {
            for message in &messages {
                got.push(shown(&deliver(&mut *session, message).await.outcomes[0]));
            }
        }
        session.close().await;
        got
    }

    /// The next hop's part.
    async fn hop(&self, listener: TcpListener, acceptor: Option<TlsAcceptor>) {
        let mut hop = Hop { listener, acceptor, talk: None, unsaid: Vec::new() };
        for (number, line) in &self.lines {
            let place = format!("{}, line {number}", self.place);
            hop.act(line, &place).await;
        }
        if hop.talk.is_some() || !hop.unsaid.is_empty() {
            assert_eq!(hop.pause().await.line().await, None, "{}: more was said", self.place);
        }
    }
}

/// Connections that fill the queue of a listener who accepts none: the next one hears nothing.
async fn fill(address: SocketAddr) -> Vec<TcpStream> {
    let mut waiting = Vec::new();
    // Linux takes one more than the queue is long.
    while let Ok(Ok(stream)) = tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(address)).await {
        waiting.push(stream);
    }
    waiting
}

/// A next hop while it plays.
struct Hop {
    listener: TcpListener,
    acceptor: Option<TlsAcceptor>,
    talk: Option<Talk>,
    /// What is said in one breath.
    unsaid: Vec<u8>,
}

impl Hop {
    async fn act(&mut self, line: &str, place: &str) {
        if line.starts_with("= ") {
            return;
        }
        if let Some(cue) = line.strip_prefix("! ") {
            return self.cue(cue, place).await;
        }
        let (head, text) = line.split_once(':').unwrap_or_else(|| panic!("{place}: {line}"));
        let text = text.strip_prefix(' ').unwrap_or(text);
        let (who, times) = match head.split_once('*') {
            Some((who, times)) => (who, times.parse().unwrap_or_else(|_| panic!("{place}: {line}"))),
            None => (head, 1),
        };
        match who {
            "S" => (0..times).for_each(|_| self.unsaid.extend(format!("{}\r\n", expand(text)).into_bytes())),
            "S hex" => self.unsaid.extend(bytes(text)),
            "C" => {
                for _ in 0..times {
                    let heard =
                        self.pause().await.line().await.unwrap_or_else(|| panic!("{place}: the client has gone"));
                    assert_eq!(heard, expand(text), "{place}");
                }
            }
            "C hex" => assert_eq!(self.pause().await.bytes(bytes(text).len()).await, bytes(text), "{place}"),
            _ => panic!("{place}: {line}"),
        }
    }

    async fn cue(&mut self, cue: &str, place: &str) {
        match cue {
            "close" => {
                self.pause().await;
                self.talk = None;
            }
            "gone" => {
                assert_eq!(self.pause().await.line().await, None, "{place}");
                self.talk = None;
            }
            "drained" => {
                while self.pause().await.line().await.is_some() {}
                self.talk = None;
            }
            "tls" => self.secure().await.unwrap_or_else(|error| panic!("{place}: {error}")),
            "tls fails" => assert!(self.secure().await.is_err(), "{place}"),
            _ => assert!(SETUP.contains(&cue.split(' ').next().unwrap_or_default()), "{place}: {cue}"),
        }
    }

    /// Says what is to be said, and waits for somebody to say it to.
    async fn pause(&mut self) -> &mut Talk {
        if self.talk.is_none() {
            let (stream, _) = self.listener.accept().await.unwrap();
            self.talk = Some(Talk { stream: Box::new(stream), heard: Vec::new() });
        }
        let talk = self.talk.as_mut().unwrap();
        // A client that has heard enough need not hear the rest.
        let _ = talk.stream.write_all(&std::mem::take(&mut self.unsaid)).await;
        let _ = talk.stream.flush().await;
        talk
    }

    async fn secure(&mut self) -> std::io::Result<()> {
        self.pause().await;
        let talk = self.talk.take().unwrap();
        let secured = self.acceptor.as_ref().expect("a certificate").accept(talk.stream).await?;
        self.talk = Some(Talk { stream: Box::new(secured), heard: Vec::new() });
        Ok(())
    }
}

trait Io: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

struct Talk {
    stream: Box<dyn Io>,
    heard: Vec<u8>,
}

impl Talk {
    /// The next line; `None` when the client has gone.
    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.heard.windows(2).position(|pair| pair == b"\r\n") {
                let line: Vec<u8> = self.heard.drain(..end + 2).take(end).collect();
                return Some(String::from_utf8_lossy(&line).into_owned());
            }
            if !matches!(self.stream.read_buf(&mut self.heard).await, Ok(1..)) {
                return (!self.heard.is_empty())
                    .then(|| String::from_utf8_lossy(&std::mem::take(&mut self.heard)).into_owned());
            }
        }
    }

    async fn bytes(&mut self, count: usize) -> Vec<u8> {
        while self.heard.len() < count && matches!(self.stream.read_buf(&mut self.heard).await, Ok(1..)) {}
        self.heard.drain(..count.min(self.heard.len())).collect()
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    hex.split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}
