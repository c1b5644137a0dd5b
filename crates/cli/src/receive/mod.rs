//! `waybill receive`: a receiver of egress webhooks that prints what it gets, and only what it believes.

mod check;
mod print;

use crate::show::{Reader, print_while_read};
use anyhow::Context;
use bytes::Bytes;
use check::Secrets;
use clap::Args;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// Bytes of a body that are taken, as by klev's own receivers.
const MOST: usize = 128 * 1024;
/// How long a client may take for the headers of a request.
const HEADERS: Duration = Duration::from_secs(30);
/// How long it may take for a body.
const BODY: Duration = Duration::from_secs(30);
/// Connections at once.
const CONNECTIONS: usize = 256;
/// When a connection cannot be accepted (no more file handles, say), time helps.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What `waybill receive` takes.
#[derive(Clone, PartialEq, Eq, Debug, Args)]
pub struct ReceiveArgs {
    /// The webhook's secret, ewhsec_...; better kept off the command line, by one of the two other ways
    #[arg(
        long,
        value_name = "SECRET",
        env = "WAYBILL_WEBHOOK_SECRET",
        hide_env_values = true,
        required_unless_present = "secret_file"
    )]
    secret: Option<String>,
    /// A file that holds the secret; several lines for several, as during a rotation
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Where to listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9000")]
    listen: SocketAddr,
}

/// Receives until interrupted, or until nobody reads what it prints any more.
pub(crate) async fn run(args: ReceiveArgs) -> anyhow::Result<()> {
    let text = match (args.secret, &args.secret_file) {
        (_, Some(file)) => std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?,
        (secret, None) => secret.unwrap_or_default(),
    };
    let secrets = Arc::new(Secrets::read(&text)?);
    let listener = TcpListener::bind(args.listen).await.with_context(|| format!("listen on {}", args.listen))?;
    let address = listener.local_addr().context("find out where it listens")?;
    crate::show::print(&format!("running server at {}\n", print::place(address)))?;
    let mut connections = JoinSet::new();
    let unread = Arc::new(Notify::new());
    loop {
        tokio::select! {
            () = unread.notified() => return Ok(()),
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept(), if connections.len() < CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, secrets.clone(), unread.clone()));
                }
                Err(error) => {
                    crate::show::tell(format_args!("a connection could not be accepted: {error}"));
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
}

async fn serve(stream: TcpStream, secrets: Arc<Secrets>, unread: Arc<Notify>) {
    let service = service_fn(move |request| answer(request, secrets.clone(), unread.clone()));
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = served.await {
        // A client that went away or sent nonsense.
        crate::show::tell(format_args!("a connection ended: {error}"));
    }
}

async fn answer(
    request: Request<Incoming>,
    secrets: Arc<Secrets>,
    unread: Arc<Notify>,
) -> Result<Response<Empty<Bytes>>, std::convert::Infallible> {
    let status = match received(request, &secrets).await {
        Ok(text) => match print_while_read(&text) {
            Ok(Reader::Reads) => StatusCode::OK,
            // Nobody saw it: the sender keeps it.
            Ok(Reader::Gone) => {
                unread.notify_one();
                StatusCode::SERVICE_UNAVAILABLE
            }
            Err(_) => StatusCode::SERVICE_UNAVAILABLE,
        },
        Err(status) => status,
    };
    let mut response = Response::new(Empty::new());
    *response.status_mut() = status;
    Ok(response)
}

/// What to print; of a body that does not verify, nothing.
async fn received<B>(request: Request<B>, secrets: &Secrets) -> Result<String, StatusCode>
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if request.method() != Method::POST {
        return Err(StatusCode::METHOD_NOT_ALLOWED);
    }
    let (head, body) = request.into_parts();
    let body = tokio::time::timeout(BODY, Limited::new(body, MOST).collect()).await;
    let body = match body {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            return Err(StatusCode::PAYLOAD_TOO_LARGE);
        }
        Ok(Err(_)) => return Err(StatusCode::BAD_REQUEST),
        Err(_) => return Err(StatusCode::REQUEST_TIMEOUT),
    };
    let believed = secrets.check(&head.headers, &body, print::now()).map_err(|why| {
        crate::show::tell(format_args!("refused: {why}"));
        StatusCode::UNAUTHORIZED
    })?;
    print::text(&head.headers, &body, believed).ok_or(StatusCode::BAD_REQUEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::Full;
    use waybill_webhook_sign::{KlevKey, Secret};

    const SECRET: &str = "ewhsec_4WWS5n4YcVrX8FhtxTKG3ctFHud3amGsr";

    /// A request as an egress webhook sends it, signed by this secret.
    fn signed(secret: &str, kind: Option<&str>, body: &[u8]) -> Request<Full<Bytes>> {
        let now = print::now().secs();
        let digest = KlevKey::new(Secret::new(secret)).sign(now, body);
        let request = Request::post("/").header("x-klev-signature", format!("t={now};v1={digest}"));
        let request = kind.into_iter().fold(request, |request, kind| request.header("content-type", kind));
        request.body(Full::new(Bytes::copy_from_slice(body))).unwrap()
    }

    async fn answered(request: Request<Full<Bytes>>) -> Result<String, u16> {
        received(request, &Secrets::read(SECRET).unwrap()).await.map_err(|status| status.as_u16())
    }

    #[tokio::test]
    async fn what_is_no_signed_post_within_its_bounds_is_refused_and_nothing_of_it_is_printed() {
        let other = "ewhsec_4WWS5n4YcVrX8FhtxTKG3ctFHud3amGsX";
        let (octets, json) = (Some("application/octet-stream"), Some("application/json"));
        let message = br#"{"encoding":"base64","offset":0,"time":1,"value":"aGk="}"#;
        assert!(answered(signed(SECRET, json, message)).await.unwrap().contains("Value: hi"));
        assert_eq!(answered(signed(other, json, message)).await, Err(401));
        let unsigned = Request::post("/").body(Full::from(&message[..])).unwrap();
        assert_eq!(answered(unsigned).await, Err(401));
        let mut twice = signed(SECRET, json, message);
        let header = twice.headers()["x-klev-signature"].clone();
        twice.headers_mut().append("x-klev-signature", header);
        assert_eq!(answered(twice).await, Err(401));
        let mut get = signed(SECRET, json, message);
        *get.method_mut() = Method::GET;
        assert_eq!(answered(get).await, Err(405));
        // Signed right, and no message in JSON.
        assert_eq!(answered(signed(SECRET, json, b"hello")).await, Err(400));
        assert!(answered(signed(SECRET, octets, &vec![b'x'; MOST])).await.is_ok());
        assert_eq!(answered(signed(SECRET, octets, &vec![b'x'; MOST + 1])).await, Err(413), "whoever signed it");
    }

    #[test]
    fn it_listens_on_this_machine_alone_unless_it_is_told_otherwise() {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: ReceiveArgs,
        }
        let line = <Line as clap::Parser>::parse_from(["receive", "--secret-file", "x"]);
        assert!(line.args.listen.ip().is_loopback());
    }
}
