//! The webhook receiver: takes requests on a loopback port and tells the newsroom what came.

use std::io::BufReader;
use std::net::{TcpListener, TcpStream};
use std::thread;

use anyhow::{Context, Result};

use super::event::{self, Arrival};
use super::http;
use super::news::{News, Reporter};
use crate::clock;

/// Starts to listen and returns the URL to send to. The threads live as long as the process: there is one demo in it.
pub(super) fn start(reporter: Reporter) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").context("open a port for the webhook receiver")?;
    let address = listener.local_addr().context("ask for the receiver's port")?;
    let accept = move || {
        for connection in listener.incoming().flatten() {
            let reporter = reporter.clone();
            // Without a thread the connection is closed and the sender tries again.
            let _ = thread::Builder::new().name("demo-webhook".to_owned()).spawn(move || {
                if let Err(error) = serve(&connection, &reporter) {
                    reporter.tell(News::Trouble(format!("{error:#}")));
                }
            });
        }
    };
    thread::Builder::new().name("demo-receiver".to_owned()).spawn(accept).context("start the receiver's thread")?;
    Ok(format!("http://{address}/log"))
}

fn serve(mut connection: &TcpStream, reporter: &Reporter) -> Result<()> {
    connection.set_nodelay(true).context("answer at once")?;
    let mut requests = BufReader::new(connection);
    loop {
        let body = match http::read_body(&mut requests) {
            Ok(Some(body)) => body,
            Ok(None) => return Ok(()),
            Err(error) => {
                http::answer(&mut connection, "400 Bad Request", &format!("{error:#}\n"))?;
                return Err(error);
            }
        };
        let arrived = clock::now();
        match event::parse(&body) {
            Ok(events) => {
                http::answer(&mut connection, "200 OK", "thanks\n")?;
                for event in events {
                    reporter.tell(News::Event(Arrival { event, arrived }));
                }
            }
            Err(error) => {
                http::answer(&mut connection, "422 Unprocessable Content", &format!("{error:#}\n"))?;
                reporter.tell(News::Trouble(format!("{error:#}")));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::time::Duration;

    use super::super::news::{self, Newsroom};
    use super::*;

    #[test]
    fn a_posted_record_becomes_news_and_is_thanked_for() {
        let newsroom = Newsroom::open();
        let url = start(newsroom.reporter()).unwrap();
        let address = url.strip_prefix("http://").unwrap().strip_suffix("/log").unwrap();
        let mut connection = TcpStream::connect(address).unwrap();
        let body = r#"{"type":"Delivery","recipient":"a@x","event_time":"2026-11-23T16:12:56Z"}"#;
        for body in [body, "{}"] {
            write!(connection, "POST /log HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        }
        connection.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answers = String::new();
        connection.read_to_string(&mut answers).unwrap();
        assert!(answers.starts_with("HTTP/1.1 200 OK") && answers.contains("HTTP/1.1 422 "), "{answers}");

        let deadline = news::deadline(Duration::from_secs(10));
        assert!(matches!(newsroom.next(deadline), Some(News::Event(arrival)) if arrival.event.kind == "Delivery"));
        assert!(matches!(newsroom.next(deadline), Some(News::Trouble(_))));
    }
}
