//! Traces of SMTP conversations over a websocket (RFC 6455): the client says what it wants to hear, then listens.

use crate::api::{Clock, Services};
use crate::reply::Refusal;
use crate::routes::Routes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::{SinkExt, StreamExt};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};
use waybill_trace::{Conn, Hub, Watch};
use waybill_types::Objects;

/// A filter is a few names. Nothing else that a client says is looked at.
const FILTER_LIMIT: usize = 64 * 1024;
/// How long a client may take to say what it wants.
const FILTER_TIMEOUT: Duration = Duration::from_secs(10);
/// A client that takes nothing for so long is gone.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// Between two questions whether a client of a silent trace is still there.
const PING: Duration = Duration::from_secs(30);
/// The most text in a close frame (RFC 6455 section 5.5), with its code.
const REASON_LIMIT: usize = 123;

/// The two routes, and the traces that run.
pub(super) fn routes(services: Services) -> Routes {
    Routes::new()
        .get("/api/admin/trace-smtp-server/v1", server)
        .get("/api/admin/trace-smtp-client/v1", client)
        .with_state(Traces { services, running: Arc::default() })
}

#[derive(Clone)]
pub(super) struct Traces {
    services: Services,
    /// They end with the API.
    running: Arc<Mutex<JoinSet<()>>>,
}

#[utoipa::path(
    get,
    path = "/api/admin/trace-smtp-server/v1",
    tag = "administration",
    summary = "Listen to mail that comes in by SMTP",
    responses(
        (status = 101, description = "a websocket: a filter goes in, events come out"),
        (status = 403, description = "the page of another site asks"),
        (status = 426, description = "the request asks for no websocket"),
    )
)]
pub(super) async fn server(State(traces): State<Traces>, request: Request) -> Result<Response, Refusal> {
    let hub = traces.services.traces.server.clone();
    traces.open(hub, request)
}

#[utoipa::path(
    get,
    path = "/api/admin/trace-smtp-client/v1",
    tag = "administration",
    summary = "Listen to mail that goes out by SMTP",
    responses(
        (status = 101, description = "a websocket: a filter goes in, events come out"),
        (status = 403, description = "the page of another site asks"),
        (status = 426, description = "the request asks for no websocket"),
    )
)]
pub(super) async fn client(State(traces): State<Traces>, request: Request) -> Result<Response, Refusal> {
    let hub = traces.services.traces.client.clone();
    traces.open(hub, request)
}

impl Traces {
    fn open<C: Conn>(&self, hub: Hub<C>, mut request: Request) -> Result<Response, Refusal>
    where
        C::Filter: DeserializeOwned,
    {
        let accept = accept_key(request.headers())?;
        let upgrade = request.extensions_mut().remove::<OnUpgrade>().ok_or_else(no_websocket)?;
        let clock = self.services.clock.clone();
        let mut running = self.running.lock();
        while running.try_join_next().is_some() {}
        running.spawn(async move {
            match upgrade.await {
                Ok(upgraded) => trace(upgraded, hub, clock).await,
                Err(error) => tracing::debug!("a trace was not begun: {error}"),
            }
        });
        let head = [(header::CONNECTION, "upgrade"), (header::UPGRADE, "websocket")];
        Ok((StatusCode::SWITCHING_PROTOCOLS, head, [(header::SEC_WEBSOCKET_ACCEPT, accept)]).into_response())
    }
}

/// The answer to the key of the handshake.
fn accept_key(headers: &HeaderMap) -> Result<String, Refusal> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let has = |name, word: &str| text(name).split(',').any(|given| given.trim().eq_ignore_ascii_case(word));
    if !has(header::CONNECTION, "upgrade") || !has(header::UPGRADE, "websocket") {
        return Err(no_websocket());
    }
    // Browsers let the pages of any site open websockets here: mail is not for them to read.
    if let Some(origin) = headers.get(header::ORIGIN) {
        let site = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, site)| site);
        if site != Some(text(header::HOST)) {
            return Err(Refusal::error(StatusCode::FORBIDDEN, "the page of another site cannot listen to traces"));
        }
    }
    if text(header::SEC_WEBSOCKET_VERSION) != "13" {
        return Err(Refusal::error(StatusCode::BAD_REQUEST, "the version of the websocket has to be 13"));
    }
    match headers.get(header::SEC_WEBSOCKET_KEY) {
        Some(key) => Ok(derive_accept_key(key.as_bytes())),
        None => Err(Refusal::error(StatusCode::BAD_REQUEST, "there is no Sec-WebSocket-Key")),
    }
}

fn no_websocket() -> Refusal {
    Refusal::error(StatusCode::UPGRADE_REQUIRED, "a trace is a websocket: ask for it with Upgrade: websocket")
}

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// From the handshake to the end.
async fn trace<C: Conn>(upgraded: Upgraded, hub: Hub<C>, clock: Clock)
where
    C::Filter: DeserializeOwned,
{
    let config = WebSocketConfig::default().max_message_size(Some(FILTER_LIMIT)).max_frame_size(Some(FILTER_LIMIT));
    let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await;
    let filter = match timeout(FILTER_TIMEOUT, filter(&mut socket)).await {
        Ok(Ok(Some(filter))) => filter,
        Ok(Ok(None)) => return,
        Ok(Err(why)) => return close(&mut socket, CloseCode::Invalid, &why).await,
        Err(_) => return close(&mut socket, CloseCode::Policy, "no filter came within 10 seconds").await,
    };
    match hub.watch(filter) {
        Ok(watch) => listen(&mut socket, watch, &clock).await,
        Err(too_many) => {
            let why = format!("{} traces run already, which is the most: end one of them", too_many.most);
            close(&mut socket, CloseCode::Again, &why).await;
        }
    }
}

/// The first text; `None` when the client goes.
async fn filter<F: DeserializeOwned>(socket: &mut Socket) -> Result<Option<F>, String> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => {
                let read = F::deserialize(Objects::new(&mut serde_json::Deserializer::from_str(&text)));
                return read.map(Some).map_err(|error| format!("the filter: {error}"));
            }
            Some(Ok(Message::Binary(_))) => return Err("the filter has to come as text, not as bytes".into()),
            Some(Ok(Message::Close(_))) | None => return Ok(None),
            Some(Ok(_)) => {}
            Some(Err(Error::Capacity(error))) => return Err(format!("the filter: {error}")),
            Some(Err(_)) => return Ok(None),
        }
    }
}

async fn listen<C: Conn>(socket: &mut Socket, mut watch: Watch<C>, clock: &Clock) {
    let mut ping = tokio::time::interval(PING);
    loop {
        let message = tokio::select! {
            frame = watch.next() => Message::text(&*frame),
            _ = ping.tick() => Message::Ping(Default::default()),
            heard = socket.next() => match heard {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => continue,
            },
        };
        if !send(socket, message).await {
            return;
        }
        if let Some(loss) = watch.take_loss(clock())
            && !send(socket, Message::text(&*loss)).await
        {
            return;
        }
    }
}

/// Whether it went out in time.
async fn send(socket: &mut Socket, message: Message) -> bool {
    matches!(timeout(SEND_TIMEOUT, socket.send(message)).await, Ok(Ok(())))
}

/// Says why, and ends it.
async fn close(socket: &mut Socket, code: CloseCode, why: &str) {
    let mut end = why.len().min(REASON_LIMIT);
    while !why.is_char_boundary(end) {
        end -= 1;
    }
    let frame = CloseFrame { code, reason: why[..end].to_owned().into() };
    let farewell = async {
        socket.close(Some(frame)).await?;
        // Until the client has said goodbye too, so that it does not miss ours.
        while socket.next().await.transpose()?.is_some() {}
        Ok::<(), Error>(())
    };
    let _ = timeout(FILTER_TIMEOUT, farewell).await;
}
