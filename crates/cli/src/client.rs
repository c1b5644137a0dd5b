use crate::Endpoint;
use crate::token::Token;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// A question and its answer take at most this long, unless somebody has more patience.
const TIMEOUT: Duration = Duration::from_secs(60);
/// And a connection at most this.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// No answer of a daemon is longer.
const ANSWER_LIMIT: usize = 64 * 1024 * 1024;
/// How to name another socket, for messages.
const ELSEWHERE: &str =
    "if it runs with another state directory, name its socket with --admin-socket or WAYBILL_ADMIN_SOCKET";

/// Asks a daemon, over its admin socket or over HTTP.
#[derive(Clone, Debug)]
pub struct AdminClient {
    place: Place,
    token: Option<Token>,
    /// How long a question and its answer may take.
    patience: Duration,
}

#[derive(Clone, Debug)]
enum Place {
    Socket(PathBuf),
    Http(Endpoint),
}

/// Something that HTTP can be spoken over.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

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
    #[error("admin socket {}: {why}", path.display())]
    Io {
        /// Which socket.
        path: PathBuf,
        /// What the operating system said.
        why: io::Error,
    },
    /// Nothing answers at an endpoint.
    #[error("no connection to {endpoint}: {why}; is the daemon running, and is this its HTTP listener (--endpoint)?")]
    NoConnection {
        /// Where.
        endpoint: Endpoint,
        /// What the operating system said.
        why: io::Error,
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
        /// The same as JSON, where it is.
        json: Option<Value>,
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
        AdminClient { place: Place::Socket(socket.into()), token: None, patience: TIMEOUT }
    }

    /// A client of the daemon behind this endpoint. Nothing is opened yet.
    pub fn over_http(endpoint: Endpoint) -> Self {
        AdminClient { place: Place::Http(endpoint), token: None, patience: TIMEOUT }
    }

    /// The same, for a question whose answer may take so long.
    #[must_use]
    pub(crate) fn with_patience(&self, patience: Duration) -> Self {
        AdminClient { patience, ..self.clone() }
    }

    /// The same, showing a token instead of what the endpoint names.
    #[must_use]
    pub(crate) fn with_token(self, token: &Token) -> Self {
        AdminClient { token: Some(token.clone()), ..self }
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
        self.tell(Method::POST, path, body).await
    }

    /// `PATCH` of a JSON body, with a JSON answer.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn patch<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, ClientError> {
        self.tell(Method::PATCH, path, body).await
    }

    async fn tell<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &B,
    ) -> Result<T, ClientError> {
        let wrong = |why| ClientError::Answer { path: path.to_owned(), why };
        let body = serde_json::to_vec(body).map_err(wrong)?;
        let answer = self.ask(method, path, body.into()).await?;
        serde_json::from_slice(if answer.is_empty() { b"null" } else { &answer }).map_err(wrong)
    }

    /// `DELETE`, with a JSON answer.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let answer = self.ask(Method::DELETE, path, Bytes::new()).await?;
        serde_json::from_slice(&answer).map_err(|why| ClientError::Answer { path: path.to_owned(), why })
    }

    /// A request with a JSON body, and a text for an answer.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn send<B: Serialize + Sync>(&self, method: Method, path: &str, body: &B) -> Result<String, ClientError> {
        let wrong = |why| ClientError::Answer { path: path.to_owned(), why };
        let body = serde_json::to_vec(body).map_err(wrong)?;
        let answer = self.ask(method, path, body.into()).await?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    async fn connect(&self) -> Result<Box<dyn Stream>, ClientError> {
        match &self.place {
            Place::Socket(socket) => match UnixStream::connect(socket).await {
                Ok(stream) => Ok(Box::new(stream)),
                Err(error) => Err(no_socket(socket, error)),
            },
            Place::Http(endpoint) => {
                let connecting = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(endpoint.authority()));
                let late = || io::Error::new(io::ErrorKind::TimedOut, "nothing within 10 seconds");
                match connecting.await.unwrap_or_else(|_| Err(late())) {
                    Ok(stream) => Ok(Box::new(stream)),
                    Err(why) => Err(ClientError::NoConnection { endpoint: endpoint.clone(), why }),
                }
            }
        }
    }

    fn request(&self, method: Method, path: &str, body: Bytes) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
        let request = Request::builder().method(method).uri(path).header(CONTENT_TYPE, "application/json");
        let (host, named) = match &self.place {
            Place::Socket(_) => ("localhost".to_owned(), None),
            Place::Http(endpoint) => (endpoint.authority(), endpoint.authorization().map(str::to_owned)),
        };
        let shown = self.token.as_ref().map(Token::authorization).or(named);
        let request =
            shown.into_iter().fold(request.header(HOST, host), |request, shown| request.header(AUTHORIZATION, shown));
        request.body(Full::new(body))
    }

    async fn ask(&self, method: Method, path: &str, body: Bytes) -> Result<Bytes, ClientError> {
        let stream = self.connect().await?;
        let broken = |why: String| ClientError::Broken { path: path.to_owned(), why };
        let request = self.request(method, path, body).map_err(|error| broken(error.to_string()))?;
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
            match tokio::time::timeout(self.patience, conversation).await {
                Ok(result) => result,
                Err(_) => Err(format!("nothing within {} seconds", self.patience.as_secs()).into()),
            };
        let (status, answer) = result.map_err(|error| broken(error.to_string()))?;
        if status.is_success() {
            return Ok(answer);
        }
        let text = crate::show::printable(String::from_utf8_lossy(&answer).trim());
        let json = serde_json::from_slice(&answer).ok();
        Err(ClientError::Status { path: path.to_owned(), status, text, json })
    }
}

fn no_socket(socket: &Path, why: io::Error) -> ClientError {
    let path = socket.to_owned();
    match why.kind() {
        io::ErrorKind::NotFound => ClientError::NoSocket(path),
        io::ErrorKind::ConnectionRefused => ClientError::NobodyAnswers(path),
        io::ErrorKind::PermissionDenied => ClientError::Denied(path),
        _ => ClientError::Io { path, why },
    }
}
