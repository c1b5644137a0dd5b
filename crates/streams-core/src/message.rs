use crate::answer::no_text;
use crate::listed::Listed;
use crate::row::{self, HEAD, MessageRef};
use crate::text::Text;
use crate::{Code, Encoding, Error, Limits};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt::{Arguments, Display};

/// A message of a log. No key is not the empty key, and no value not the empty value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// Microseconds since the epoch.
    pub time: i64,
    /// What it is about.
    pub key: Option<Bytes>,
    /// What it says. None in a compacting log says that the key is gone.
    pub value: Option<Bytes>,
    /// How many webhooks of Waybill it came through. Nobody is shown it; what sends the message on counts from it.
    pub hops: u8,
}

impl Message {
    /// A row with it alone.
    pub fn encode(&self) -> Bytes {
        row::alone(self)
    }

    /// Bytes of key and value.
    pub fn weight(&self) -> usize {
        self.key.as_ref().map_or(0, Bytes::len) + self.value.as_ref().map_or(0, Bytes::len)
    }

    /// Bytes of it as it is stored, in a row of its own.
    pub fn size(&self) -> u64 {
        (HEAD + self.weight()) as u64
    }

    /// It, as it is taken from the bytes of a row.
    pub fn borrowed(&self) -> MessageRef<'_> {
        let (key, value) = (self.key.as_deref(), self.value.as_deref());
        MessageRef { time: self.time, key, value, hops: self.hops, ends_row: true }
    }

    /// Whether its key and value are as short as they have to be; `at` goes in front of their names.
    ///
    /// # Errors
    /// `message-key-limited`, `message-value-limited`.
    pub fn check(&self, at: impl Display, limits: &Limits) -> Result<(), Error> {
        let fits = |what: &str, bytes: &Option<Bytes>, most: usize, code: Code| match bytes {
            Some(bytes) if bytes.len() > most => {
                Err(Error::new(code, format!("{at}{what}: {} bytes, at most {most} are taken", bytes.len())))
            }
            _ => Ok(()),
        };
        fits("key", &self.key, limits.key, Code::MessageKeyLimited)?;
        fits("value", &self.value, limits.value, Code::MessageValueLimited)
    }

    /// Whether they may be published at once.
    ///
    /// # Errors
    /// `message-publish-limited`.
    pub fn check_together(messages: &[Message], limits: &Limits) -> Result<(), Error> {
        Message::check_count(messages.len(), limits)?;
        let bytes: usize = messages.iter().map(Message::weight).sum();
        if bytes > limits.publish_bytes {
            let why = format!("{bytes} bytes of keys and values, at most {} are taken at once", limits.publish_bytes);
            return Err(Error::new(Code::MessagePublishLimited, why));
        }
        Ok(())
    }

    fn check_count(found: usize, limits: &Limits) -> Result<(), Error> {
        let most = limits.publish_messages;
        if found > most {
            let why = format!("{found} messages, at most {most} are taken at once");
            return Err(Error::new(Code::MessagePublishLimited, why));
        }
        Ok(())
    }

    /// As consumers see it.
    ///
    /// # Errors
    /// `message-encoding-invalid` where its bytes are no text, and texts were asked for.
    pub fn shown(&self, offset: u64, encoding: Encoding) -> Result<MessageOut<'_>, Error> {
        let key = text("key", self.key.as_ref(), offset, encoding)?;
        let value = text("value", self.value.as_ref(), offset, encoding)?;
        Ok(MessageOut { offset, time: self.time, key, value })
    }
}

fn text<'a>(
    what: &str,
    bytes: Option<&'a Bytes>,
    offset: u64,
    encoding: Encoding,
) -> Result<Option<Cow<'a, str>>, Error> {
    let Some(bytes) = bytes else { return Ok(None) };
    encoding.encode(bytes).map(Some).ok_or_else(|| no_text(what, offset))
}

#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MessageIn<'a> {
    pub(crate) time: Option<i64>,
    #[serde(borrow)]
    pub(crate) key: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) value: Option<Text<'a>>,
}

impl MessageIn<'_> {
    pub(crate) fn message(
        self,
        at: Arguments<'_>,
        encoding: Encoding,
        now: i64,
        limits: &Limits,
    ) -> Result<Message, Error> {
        let bytes = |what: &str, text: Option<Text<'_>>| {
            text.map(|text| encoding.decode(format_args!("{at}{what}"), text)).transpose()
        };
        let message = Message {
            time: self.time.unwrap_or(now),
            key: bytes("key", self.key)?,
            value: bytes("value", self.value)?,
            hops: 0,
        };
        message.check(at, limits)?;
        Ok(message)
    }
}

/// The body that publishes several messages.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Publish<'a> {
    encoding: Option<String>,
    #[serde(borrow)]
    messages: Listed<MessageIn<'a>>,
}

impl Publish<'_> {
    /// The messages; `now` is the time of those that name none, in microseconds.
    ///
    /// # Errors
    /// `message-encoding-invalid` and the `-limited` codes.
    pub fn messages(self, now: i64, limits: &Limits) -> Result<Vec<Message>, Error> {
        let encoding = Encoding::of_body(self.encoding.as_deref())?;
        // Before anything is decoded.
        Message::check_count(self.messages.length, limits)?;
        let messages = self.messages.kept.into_iter().enumerate();
        let messages: Vec<Message> = messages
            .map(|(number, message)| message.message(format_args!("messages[{number}]."), encoding, now, limits))
            .collect::<Result<_, _>>()?;
        Message::check_together(&messages, limits)?;
        Ok(messages)
    }
}

/// The body that publishes one message.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishOne<'a> {
    encoding: Option<String>,
    time: Option<i64>,
    #[serde(borrow)]
    key: Option<Text<'a>>,
    #[serde(borrow)]
    value: Option<Text<'a>>,
}

impl PublishOne<'_> {
    /// The message.
    ///
    /// # Errors
    /// As [`Publish::messages`].
    pub fn message(self, now: i64, limits: &Limits) -> Result<Message, Error> {
        let encoding = Encoding::of_body(self.encoding.as_deref())?;
        MessageIn { time: self.time, key: self.key, value: self.value }.message(format_args!(""), encoding, now, limits)
    }
}

/// The body that asks for the newest message with a key.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WithKey<'a> {
    encoding: Option<String>,
    #[serde(borrow)]
    key: Option<Text<'a>>,
}

impl WithKey<'_> {
    /// The key, and how the message is to be shown.
    ///
    /// # Errors
    /// `message-encoding-invalid`; `json-invalid` without a key.
    pub fn key(self) -> Result<(Bytes, Encoding), Error> {
        let encoding = Encoding::of_body(self.encoding.as_deref())?;
        let missing = || Error::new(Code::JsonInvalid, "key: it is missing");
        Ok((encoding.decode("key", self.key.ok_or_else(missing)?)?, encoding))
    }
}

/// What a publish answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NextOffset {
    /// The offset behind what was published.
    pub next_offset: u64,
}

/// A message as it is shown.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct MessageOut<'a> {
    /// Its place.
    pub offset: u64,
    /// Microseconds since the epoch.
    pub time: i64,
    /// Its key, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Cow<'a, str>>,
    /// Its value, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Cow<'a, str>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body;

    fn message(key: Option<&str>, value: Option<&str>) -> Message {
        let bytes = |text: Option<&str>| text.map(|text| Bytes::copy_from_slice(text.as_bytes()));
        Message { time: -7, key: bytes(key), value: bytes(value), hops: 0 }
    }

    /// The message of a row that holds one.
    fn decode(row: &Bytes) -> Option<Message> {
        let (_, MessageRef { time, key, value, hops, .. }) = row::Row::read(0, row).ok()?.next()?.ok()?;
        let bytes = |part: Option<&[u8]>| part.map(Bytes::copy_from_slice);
        Some(Message { time, key: bytes(key), value: bytes(value), hops })
    }

    #[test]
    fn nothing_and_emptiness_are_stored_and_shown_apart() {
        for (key, value) in
            [(None, None), (Some(""), None), (None, Some("")), (Some(""), Some("")), (Some("k"), Some("v"))]
        {
            let message = message(key, value);
            assert_eq!(decode(&message.encode()), Some(message.clone()));
            assert_eq!(message.size(), message.encode().len() as u64);
            let shown = message.shown(3, Encoding::String).unwrap();
            assert_eq!((shown.key.as_deref(), shown.value.as_deref()), (key, value));
        }
        let shown = serde_json::to_string(&message(None, Some("")).shown(0, Encoding::String).unwrap()).unwrap();
        assert_eq!(shown, r#"{"offset":0,"time":-7,"value":""}"#);
    }

    #[test]
    fn how_far_a_message_has_come_is_stored_and_not_shown() {
        let mut message = message(Some("k"), Some("v"));
        let unknown = message.encode();
        for (hops, kept) in [(0, 0), (1, 1), (7, 7), (15, 15), (200, 15)] {
            message.hops = hops;
            let stored = message.encode();
            assert_eq!(stored.len(), unknown.len());
            let again = decode(&stored).unwrap();
            assert_eq!(again, Message { hops: kept, ..message.clone() });
            let shown = serde_json::to_string(&again.shown(0, Encoding::String).unwrap()).unwrap();
            assert_eq!(shown, r#"{"offset":0,"time":-7,"key":"k","value":"v"}"#);
        }
        message.hops = 0;
        assert_eq!(message.encode(), unknown, "what was stored before there was a number has come from nowhere");
    }

    #[test]
    fn bytes_that_are_no_text_are_refused_by_the_place_where_they_stand() {
        let message = Message { time: 0, key: None, value: Some(Bytes::from_static(&[255])), hops: 0 };
        assert_eq!(message.shown(3, Encoding::Base64).unwrap().value.as_deref(), Some("/w=="));
        let error = message.shown(3, Encoding::String).unwrap_err();
        assert_eq!(error.code, Code::MessageEncodingInvalid);
        assert!(error.message.contains("value of message 3") && error.message.contains("base64"), "{error}");
    }

    #[test]
    fn a_torn_or_foreign_message_is_refused_and_not_misread() {
        let whole = message(Some("key"), Some("value")).encode();
        for end in 0..HEAD + 3 {
            assert_eq!(decode(&whole.slice(..end)), None, "{end}");
        }
        let mut foreign = whole.to_vec();
        foreign[0] = 9;
        assert_eq!(decode(&foreign.into()), None);
        let mut long = whole.to_vec();
        long[10..14].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(decode(&long.into()), None);
    }

    #[test]
    fn null_is_absent_and_the_empty_string_is_a_value() {
        let limits = Limits::default();
        let publish: Publish =
            body(br#"{"messages":[{"key":null,"value":""},{"time":5,"key":"","value":null},{}]}"#).unwrap();
        let messages = publish.messages(99, &limits).unwrap();
        let parts: Vec<_> = messages.iter().map(|m| (m.time, m.key.as_deref(), m.value.as_deref())).collect();
        assert_eq!(parts, [(99, None, Some(&b""[..])), (5, Some(&b""[..]), None), (99, None, None)]);
    }

    #[test]
    fn base64_is_decoded_and_what_is_none_is_refused_by_field() {
        let limits = Limits::default();
        let good: PublishOne = body(br#"{"encoding":"base64","value":"/w=="}"#).unwrap();
        assert_eq!(good.message(0, &limits).unwrap().value.as_deref(), Some(&[255][..]));
        let bad: Publish = body(br#"{"encoding":"base64","messages":[{},{"key":"?"}]}"#).unwrap();
        let error = bad.messages(0, &limits).unwrap_err();
        assert_eq!(error.code, Code::MessageEncodingInvalid);
        assert!(error.message.contains("messages[1].key"), "{}", error.message);
        let unknown: PublishOne = body(br#"{"encoding":"hex"}"#).unwrap();
        assert_eq!(unknown.message(0, &limits).unwrap_err().code, Code::MessageEncodingInvalid);
    }

    #[test]
    fn every_limit_of_a_publish_has_its_code() {
        let limits = Limits { key: 2, value: 3, publish_messages: 2, publish_bytes: 6, ..Limits::default() };
        let code =
            |json: &str| body::<Publish>(json.as_bytes()).unwrap().messages(0, &limits).map_err(|error| error.code);
        assert_eq!(code(r#"{"messages":[{"key":"abc"}]}"#), Err(Code::MessageKeyLimited));
        assert_eq!(code(r#"{"messages":[{"value":"abcd"}]}"#), Err(Code::MessageValueLimited));
        assert_eq!(code(r#"{"messages":[{},{},{}]}"#), Err(Code::MessagePublishLimited));
        let heavy = r#"{"messages":[{"key":"ab","value":"abc"},{"key":"ab","value":"abc"}]}"#;
        assert_eq!(code(heavy), Err(Code::MessagePublishLimited));
        assert!(code(r#"{"messages":[{"key":"ab","value":"abc"},{"key":"a"}]}"#).is_ok(), "exactly as much");
    }

    #[test]
    fn of_a_list_beyond_every_limit_only_the_length_is_kept_and_told() {
        let many = Limits::MOST_MESSAGES * 20;
        let json = format!(r#"{{"messages":[{}{{}}]}}"#, "{},".repeat(many - 1));
        let publish: Publish = body(json.as_bytes()).unwrap();
        assert_eq!((publish.messages.kept.len(), publish.messages.length), (Limits::MOST_MESSAGES, many));
        let error = publish.messages(0, &Limits::default()).unwrap_err();
        assert_eq!(error.code, Code::MessagePublishLimited);
        assert!(error.message.contains(&many.to_string()), "{error}");
        let wrong = body::<Publish>(br#"{"messages":[{},{"colour":"blue"}]}"#).unwrap_err();
        assert!(wrong.code == Code::JsonInvalid && wrong.message.contains("messages[1]"), "{wrong}");
        for none in [r#"{"messages":{}}"#, r#"{"messages":null}"#, "{}"] {
            assert_eq!(body::<Publish>(none.as_bytes()).unwrap_err().code, Code::JsonInvalid, "{none}");
        }
    }

    #[test]
    fn asking_by_key_needs_one() {
        assert_eq!(body::<WithKey>(b"{}").unwrap().key().unwrap_err().code, Code::JsonInvalid);
        let (key, encoding) = body::<WithKey>(br#"{"encoding":"base64","key":"YQ=="}"#).unwrap().key().unwrap();
        assert_eq!((&key[..], encoding), (&b"a"[..], Encoding::Base64));
    }
}
