//! `connect_websocket`: a stream of messages from a server.
//!
//! Connecting, from the look-up of the name to the end of the handshake, has one time limit; a message has a size limit.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use mlua::{Lua, LuaString, UserData, UserDataMethods, Value};
use reqwest::Url;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::handshake::client::Response as Handshake;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use waybill_tls::Trust;

use crate::answer::Answer;
use crate::response::ResponseWrapper;
use crate::{DEFAULT_MAX_RESPONSE_SIZE, DEFAULT_TIMEOUT, HTTP, raise};

/// The most bytes a message may have: a server must not be able to fill the memory of the mail server.
pub const MAX_MESSAGE_SIZE: usize = 16 * 1024 * 1024;
/// The most messages that one call of `recv_batch` gives.
const MAX_BATCH: usize = 1000;

trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

type Socket = WebSocketStream<Box<dyn Transport>>;

/// Connects. Gives the stream, and the server's answer to the handshake.
pub(crate) async fn connect(url: String, trust: Trust) -> mlua::Result<(StreamWrapper, ResponseWrapper)> {
    let late = || raise(format!("connecting to {url}: not done within {DEFAULT_TIMEOUT:?}"));
    let (socket, response) = timeout(DEFAULT_TIMEOUT, open(&url, &trust)).await.map_err(|_| late())??;
    let (head, body) = response.into_parts();
    let response = reqwest::Response::from(http::Response::from_parts(head, body.unwrap_or_default()));
    let response = ResponseWrapper::new(Answer::of_reqwest(response), DEFAULT_MAX_RESPONSE_SIZE);
    Ok((StreamWrapper(Arc::new(Mutex::new(socket))), response))
}

async fn open(url: &str, trust: &Trust) -> mlua::Result<(Socket, Handshake)> {
    let failed = |error: &dyn std::fmt::Display| raise(format!("connecting to {url}: {error}"));
    let parsed = Url::parse(url).map_err(|error| failed(&error))?;
    let secure = match parsed.scheme() {
        "ws" => false,
        "wss" => true,
        other => return Err(failed(&format!("expected ws:// or wss://, got {other}://"))),
    };
    let host = parsed.host_str().map(|host| host.trim_matches(['[', ']']).to_owned());
    let (Some(host), Some(port)) = (host, parsed.port_or_known_default()) else {
        return Err(failed(&"there is no host in it"));
    };
    let plain = TcpStream::connect((host.as_str(), port)).await.map_err(|error| failed(&error))?;
    let transport: Box<dyn Transport> = if secure {
        let name = ServerName::try_from(host).map_err(|error| failed(&error))?;
        let config = trust.client_config(HTTP).map_err(|error| failed(&error))?;
        let connector = TlsConnector::from(Arc::new(config));
        Box::new(connector.connect(name, plain).await.map_err(|error| failed(&error))?)
    } else {
        Box::new(plain)
    };
    let limits =
        WebSocketConfig::default().max_message_size(Some(MAX_MESSAGE_SIZE)).max_frame_size(Some(MAX_MESSAGE_SIZE));
    client_async_with_config(url, transport, Some(limits)).await.map_err(|error| failed(&error))
}

/// The stream object.
pub(crate) struct StreamWrapper(Arc<Mutex<Socket>>);

/// The next message; `None` when there will be no more. Nothing is lost when it is cancelled.
async fn next(socket: &mut Socket) -> mlua::Result<Option<Vec<u8>>> {
    loop {
        match socket.next().await {
            None | Some(Err(Error::ConnectionClosed | Error::AlreadyClosed)) => return Ok(None),
            Some(Err(error)) => return Err(raise(format!("websocket: {error}"))),
            Some(Ok(Message::Text(text))) => return Ok(Some(text.as_bytes().to_vec())),
            Some(Ok(Message::Binary(bytes))) => return Ok(Some(bytes.to_vec())),
            // Pings are answered by the library; after a close comes the end.
            Some(Ok(_)) => {}
        }
    }
}

/// What comes in time, up to a thousand messages or the size of one large message.
async fn batch(socket: &mut Socket, time: Duration) -> mlua::Result<Vec<Vec<u8>>> {
    let until = Instant::now() + time;
    let (mut messages, mut bytes) = (Vec::new(), 0);
    while messages.len() < MAX_BATCH && bytes < MAX_MESSAGE_SIZE {
        match timeout_at(until, next(socket)).await {
            Err(_) => break,
            Ok(Ok(Some(message))) => {
                bytes += message.len();
                messages.push(message);
            }
            // What came before is given first; the next call finds the same.
            Ok(Ok(None) | Err(_)) if !messages.is_empty() => break,
            Ok(Ok(None)) => return Err(raise("websocket closed")),
            Ok(Err(error)) => return Err(error),
        }
    }
    Ok(messages)
}

impl UserData for StreamWrapper {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_async_method("recv", |lua, this, ()| {
            let socket = Arc::clone(&this.0);
            async move {
                let message = next(&mut *socket.lock().await).await?;
                message.map(|message| lua.create_string(message)).transpose()
            }
        });
        methods.add_async_method("recv_batch", |lua, this, time: Value| {
            let socket = Arc::clone(&this.0);
            async move {
                let time = duration(&time)?;
                let messages = batch(&mut *socket.lock().await, time).await?;
                let texts = messages.into_iter().map(|message| lua.create_string(message));
                let texts: Vec<LuaString> = texts.collect::<mlua::Result<_>>()?;
                lua.create_sequence_from(texts)
            }
        });
    }
}

fn duration(value: &Value) -> mlua::Result<Duration> {
    let duration = match value {
        Value::String(text) => text.to_str().ok().and_then(|text| humantime::parse_duration(&text).ok()),
        Value::Integer(seconds) => u64::try_from(*seconds).ok().map(Duration::from_secs),
        Value::Number(seconds) => Duration::try_from_secs_f64(*seconds).ok(),
        _ => None,
    };
    duration.ok_or_else(|| {
        raise(format!("recv_batch: expected a duration such as '1s' or seconds, got a {}", value.type_name()))
    })
}

/// `kumo.http.connect_websocket`.
pub(crate) fn function(lua: &Lua, trust: Trust) -> mlua::Result<mlua::Function> {
    lua.create_async_function(move |_, url: String| connect(url, trust.clone()))
}
