use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::UnixStream;

/// A question and its answer take at most this long.
const TIMEOUT: Duration = Duration::from_secs(60);
/// No answer of a daemon is longer.
const ANSWER_LIMIT: usize = 64 * 1024 * 1024;
/// How to name another socket, for messages.
const ELSEWHERE: &str =
    "if it runs with another state directory, name its socket with --admin-socket or WAYBILL_ADMIN_SOCKET";

/// Asks a daemon over its admin socket.
#[derive(Clone, Debug)]
pub struct AdminClient {
    socket: PathBuf,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// There is no socket.
    #[error("the daemon is not running: there is no admin socket at {}; {ELSEWHERE}", .0.display())]
    NoSocket(PathBuf),
    /// There is one, and nobody behind it.
    #[error("the daemon is not running: nobody answers on the admin socket {}; {ELSEWHERE}", .0.display())]
    NobodyAnswers(PathBuf),
    /// It belongs to somebody else.
    #[error("no permission to use the admin socket {}: run this as the user of the daemon, or as root", .0.display())]
    Denied(PathBuf),
    /// The connection failed in another way.
    #[error("admin socket {}: {source}", path.display())]
    Io {
        /// Which socket.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The conversation broke off, took too long, or the answer was no HTTP.
    #[error("the daemon gave no answer to {path}: {why}")]
    Broken {
        /// What was asked for.
        path: String,
        /// What went wrong.
        why: String,
    },
    /// The daemon refused.
    #[error("the daemon answered {status} to {path}: {text}")]
    Status {
        /// What was asked for.
        path: String,
        /// Its status.
        status: StatusCode,
        /// Its text.
        text: String,
    },
    /// The answer is not what this version expects.
    #[error("the daemon's answer to {path} is not understood ({why}): is it another version than this command?")]
    Answer {
        /// What was asked for.
        path: String,
        /// What is wrong with it.
        why: serde_json::Error,
    },
}

impl AdminClient {
    /// A client of the daemon behind this socket. Nothing is opened yet.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        AdminClient { socket: socket.into() }
    }

    /// The socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// `GET`, with a JSON answer.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let answer = self.ask(Method::GET, path, Bytes::new()).await?;
        serde_json::from_slice(&answer).map_err(|why| ClientError::Answer { path: path.to_owned(), why })
    }

    /// `POST` of a JSON body, with a JSON answer; an empty answer counts as `null`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn post<B: Serialize + Sync, T: DeserializeOwned>(&self, path: &str, body: &B) -> Result<T, ClientError> {
        let wrong = |why| ClientError::Answer { path: path.to_owned(), why };
        let body = serde_json::to_vec(body).map_err(wrong)?;
        let answer = self.ask(Method::POST, path, body.into()).await?;
        serde_json::from_slice(if answer.is_empty() { b"null" } else { &answer }).map_err(wrong)
    }

    async fn ask(&self, method: Method, path: &str, body: Bytes) -> Result<Bytes, ClientError> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| self.no_connection(error))?;
        let broken = |why: String| ClientError::Broken { path: path.to_owned(), why };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, "localhost")
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|error| broken(error.to_string()))?;
        let conversation = async {
            let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
            let answer = async {
                let answer = sender.send_request(request).await?;
                let (head, body) = answer.into_parts();
                let body = Limited::new(body, ANSWER_LIMIT).collect().await?.to_bytes();
                Ok((head.status, body))
            };
            // One question a connection: it is driven here and ends with its answer.
            tokio::pin!(answer);
            tokio::select! {
                biased;
                done = &mut answer => done,
                ended = connection => match ended {
                    Ok(()) => answer.await,
                    Err(error) => Err(error.into()),
                },
            }
        };
        let result: Result<(StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>> =
            match tokio::time::timeout(TIMEOUT, conversation).await {
                Ok(result) => result,
                Err(_) => Err(format!("nothing within {} seconds", TIMEOUT.as_secs()).into()),
            };
        let (status, answer) = result.map_err(|error| broken(error.to_string()))?;
        if status.is_success() {
            return Ok(answer);
        }
        let text = crate::show::printable(String::from_utf8_lossy(&answer).trim());
        Err(ClientError::Status { path: path.to_owned(), status, text })
    }

    fn no_connection(&self, source: io::Error) -> ClientError {
        let path = self.socket.clone();
        match source.kind() {
            io::ErrorKind::NotFound => ClientError::NoSocket(path),
            io::ErrorKind::ConnectionRefused => ClientError::NobodyAnswers(path),
            io::ErrorKind::PermissionDenied => ClientError::Denied(path),
            _ => ClientError::Io { path, source },
        }
    }
}
