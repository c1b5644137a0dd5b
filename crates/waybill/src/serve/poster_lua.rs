//! `kumo.http.poster`: `send` and `send_batch` of a hook that posts its events, without Lua on the way.
//!
//! It knows what neither `lua` nor `lua-http` may know of the other: that a message becomes a body, and what the answer
//! means to a connection.

use futures::FutureExt;
use futures::future::BoxFuture;
use http::{HeaderName, HeaderValue};
use mlua::{Function, IntoLuaMulti, Lua, Table};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::sync::Arc;
use waybill_lua::{Answer, Native, NativeMethod, policy_error};
use waybill_lua_http::{Posted, Poster};
use waybill_policy::{Args, PolicyError, Returned, Value};
use waybill_runtime::Clock;
use waybill_spool::Message;
use waybill_types::Timestamp;
use waybill_webhook_sign::{EventId, StandardKey};

/// What a response adds to the record of an event, at most.
const LONGEST_BODY: usize = 1024;

const HOPS: HeaderName = HeaderName::from_static(waybill_webhook_core::HOPS);
const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// Adds the function.
pub(super) fn register(lua: &Lua, kumo: &Table, clock: Arc<dyn Clock>) -> mlua::Result<()> {
    let poster = lua.create_function(move |_, (client, options): (mlua::Value, Table)| {
        let url: String = options.get("url")?;
        let Some(poster) = Poster::new(&client, &url, &options.get("headers")?)? else { return Ok(None) };
        let secret: Option<String> = options.get("secret")?;
        let key = secret.map(|secret| StandardKey::parse(&secret)).transpose().map_err(mlua::Error::external)?;
        let otherwise: Function = options.get("otherwise")?;
        let sender = Sender { poster, key, clock: clock.clone() };
        Ok(Some(NativeMethod::new(Arc::new(sender), otherwise)))
    })?;
    let http: Table = kumo.get("http")?;
    http.raw_set("poster", poster)
}

/// Posts what it is given.
struct Sender {
    poster: Poster,
    key: Option<StandardKey>,
    clock: Arc<dyn Clock>,
}

impl Native for Sender {
    fn call(&self, args: Args) -> BoxFuture<'_, Result<Answer, PolicyError>> {
        async move {
            let (id, body, hops) = match args.first() {
                Some(Value::Message(message)) => {
                    (HeaderValue::from_bytes(&message.id().digits()), whole(message)?, message.hops())
                }
                Some(Value::Messages(messages)) => {
                    let hops = messages.iter().map(Message::hops).max().unwrap_or_default();
                    (HeaderValue::try_from(batch_id(messages)), batch_body(messages)?, hops)
                }
                _ => return Err(PolicyError::unusable("expected a message, or a list of messages")),
            };
            let id = id.map_err(PolicyError::unusable)?;
            let posted = self.post(id, hops, body).await.map_err(|error| policy_error(&error))?;
            Ok(match posted {
                Posted::Taken(text) => Answer::Returned(Returned(vec![Value::Bytes(text.into_bytes())])),
                Posted::Answered(answered) => Answer::Asks(Box::new(move |lua| answered.into_lua_multi(lua))),
            })
        }
        .boxed()
    }
}

impl Sender {
    /// `hops` are the webhooks that it has come through before.
    async fn post(&self, id: HeaderValue, hops: u8, body: bytes::Bytes) -> mlua::Result<Posted> {
        let hops = HeaderValue::from(u16::from(hops) + 1);
        let Some(key) = &self.key else {
            return self.poster.post([(ID, id), (HOPS, hops)], body, LONGEST_BODY).await;
        };
        let seconds = self.clock.now().since(Timestamp::EPOCH).as_secs();
        let text = id.to_str().map_err(mlua::Error::external)?;
        let event = EventId::new(text).map_err(mlua::Error::external)?;
        let signature = key.sign(&event, i64::try_from(seconds).unwrap_or(i64::MAX), &body);
        let signature = HeaderValue::try_from(signature).map_err(mlua::Error::external)?;
        let headers = [(ID, id), (HOPS, hops), (TIMESTAMP, HeaderValue::from(seconds)), (SIGNATURE, signature)];
        self.poster.post(headers, body, LONGEST_BODY).await
    }
}

fn whole(message: &Message) -> Result<bytes::Bytes, PolicyError> {
    message.data().ok_or_else(|| PolicyError::unusable("the body of the message is not in memory"))
}

/// The same for the same messages.
fn batch_id(messages: &[Message]) -> String {
    let mut ids = Sha256::new();
    messages.iter().for_each(|message| ids.update(message.id().to_string()));
    let mut id = "batch_".to_owned();
    for byte in ids.finalize().iter().take(16) {
        // Writing into a String cannot fail.
        let _ = write!(id, "{byte:02x}");
    }
    id
}

/// The records as a list, each byte for byte as it would be alone.
fn batch_body(messages: &[Message]) -> Result<bytes::Bytes, PolicyError> {
    let mut body = vec![b'['];
    for (at, message) in messages.iter().enumerate() {
        if at > 0 {
            body.push(b',');
        }
        let whole = whole(message)?;
        let record = whole.strip_suffix(b"\n").map_or(&whole[..], |line| line.strip_suffix(b"\r").unwrap_or(line));
        body.extend_from_slice(record);
    }
    body.push(b']');
    Ok(body.into())
}

#[cfg(test)]
#[path = "poster_lua_tests.rs"]
mod tests;
