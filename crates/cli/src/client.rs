use crate::token::Token;
use crate::{Endpoint, Misuse};
use bytes::Bytes;
use futures::SinkExt;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error as WebsocketError, Message};
use waybill_tls::Trust;

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
    /// By what a publish is known when it comes again.
    idempotency_key: Option<String>,
}

#[derive(Clone, Debug)]
enum Place {
    Socket(PathBuf),
    Http(Endpoint, Trust),
}

/// Something that HTTP can be spoken over.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A websocket to the daemon.
pub(crate) type Socket = WebSocketStream<Box<dyn Stream>>;

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
    /// It shows a certificate that is not believed.
    #[error(
        "{endpoint} is not believed: {why}; if its certificate is of an authority of your own, or its own, name that with \
         --ca-file or WAYBILL_CA_FILE"
    )]
    NotBelieved {
        /// Where.
        endpoint: Endpoint,
        /// What is wrong with the certificate.
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
        AdminClient { place: Place::Socket(socket.into()), token: None, patience: TIMEOUT, idempotency_key: None }
    }

    /// A client of the daemon behind this endpoint. Nothing is opened yet. Over `https://` the daemon has to show a
    /// certificate of its host's that `trust` believes.
    pub fn over_http(endpoint: Endpoint, trust: Trust) -> Self {
        AdminClient { place: Place::Http(endpoint, trust), token: None, patience: TIMEOUT, idempotency_key: None }
    }

    /// A client of the daemon behind an endpoint that somebody named, which is believed by the system's certificates or
    /// by those of a file.
    pub(crate) fn at(endpoint: &str, ca_file: Option<&Path>) -> anyhow::Result<Self> {
        let trust = match ca_file {
            Some(path) => Trust::file("--ca-file", path).map_err(anyhow::Error::msg)?,
            None => Trust::system(),
        };
        Ok(AdminClient::over_http(endpoint.parse().map_err(Misuse::new)?, trust))
    }

    /// The same, for a question whose answer may take so long.
    #[must_use]
    pub(crate) fn with_patience(&self, patience: Duration) -> Self {
        AdminClient { patience, ..self.clone() }
    }

    /// The same, for a publish that is known by this key when it comes again.
    #[must_use]
    pub(crate) fn with_idempotency_key(self, key: Option<String>) -> Self {
        AdminClient { idempotency_key: key, ..self }
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

    /// A request with a JSON body, and a text for an answer. Null is no body where a method needs none: not every proxy lets a
    /// GET with one through.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn send<B: Serialize + Sync>(&self, method: Method, path: &str, body: &B) -> Result<String, ClientError> {
        let wrong = |why| ClientError::Answer { path: path.to_owned(), why };
        let mut body = Bytes::from(serde_json::to_vec(body).map_err(wrong)?);
        if body == "null" && matches!(method, Method::GET | Method::DELETE) {
            body.clear();
        }
        let answer = self.ask(method, path, body).await?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// Opens a websocket, and sends a first text over it.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub(crate) async fn listen(&self, path: &str, first: String) -> Result<Socket, ClientError> {
        let broken = |why: String| ClientError::Broken { path: path.to_owned(), why };
        let stream = self.connect().await?;
        let host = match &self.place {
            Place::Socket(_) => "localhost".to_owned(),
            Place::Http(endpoint, _) => endpoint.authority(),
        };
        let mut request =
            format!("ws://{host}{path}").into_client_request().map_err(|error| broken(error.to_string()))?;
        if let Place::Http(endpoint, _) = &self.place
            && let Some(authorization) = endpoint.authorization()
        {
            let value = authorization.parse().map_err(|_| broken("the endpoint's user makes no header".into()))?;
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        let opening = async {
            let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await?;
            socket.send(Message::text(first)).await?;
            Ok(socket)
        };
        match tokio::time::timeout(self.patience, opening).await {
            Ok(Ok(socket)) => Ok(socket),
            Ok(Err(WebsocketError::Http(answer))) => {
                let text = answer.body().as_deref().map(String::from_utf8_lossy).unwrap_or_default();
                let json = serde_json::from_str(&text).ok();
                let text = crate::show::printable(text.trim());
                Err(ClientError::Status { path: path.to_owned(), status: answer.status(), text, json })
            }
            Ok(Err(error)) => Err(broken(error.to_string())),
            Err(_) => Err(broken(format!("nothing within {} seconds", self.patience.as_secs()))),
        }
    }

    async fn connect(&self) -> Result<Box<dyn Stream>, ClientError> {
        match &self.place {
            Place::Socket(socket) => match UnixStream::connect(socket).await {
                Ok(stream) => Ok(Box::new(stream)),
                Err(error) => Err(no_socket(socket, error)),
            },
            Place::Http(endpoint, trust) => {
                let late = || io::Error::new(io::ErrorKind::TimedOut, "nothing within 10 seconds");
                let connected = tokio::time::timeout(CONNECT_TIMEOUT, connect(endpoint, trust)).await;
                connected.unwrap_or_else(|_| Err(late())).map_err(|why| match is_about_certificate(&why) {
                    true => ClientError::NotBelieved { endpoint: endpoint.clone(), why },
                    false => ClientError::NoConnection { endpoint: endpoint.clone(), why },
                })
            }
        }
    }

    fn request(&self, method: Method, path: &str, body: Bytes) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
        let request = Request::builder().method(method).uri(path).header(CONTENT_TYPE, "application/json");
        let (host, named) = match &self.place {
            Place::Socket(_) => ("localhost".to_owned(), None),
            Place::Http(endpoint, _) => (endpoint.authority(), endpoint.authorization().map(str::to_owned)),
        };
        let shown = self.token.as_ref().map(Token::authorization).or(named);
        let request =
            shown.into_iter().fold(request.header(HOST, host), |request, shown| request.header(AUTHORIZATION, shown));
        let key = self.idempotency_key.as_deref();
        let request = key.into_iter().fold(request, |request, key| request.header("idempotency-key", key));
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
                // The answer may be there whole before a connection that ends without a goodbye.
                ended = connection => answer.await.map_err(|error| ended.err().map_or(error, Into::into)),
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

async fn connect(endpoint: &Endpoint, trust: &Trust) -> io::Result<Box<dyn Stream>> {
    let stream = TcpStream::connect(endpoint.authority()).await?;
    let Some(name) = endpoint.tls_name() else { return Ok(Box::new(stream)) };
    let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
    let config = trust.client_config(&[b"http/1.1"]).map_err(io::Error::other)?;
    Ok(Box::new(TlsConnector::from(Arc::new(config)).connect(name, stream).await?))
}

fn is_about_certificate(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(inner, Some(rustls::Error::InvalidCertificate(_)))
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
