//! A message on its way to another node: what the sender notes in its meta, what goes over the wire, and what the
//! receiver makes of it (contract/kumomta.md sections 2.13, 6.5 and 7.2).

use crate::{Message, Origin, Spooled};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use waybill_log_record::Fields;
use waybill_types::{EnvelopeAddress, MessageId, NodeUrl, Schedule};

/// The meta that keeps what a message loses by being moved: its own `queue`, and its schedule.
const SAVED: &str = "xfer_saved";
/// Behind the URL of a node: who takes a message there.
pub const INJECT_PATH: &str = "/api/xfer/inject/v1";

/// What is remembered of a message while it is in the queue of another node, and goes there with it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Saved {
    /// The meta `queue` that policy had set.
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    schedule: Option<Arc<Schedule>>,
    /// A log record on its way to a hook: what becomes of it is no event there either.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    log_message: bool,
    /// Through how many webhooks it has come: a circle may lead over several nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    hops: Option<u8>,
}

impl Saved {
    fn of(meta: &Map<String, Value>) -> Option<Saved> {
        Saved::deserialize(meta.get(SAVED)?).ok()
    }
}

/// Sends a message to the queue of another node. Its schedule is lifted: what it has to wait for, it waits for there.
/// One that is on its way to another node already keeps what was remembered then.
pub fn send_off(message: &Message, to: &NodeUrl) {
    if message.meta(SAVED).is_none() {
        let queue = message.meta_text("queue").unwrap_or_default().map(Value::String);
        let saved = Saved { queue, schedule: message.schedule(), ..Saved::default() };
        message.set_meta(SAVED, json!(saved));
    }
    if message.schedule().is_some() {
        message.set_schedule(None);
    }
    message.set_meta("queue", to.queue().as_str().into());
}

/// Takes back what [`send_off`] did. False: it was not sent off.
pub fn call_back(message: &Message) -> bool {
    let Some(saved) = Saved::of(&message.all_meta()) else { return false };
    message.set_meta("queue", saved.queue.unwrap_or(Value::Null));
    message.set_meta(SAVED, Value::Null);
    if saved.schedule.is_some() {
        message.set_schedule(saved.schedule);
    }
    true
}

/// The line before the body.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: MessageId,
    sender: String,
    recipient: Vec<String>,
    meta: Map<String, Value>,
}

/// What goes over the wire, before compression: a line of JSON, then the body. `None` while the body is not in memory.
pub fn pack(message: &Message, node: &str) -> Option<Bytes> {
    let data = message.data()?;
    let mut meta = message.all_meta();
    let moved = Saved::of(&meta);
    meta.remove(SAVED);
    if let Some(saved) = &moved {
        match &saved.queue {
            Some(queue) => meta.insert("queue".into(), queue.clone()),
            None => meta.remove("queue"),
        };
    }
    let log_message = message.origin() == Origin::LogRecord;
    let schedule = moved.and_then(|saved| saved.schedule).or_else(|| message.schedule());
    let hops = Some(message.hops()).filter(|hops| *hops > 0);
    let saved = Saved { queue: None, schedule, log_message, hops };
    if saved != Saved::default() {
        meta.insert(SAVED.into(), json!(saved));
    }
    meta.insert("xfer_prior_id".into(), message.id().to_string().into());
    meta.insert("xfer_prior_node".into(), node.into());
    let line = Line {
        id: message.id(),
        sender: message.sender().as_str().to_owned(),
        recipient: message.recipients().iter().map(EnvelopeAddress::to_string).collect(),
        meta,
    };
    // Texts and JSON: nothing that cannot be written.
    let mut packed = serde_json::to_vec(&line).ok()?;
    packed.reserve_exact(data.len() + 1);
    packed.push(b'\n');
    packed.extend_from_slice(&data);
    Some(packed.into())
}

/// A message that came from another node, under an id of its own that is as old as the one it had there.
///
/// # Errors
/// A sentence about what makes no sense.
pub fn unpack(packed: &Bytes) -> Result<Message, String> {
    let end = packed.iter().position(|byte| *byte == b'\n').ok_or("the line before the body has no end")?;
    let line: Line =
        serde_json::from_slice(&packed[..end]).map_err(|error| format!("the line before the body: {error}"))?;
    let body = packed.slice(end + 1..);
    if body.is_empty() {
        return Err("the message has no body".to_owned());
    }
    let address = |text: &str| -> Result<EnvelopeAddress, String> {
        text.parse().map_err(|error| format!("{text:?} is no address: {error}"))
    };
    let recipients = line.recipient.iter().map(|text| address(text)).collect::<Result<Vec<_>, _>>()?;
    if recipients.is_empty() {
        return Err("the message has no recipient".to_owned());
    }
    let mut meta = line.meta;
    let saved = Saved::of(&meta).unwrap_or_default();
    meta.remove(SAVED);
    meta.retain(|_, value| !value.is_null());
    meta.insert("xfer_prior_id".into(), line.id.to_string().into());
    let spooled = Spooled {
        sender: address(&line.sender)?,
        recipients,
        meta,
        due: None,
        schedule: saved.schedule,
        attempts: 0,
        size: 0,
        origin: if saved.log_message { Origin::LogRecord } else { Origin::Mail },
        hops: saved.hops.unwrap_or(0),
        headers: Fields::empty(),
    };
    let message = Message::from_spool(line.id.renewed(), spooled);
    // As a change: it is not stored yet.
    message.set_data(body);
    Ok(message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use waybill_types::{IdMint, Timestamp};

    fn node() -> NodeUrl {
        NodeUrl::parse("http://n2.example:8000").unwrap()
    }

    fn mail() -> Message {
        let id = IdMint::random().message(Timestamp::from_secs(1_700_000_000));
        let to = vec!["b@y.example".parse().unwrap(), "c@y.example".parse().unwrap()];
        Message::new(id, "a@x.example".parse().unwrap(), to, Bytes::from_static(b"Subject: Hi\r\n\r\nbody\n\xff\r\n"))
    }

    #[test]
    fn a_message_that_is_called_back_is_as_it_was() {
        let message = mail();
        message.set_meta("queue", "own.example".into());
        message.set_schedule(Some(Schedule::until(Timestamp::from_secs(5)).into()));
        let before = (message.all_meta(), message.schedule());
        send_off(&message, &node());
        assert_eq!(message.queue_name().unwrap(), node().queue());
        assert_eq!(message.schedule(), None, "it waits there");
        send_off(&message, &NodeUrl::parse("http://n3").unwrap());
        assert!(call_back(&message) && !call_back(&message));
        assert_eq!((message.all_meta(), message.schedule()), before);
        let without = mail();
        send_off(&without, &node());
        assert!(call_back(&without));
        assert_eq!(without.queue_name().unwrap().as_str(), "y.example");
    }

    #[test]
    fn a_message_arrives_as_it_was_before_it_was_sent_off() {
        let message = mail();
        message.set_meta("tenant", "t".into());
        message.set_meta("x_list", json!([1, 2]));
        message.set_hops(2);
        message.set_schedule(Some(Schedule::until(Timestamp::from_secs(5)).into()));
        send_off(&message, &node());
        let arrived = unpack(&pack(&message, "node-1").unwrap()).unwrap();
        assert_ne!(arrived.id(), message.id());
        assert_eq!(arrived.created(), message.created());
        assert_eq!((arrived.sender(), arrived.recipients()), (message.sender(), message.recipients()));
        assert_eq!(
            (arrived.data(), arrived.schedule().unwrap().expires()),
            (message.data(), Some(Timestamp::from_secs(5)))
        );
        assert_eq!(arrived.queue_name().unwrap().as_str(), "t@y.example");
        assert_eq!((arrived.origin(), arrived.hops()), (Origin::Mail, 2));
        let meta = Value::Object(arrived.all_meta());
        let prior = json!({"tenant": "t", "x_list": [1, 2], "xfer_prior_id": message.id().to_string(),
                           "xfer_prior_node": "node-1"});
        assert_eq!(meta, prior);
        assert!(arrived.to_store().1.is_some(), "its body is stored with it");
    }

    #[test]
    fn a_script_that_names_another_queue_by_policy_is_followed_there_too() {
        let message = mail();
        message.set_meta("queue", "own.example".into());
        // Not sent off: policy gave its queue the protocol xfer.
        let arrived = unpack(&pack(&message, "n").unwrap()).unwrap();
        assert_eq!(arrived.queue_name().unwrap().as_str(), "own.example");
        send_off(&message, &node());
        let arrived = unpack(&pack(&message, "n").unwrap()).unwrap();
        assert_eq!(arrived.queue_name().unwrap().as_str(), "own.example");
    }

    #[test]
    fn a_log_message_stays_one() {
        let spooled = Spooled::decode(&mail().to_store().0).unwrap();
        let message = Message::from_spool(mail().id(), Spooled { origin: Origin::LogRecord, ..spooled });
        message.set_data(Bytes::from_static(b"{}\n"));
        send_off(&message, &node());
        assert_eq!(unpack(&pack(&message, "n").unwrap()).unwrap().origin(), Origin::LogRecord);
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_the_reason() {
        let id = mail().id();
        let line = |recipient: &str, more: &str| {
            format!("{{\"id\":\"{id}\",\"sender\":\"\",\"recipient\":[{recipient}],\"meta\":{{}}{more}}}")
        };
        for (packed, why) in [
            (String::new(), "has no end"),
            ("{}".to_owned(), "has no end"),
            ("{}\nbody".to_owned(), "missing field `id`"),
            (format!("{}\n", line("\"b@y.example\"", "")), "no body"),
            (format!("{}\nbody", line("", "")), "no recipient"),
            (format!("{}\nbody", line("\"b y\"", "")), "is no address"),
            (format!("{}\nbody", line("\"b@y.example\"", ",\"more\":1")), "unknown field `more`"),
        ] {
            let error = unpack(&Bytes::from(packed.clone())).unwrap_err();
            assert!(error.contains(why), "{packed:?}: {error}");
        }
        assert!(unpack(&Bytes::from(format!("{}\nbody", line("\"b@y.example\"", "")))).is_ok(), "the null sender");
    }
}
