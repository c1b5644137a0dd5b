use crate::{Code, Encoding, Error, Id, Limits, Message, Secrets, field};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use waybill_webhook_core::Target;

/// What of a message is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Payload {
    /// All of it, as JSON.
    Message,
    /// The bytes of its key.
    Key,
    /// The bytes of its value.
    Value,
}

/// In which order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Strictly in the order of offsets, one at a time.
    #[default]
    Strict,
    /// In order for each key; a key whose message waits holds up nobody else.
    ParallelByKey,
}

impl Mode {
    fn named(text: Option<&str>) -> Result<Self, Error> {
        match text {
            None | Some("strict") => Ok(Mode::Strict),
            Some("parallel_by_key") => Ok(Mode::ParallelByKey),
            Some(_) => Err(Error::new(Code::JsonInvalid, "mode: expected \"strict\" or \"parallel_by_key\"")),
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
    fn is_strict(&self) -> bool {
        *self == Mode::Strict
    }
}

#[derive(Serialize)]
struct Body<'a> {
    encoding: Encoding,
    offset: u64,
    time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a str>,
}

impl Payload {
    fn named(text: Option<&str>) -> Result<Self, Error> {
        match text {
            None | Some("message") => Ok(Payload::Message),
            Some("key") => Ok(Payload::Key),
            Some("value") => Ok(Payload::Value),
            Some(_) => {
                let why = "payload: expected \"message\", \"key\" or \"value\"";
                Err(Error::new(Code::EgressWebhookPayloadInvalid, why))
            }
        }
    }

    /// The content type of what is sent.
    pub const fn content_type(self) -> &'static str {
        match self {
            Payload::Message => "application/json",
            Payload::Key | Payload::Value => "application/octet-stream",
        }
    }

    /// The bytes that are sent for a message. What a message has not is empty.
    pub fn body(self, offset: u64, message: &Message) -> Bytes {
        match self {
            Payload::Key => message.key.clone().unwrap_or_default(),
            Payload::Value => message.value.clone().unwrap_or_default(),
            Payload::Message => {
                // Base64 takes every byte, so that these cannot fail.
                let key = message.key.as_deref().and_then(|key| Encoding::Base64.encode(key));
                let value = message.value.as_deref().and_then(|value| Encoding::Base64.encode(value));
                let (key, value) = (key.as_deref(), value.as_deref());
                let body = Body { encoding: Encoding::Base64, offset, time: message.time, key, value };
                serde_json::to_vec(&body).unwrap_or_default().into()
            }
        }
    }
}

/// An egress webhook as it is stored and shown; its keys are kept apart.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Egress {
    /// Its id.
    pub webhook_id: Id,
    /// What its maker says about it.
    pub metadata: String,
    /// The log whose messages it sends.
    pub log_id: Id,
    /// The URL that it sends them to.
    pub destination: String,
    /// What of them.
    pub payload: Payload,
    /// In which order.
    #[serde(default, skip_serializing_if = "Mode::is_strict")]
    pub mode: Mode,
}

/// An egress webhook in an answer. `Debug` shows no secret.
#[derive(Serialize)]
pub struct Shown<'a> {
    #[serde(flatten)]
    egress: &'a Egress,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<&'a str>,
    /// The same secret as a key of Standard Webhooks.
    #[serde(skip_serializing_if = "Option::is_none")]
    standard_secret: Option<String>,
}

impl Egress {
    /// Without a secret: what every answer but those of create and rotate shows.
    pub fn shown(&self) -> Shown<'_> {
        Shown { egress: self, secret: None, standard_secret: None }
    }

    /// With the secret that signs from now on.
    pub fn with_secret<'a>(&'a self, keys: &'a Secrets) -> Shown<'a> {
        let standard = keys.standard_text().reveal().to_owned();
        Shown { egress: self, secret: Some(keys.current().reveal()), standard_secret: Some(standard) }
    }
}

/// The body that creates one.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EgressCreate {
    log_id: Option<String>,
    metadata: Option<String>,
    destination: Option<String>,
    payload: Option<String>,
    mode: Option<String>,
    offset: Option<i64>,
}

impl EgressCreate {
    /// The log that it names.
    ///
    /// # Errors
    /// `egress-webhook-log-id-field-invalid`.
    pub fn log(&self) -> Result<Id, Error> {
        field::log("log_id", self.log_id.as_deref(), Code::EgressWebhookLogIdFieldInvalid)
    }

    /// The offset from which on messages are sent: by default what comes next.
    pub fn offset(&self) -> i64 {
        self.offset.unwrap_or(crate::NEWEST)
    }

    /// The webhook that it describes.
    ///
    /// # Errors
    /// `egress-webhook-{payload-invalid,path-invalid,metadata-limited}`.
    pub fn egress(self, webhook_id: Id, log_id: Id, limits: &Limits) -> Result<Egress, Error> {
        let payload = Payload::named(self.payload.as_deref())?;
        let destination = destination(self.destination.unwrap_or_default())?;
        let metadata = fitting(self.metadata.unwrap_or_default(), limits)?;
        let mode = Mode::named(self.mode.as_deref())?;
        Ok(Egress { webhook_id, metadata, log_id, destination, payload, mode })
    }
}

/// The body that changes one: what it does not name stays.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EgressUpdate {
    metadata: Option<String>,
    destination: Option<String>,
    active: Option<bool>,
    next_offset: Option<i64>,
    next_time: Option<i64>,
    skip: Option<u64>,
}

/// What a change says about the position.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Position {
    /// Have it rest, or go on.
    pub active: Option<bool>,
    /// Where to go on: an offset, -2 or -1.
    pub next_offset: Option<i64>,
    /// Where to go on: at the first message of this time (microseconds) or later.
    pub next_time: Option<i64>,
    /// The message at this offset, which waits, is not sent any more.
    pub skip: Option<u64>,
}

impl EgressUpdate {
    /// What it says about the position.
    pub fn position(&self) -> Position {
        let EgressUpdate { active, next_offset, next_time, skip, .. } = *self;
        Position { active, next_offset, next_time, skip }
    }

    /// The webhook with what it changes.
    ///
    /// # Errors
    /// As when one is created; `json-invalid` where it is to move in two ways at once.
    pub fn apply(self, old: &Egress, limits: &Limits) -> Result<Egress, Error> {
        let moves = [self.next_offset.is_some(), self.next_time.is_some(), self.skip.is_some()];
        if moves.into_iter().filter(|moves| *moves).count() > 1 {
            return Err(Error::new(Code::JsonInvalid, "next_offset, next_time and skip exclude each other"));
        }
        let metadata = fitting(self.metadata.unwrap_or_else(|| old.metadata.clone()), limits)?;
        let destination = self.destination.map_or_else(|| Ok(old.destination.clone()), destination)?;
        Ok(Egress { metadata, destination, ..old.clone() })
    }
}

/// The body that rotates a secret.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rotate {
    /// How long the old secret signs too; zero: not at all.
    pub expire_seconds: u64,
}

fn destination(text: String) -> Result<String, Error> {
    match Target::parse(&text) {
        Ok(_) => Ok(text),
        Err(why) => Err(Error::new(Code::EgressWebhookPathInvalid, format!("destination: {why}"))),
    }
}

fn fitting(metadata: String, limits: &Limits) -> Result<String, Error> {
    field::metadata(metadata, limits, Code::EgressWebhookMetadataLimited)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kind, body};
    use waybill_webhook_sign::Secret;

    const LOG: &str = "log_2VnvpTOoNFQRf0G9peK1zKlfhlf";

    fn created(more: &str) -> Result<Egress, Code> {
        let json = format!(r#"{{"log_id":"{LOG}","destination":"https://7e087ef51c73.ngrok.app"{more}}}"#);
        let create: EgressCreate = body(json.as_bytes()).map_err(|error| error.code)?;
        let log = create.log().map_err(|error| error.code)?;
        let id = Id::parse(Kind::Egress, "ewh_2VnwJdcym3NLEaA6MUkrPWzKWkQ").unwrap();
        create.egress(id, log, &Limits::default()).map_err(|error| error.code)
    }

    #[test]
    fn a_new_webhook_is_shown_as_the_seed_shows_it_and_its_secret_only_then() {
        let egress = created(r#","metadata":"egress webhook test""#).unwrap();
        let keys = Secrets::new(Secret::new("ewhsec_4WWS5n4YcVrX8FhtxTKG3ctFHud3amGsr"));
        let shown = serde_json::to_string(&egress.with_secret(&keys)).unwrap();
        let seed = r#"{"webhook_id":"ewh_2VnwJdcym3NLEaA6MUkrPWzKWkQ","metadata":"egress webhook test","log_id":"log_2VnvpTOoNFQRf0G9peK1zKlfhlf","destination":"https://7e087ef51c73.ngrok.app","payload":"message","secret":"ewhsec_4WWS5n4YcVrX8FhtxTKG3ctFHud3amGsr""#;
        assert!(shown.starts_with(seed), "{shown}");
        assert!(!serde_json::to_string(&egress.shown()).unwrap().contains("secret"));
        let stored = serde_json::to_vec(&egress).unwrap();
        assert_eq!(serde_json::from_slice::<Egress>(&stored).unwrap(), egress);
    }

    #[test]
    fn the_body_of_a_message_is_that_of_the_vector() {
        let message = Message {
            time: 1_695_490_927_247_960,
            key: None,
            value: Some(Bytes::from_static(b"hello world")),
            hops: 0,
        };
        assert_eq!(
            Payload::Message.body(0, &message),
            r#"{"encoding":"base64","offset":0,"time":1695490927247960,"value":"aGVsbG8gd29ybGQ="}"#
        );
        assert_eq!(Payload::Value.body(0, &message), "hello world");
        assert_eq!(Payload::Key.body(0, &message), "");
        assert_eq!(Payload::Key.content_type(), "application/octet-stream");
    }

    #[test]
    fn every_field_that_is_wrong_has_its_code() {
        assert_eq!(created(r#","payload":"body""#), Err(Code::EgressWebhookPayloadInvalid));
        let metadata = format!(r#","metadata":"{}""#, "x".repeat(5000));
        assert_eq!(created(&metadata), Err(Code::EgressWebhookMetadataLimited));
        assert_eq!(created(r#","mode":"x""#), Err(Code::JsonInvalid));
        for destination in ["", "ftp://a.example/", "http://user@a.example/", "a.example"] {
            let json = format!(r#"{{"log_id":"{LOG}","destination":"{destination}"}}"#);
            let create: EgressCreate = body(json.as_bytes()).unwrap();
            let id = Id::mint(Kind::Egress, 0, [0; 16]);
            let log = create.log().unwrap();
            let error = create.egress(id, log, &Limits::default()).unwrap_err();
            assert_eq!(error.code, Code::EgressWebhookPathInvalid, "{destination}");
        }
        let none: EgressCreate = body(b"{}").unwrap();
        assert_eq!(none.log().unwrap_err().code, Code::EgressWebhookLogIdFieldInvalid);
        assert_eq!(none.offset(), crate::NEWEST, "new messages, as klev sends them");
    }

    #[test]
    fn an_update_changes_what_it_names() {
        let egress = created("").unwrap();
        let update: EgressUpdate = body(br#"{"metadata":"m","active":false,"next_offset":-2}"#).unwrap();
        assert_eq!(update.position(), Position { active: Some(false), next_offset: Some(-2), ..Position::default() });
        let changed = update.apply(&egress, &Limits::default()).unwrap();
        assert_eq!((changed.metadata.as_str(), &changed.destination), ("m", &egress.destination));
        let both: EgressUpdate = body(br#"{"skip":1,"next_time":2}"#).unwrap();
        assert_eq!(both.apply(&egress, &Limits::default()).unwrap_err().code, Code::JsonInvalid);
        let wrong: EgressUpdate = body(br#"{"destination":"x"}"#).unwrap();
        assert_eq!(wrong.apply(&egress, &Limits::default()).unwrap_err().code, Code::EgressWebhookPathInvalid);
    }
}
