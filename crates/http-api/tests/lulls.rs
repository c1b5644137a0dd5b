//! A request that waits is put away with what is needed to speak HTTP, and answered all the same.

use axum::routing::get;
use axum::{Extension, Router};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use waybill_http_api::run;
use waybill_runtime::Lull;

/// Requests that wait for something to happen.
struct Waits {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    /// Ends with the test.
    tasks: JoinSet<()>,
    /// How many wait.
    waiting: watch::Receiver<usize>,
    /// What they wait for.
    news: watch::Sender<String>,
}

/// One more that waits, for as long as it does.
struct One(Arc<watch::Sender<usize>>);

impl One {
    fn new(count: &Arc<watch::Sender<usize>>) -> Self {
        count.send_modify(|count| *count += 1);
        One(count.clone())
    }
}

impl Drop for One {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

async fn start() -> Waits {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (news, heard) = watch::channel(String::new());
    let (count, waiting) = watch::channel(0);
    let count = Arc::new(count);
    let wait = move |Extension(lull): Extension<Lull>| {
        let (count, mut heard) = (count.clone(), heard.clone());
        async move {
            lull.begin();
            let _one = One::new(&count);
            heard.wait_for(|news| !news.is_empty()).await.unwrap().clone()
        }
    };
    let app = Router::new().route("/wait", get(wait)).route("/now", get(async || "now"));
    let (stop, stopped) = oneshot::channel();
    let mut tasks = JoinSet::new();
    tasks.spawn(run(listener, app, async { drop(stopped.await) }));
    Waits { address, stop, tasks, waiting, news }
}

impl Waits {
    async fn ask(&mut self, request: &str) -> TcpStream {
        let already = *self.waiting.borrow();
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        self.waiting.wait_for(|count| *count > already).await.unwrap();
        stream
    }

    fn tell(&self, news: &str) {
        self.news.send_replace(news.to_owned());
    }
}

const WAIT: &str = "GET /wait HTTP/1.1\r\nhost: x\r\n\r\n";
const NOW: &str = "GET /now HTTP/1.1\r\nhost: x\r\n\r\n";

/// One answer with a content length: the head in lower case, and the body.
async fn answer(stream: &mut TcpStream) -> (String, String) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    (head, String::from_utf8(body).unwrap())
}

#[tokio::test]
async fn a_request_that_waited_is_answered_and_its_connection_goes_on() {
    let mut waits = start().await;
    let mut stream = waits.ask(WAIT).await;
    waits.tell("here it is");
    let (head, body) = answer(&mut stream).await;
    assert!(head.starts_with("http/1.1 200 ok\r\n") && !head.contains("connection:"), "{head}");
    assert_eq!(body, "here it is");
    stream.write_all(NOW.as_bytes()).await.unwrap();
    assert_eq!(answer(&mut stream).await.1, "now");
    // What happens before anybody waits long is no other answer.
    stream.write_all(WAIT.as_bytes()).await.unwrap();
    assert_eq!(answer(&mut stream).await.1, "here it is");
}

#[tokio::test]
async fn one_waits_after_the_other_on_a_connection() {
    let mut waits = start().await;
    let mut stream = waits.ask(WAIT).await;
    for round in 0..5 {
        waits.tell(&format!("round {round}"));
        assert_eq!(answer(&mut stream).await.1, format!("round {round}"));
        waits.tell("");
        stream.write_all(WAIT.as_bytes()).await.unwrap();
        waits.waiting.wait_for(|count| *count == 1).await.unwrap();
    }
}

#[tokio::test]
async fn requests_that_were_sent_meanwhile_are_answered_in_their_turn() {
    let mut waits = start().await;
    // Two with the first, and two while it waits, one of them in pieces.
    let mut stream = waits.ask(&format!("{WAIT}{NOW}{NOW}")).await;
    let mut other = waits.ask(WAIT).await;
    let (first, second) = NOW.split_at(7);
    for piece in [NOW, first, second] {
        stream.write_all(piece.as_bytes()).await.unwrap();
        other.write_all(piece.as_bytes()).await.unwrap();
    }
    waits.tell("at last");
    assert_eq!(answer(&mut stream).await.1, "at last");
    for _ in 0..4 {
        assert_eq!(answer(&mut stream).await.1, "now");
    }
    assert_eq!(answer(&mut other).await.1, "at last");
    for _ in 0..2 {
        assert_eq!(answer(&mut other).await.1, "now");
    }
}

#[tokio::test]
async fn a_client_that_hangs_up_waits_no_longer() {
    let mut waits = start().await;
    let stream = waits.ask(WAIT).await;
    let mut stays = waits.ask(WAIT).await;
    drop(stream);
    waits.waiting.wait_for(|count| *count == 1).await.unwrap();
    waits.tell("for the other");
    assert_eq!(answer(&mut stays).await.1, "for the other");
}

#[tokio::test]
async fn who_wants_to_be_closed_is_closed_behind_the_answer_and_a_head_has_no_body() {
    let mut waits = start().await;
    let close = "GET /wait HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let head = "HEAD /wait HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let old = "GET /wait HTTP/1.0\r\n\r\n";
    let mut streams = Vec::new();
    for request in [close, head, old] {
        streams.push(waits.ask(request).await);
    }
    waits.tell("once");
    let mut answers = Vec::new();
    for mut stream in streams {
        let mut all = String::new();
        stream.read_to_string(&mut all).await.unwrap();
        assert!(all.to_lowercase().contains("content-length: 4\r\n"), "{all}");
        answers.push((all[..8].to_owned(), all.split_once("\r\n\r\n").unwrap().1.to_owned()));
    }
    let expected = [("HTTP/1.1", "once"), ("HTTP/1.1", ""), ("HTTP/1.0", "once")];
    assert_eq!(answers, expected.map(|(version, body)| (version.to_owned(), body.to_owned())));
}

#[tokio::test]
async fn a_stop_lets_who_waits_have_its_answer() {
    let mut waits = start().await;
    let mut stream = waits.ask(WAIT).await;
    let mut idle = TcpStream::connect(waits.address).await.unwrap();
    idle.write_all(NOW.as_bytes()).await.unwrap();
    assert_eq!(answer(&mut idle).await.1, "now");
    waits.stop.send(()).unwrap();
    assert_eq!(idle.read(&mut [0; 16]).await.unwrap(), 0, "the stop has arrived");
    waits.news.send_replace("the end".to_owned());
    let (head, body) = answer(&mut stream).await;
    assert!(head.contains("\r\nconnection: close\r\n"), "{head}");
    assert_eq!(body, "the end");
    assert_eq!(stream.read(&mut [0; 16]).await.unwrap(), 0);
    waits.tasks.join_next().await.unwrap().unwrap();
}
