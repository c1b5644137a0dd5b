use super::IngressType;
use crate::message::MessageIn;
use crate::text::Text;
use crate::{Code, Encoding, Error, Limits, Message};
use bytes::Bytes;
use serde::Deserialize;
use waybill_types::Timestamp;
use waybill_webhook_core::{self as webhook, HOPS};
use waybill_webhook_sign::verify::{self, Received, Refusal, TOLERANCE, Timed, signed_at};
use waybill_webhook_sign::{KlevKey, Secret, StandardVerifier};

/// What came, once it is believed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reception {
    /// A message for the log.
    Message {
        /// It.
        message: Message,
        /// By what it is known when it comes again: each is one name.
        names: Vec<Vec<u8>>,
    },
    /// Slack asks whether we are who we say, and wants this for an answer. Nothing is stored.
    Challenge(String),
}

/// Checks what came and makes a message of it. Any of the secrets will do.
///
/// # Errors
/// `authentication-failed` for what is not to be believed, with what is wrong with its headers and not a byte of its body;
/// the others tell what is wrong with the body of somebody who is known.
pub fn receive(
    kind: IngressType,
    secrets: &[&Secret],
    received: &Received<'_>,
    now: Timestamp,
    limits: &Limits,
) -> Result<Reception, Error> {
    check(kind, secrets, received, now)
        .map_err(|refusal| Error::new(Code::AuthenticationFailed, refusal.to_string()))?;
    if kind == IngressType::Slack
        && let Some(challenge) = challenge(received.body)
    {
        return Ok(Reception::Challenge(challenge));
    }
    let message = message(kind, received, now, limits)?;
    Ok(Reception::Message { message, names: names(kind, secrets, received, now) })
}

fn check(kind: IngressType, secrets: &[&Secret], received: &Received<'_>, now: Timestamp) -> Result<(), Refusal> {
    let cloned = || secrets.iter().map(|secret| (*secret).clone());
    match kind {
        IngressType::GitHub => verify::github(&cloned().collect::<Vec<_>>(), received),
        IngressType::Slack => verify::slack(&cloned().collect::<Vec<_>>(), received, now, TOLERANCE),
        IngressType::Stripe => verify::stripe(&cloned().collect::<Vec<_>>(), received, now, TOLERANCE),
        IngressType::KlevMessage | IngressType::KlevKey | IngressType::KlevValue => {
            verify::klev(&cloned().map(KlevKey::new).collect::<Vec<_>>(), received, now, TOLERANCE)
        }
        IngressType::Standard => {
            let keys: Vec<_> = secrets.iter().filter_map(|key| StandardVerifier::parse(key.reveal()).ok()).collect();
            verify::standard(&keys, received, now, TOLERANCE)
        }
    }
}

fn message(kind: IngressType, received: &Received<'_>, now: Timestamp, limits: &Limits) -> Result<Message, Error> {
    let time = now.nanos() / 1000;
    let hops = hops(received)?;
    let body = || Some(Bytes::copy_from_slice(received.body));
    let text = |text: Option<String>| text.map(Bytes::from);
    let message = match kind {
        IngressType::KlevMessage => return Ok(Message { hops, ..sent(received.body, time, limits)? }),
        IngressType::KlevKey => Message { time, key: body(), value: None, hops },
        IngressType::KlevValue => Message { time, key: None, value: body(), hops },
        // What kind of event it is stands nowhere but here; the signature does not cover it.
        IngressType::GitHub => Message { time, key: text(header(received, "x-github-event")), value: body(), hops },
        IngressType::Slack => Message { time, key: text(id_in(received.body).event_id), value: body(), hops },
        IngressType::Stripe => Message { time, key: text(id_in(received.body).id), value: body(), hops },
        IngressType::Standard => Message { time, key: text(header(received, "webhook-id")), value: body(), hops },
    };
    fits(&message, limits)?;
    Ok(message)
}

/// Through how many webhooks it has come.
fn hops(received: &Received<'_>) -> Result<u8, Error> {
    let named = received.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(HOPS));
    webhook::hops(named.map(|(_, value)| *value))
        .map_err(|refusal| Error::new(Code::IngressWebhookHopsLimited, refusal.to_string()))
}

fn fits(message: &Message, limits: &Limits) -> Result<(), Error> {
    let size = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
    let (key, value) = (size(&message.key), size(&message.value));
    if key > limits.key {
        let why = format!("a key of {key} bytes, at most {} are taken", limits.key);
        return Err(Error::new(Code::MessageKeyLimited, why));
    }
    if value > limits.value {
        let why = format!("a value of {value} bytes, at most {} are taken", limits.value);
        return Err(Error::new(Code::MessageValueLimited, why));
    }
    Ok(())
}

/// The body of an egress webhook that sends whole messages. What else is in it is passed over.
#[derive(Deserialize)]
struct Sent<'a> {
    encoding: Option<String>,
    time: Option<i64>,
    #[serde(borrow)]
    key: Option<Text<'a>>,
    #[serde(borrow)]
    value: Option<Text<'a>>,
}

fn sent(body: &[u8], time: i64, limits: &Limits) -> Result<Message, Error> {
    let wrong = |error: Error| match error.code {
        Code::MessageKeyLimited | Code::MessageValueLimited => error,
        _ => Error::new(Code::IngressWebhookPayloadInvalid, error.message),
    };
    let Sent { encoding, time: at, key, value } = crate::body::<Sent<'_>>(body).map_err(wrong)?;
    let encoding = Encoding::of_body(encoding.as_deref()).map_err(wrong)?;
    MessageIn { time: at, key, value }.message(format_args!(""), encoding, time, limits).map_err(wrong)
}

/// By what a message is known: its sender's id for it, where the signature covers that, and the very bytes that were
/// signed, for whoever repeats them without the id.
fn names(kind: IngressType, secrets: &[&Secret], received: &Received<'_>, now: Timestamp) -> Vec<Vec<u8>> {
    let name = |what: &str, id: &str| [what.as_bytes(), b" ", id.as_bytes()].concat();
    let bytes = |scheme: Timed| {
        let at = signed_at(scheme, received).ok()?;
        Some([format!("bytes {at} ").as_bytes(), received.body].concat())
    };
    let (id, bytes) = match kind {
        // GitHub signs no time and no id. A delivery that is sent again has the same id and body.
        IngressType::GitHub => {
            let delivery = header(received, "x-github-delivery").unwrap_or_default();
            (None, Some([format!("delivery {delivery} ").as_bytes(), received.body].concat()))
        }
        IngressType::Slack => (id_in(received.body).event_id.map(|id| name("event", &id)), bytes(Timed::Slack)),
        IngressType::Stripe => (id_in(received.body).id.map(|id| name("event", &id)), bytes(Timed::Stripe)),
        IngressType::Standard => {
            (header(received, "webhook-id").map(|id| name("webhook", &id)), bytes(Timed::Standard))
        }
        IngressType::KlevMessage | IngressType::KlevKey | IngressType::KlevValue => {
            // Waybill signs as Standard Webhooks too, and so tells what is a retry; klev does not.
            let keys = secrets.iter().filter_map(|secret| KlevKey::new((*secret).clone()).as_standard().ok());
            let keys: Vec<StandardVerifier> = keys.map(|key| key.verifier()).collect();
            let believed = verify::standard(&keys, received, now, TOLERANCE).is_ok();
            let id = believed.then(|| header(received, "webhook-id")).flatten();
            (id.map(|id| name("webhook", &id)), bytes(Timed::Klev))
        }
    };
    id.into_iter().chain(bytes).collect()
}

/// A header that is there once and is a text.
fn header(received: &Received<'_>, name: &str) -> Option<String> {
    let mut values = received.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
    let (_, value) = values.next()?;
    if values.next().is_some() {
        return None;
    }
    std::str::from_utf8(value).ok().map(str::to_owned)
}

/// Ids in a body of JSON.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Ids {
    id: Option<String>,
    event_id: Option<String>,
}

fn id_in(body: &[u8]) -> Ids {
    serde_json::from_slice(body).unwrap_or_default()
}

#[derive(Deserialize)]
struct Challenge {
    r#type: String,
    challenge: String,
}

fn challenge(body: &[u8]) -> Option<String> {
    let Challenge { r#type, challenge } = serde_json::from_slice(body).ok()?;
    (r#type == "url_verification").then_some(challenge)
}
