use crate::{ConnMeta, PolicyError};
use waybill_spool::Message;
use waybill_types::{EnvelopeAddress, Objects};

/// A value on its way into policy or out of it.
#[derive(Clone, Debug)]
pub enum Value {
    /// Nothing.
    Nil,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Number(f64),
    /// Bytes, mostly UTF-8.
    Bytes(Vec<u8>),
    /// A table; what `make_queue_config` and its like return comes out as this too.
    Json(serde_json::Value),
    /// A table in which null is not absent but a value of its own, which is true: a record as disposition hooks see it.
    Record(serde_json::Value),
    /// A message, shared with policy: what policy changes is changed here.
    Message(Message),
    /// Several messages, as a list.
    Messages(Vec<Message>),
    /// The meta of a connection, shared likewise.
    Connection(ConnMeta),
    /// An envelope address.
    Address(EnvelopeAddress),
    /// A list.
    List(Vec<Value>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Bytes(text.as_bytes().to_vec())
    }
}

impl From<Option<&str>> for Value {
    fn from(text: Option<&str>) -> Self {
        text.map_or(Value::Nil, Value::from)
    }
}

impl From<Message> for Value {
    fn from(message: Message) -> Self {
        Value::Message(message)
    }
}

impl Value {
    /// True unless nil or false, as policy sees it.
    pub fn is_truthy(&self) -> bool {
        !matches!(self, Value::Nil | Value::Bool(false))
    }

    /// The type, as Lua calls it.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Nil => "nil",
            Value::Bool(_) => "boolean",
            Value::Int(_) | Value::Number(_) => "number",
            Value::Bytes(_) => "string",
            Value::Json(_) | Value::Record(_) | Value::List(_) | Value::Messages(_) => "table",
            Value::Message(_) | Value::Connection(_) | Value::Address(_) => "userdata",
        }
    }
}

/// Arguments of a call, in order.
pub type Args = Vec<Value>;

/// What a call returned, in order; empty when it returned nothing (which is not the same as nil).
#[derive(Clone, Debug, Default)]
pub struct Returned(pub Vec<Value>);

impl Returned {
    /// The first value, nil when there is none.
    pub fn first(&self) -> &Value {
        self.0.first().unwrap_or(&Value::Nil)
    }

    /// The first value as a boolean: nil is false, everything else but false is true.
    pub fn truthy(&self) -> bool {
        self.first().is_truthy()
    }

    /// A configuration, such as `kumo.make_queue_config` gives; nothing or nil is the default.
    ///
    /// # Errors
    /// When it is anything else, or makes no sense.
    pub fn config<T: serde::de::DeserializeOwned + Default>(&self) -> Result<T, PolicyError> {
        match self.first() {
            Value::Nil => Ok(T::default()),
            Value::Json(json) => T::deserialize(Objects::of_table(json)).map_err(PolicyError::unusable),
            other => Err(PolicyError::unusable(format_args!("expected a configuration, got a {}", other.kind()))),
        }
    }

    /// The first value as a text; a number is written out.
    ///
    /// # Errors
    /// When it is anything else, in the words that scripts know (`converting Lua nil to String`).
    pub fn text(&self) -> Result<String, PolicyError> {
        match self.first() {
            Value::Bytes(bytes) => Ok(String::from_utf8_lossy(bytes).into_owned()),
            Value::Int(number) => Ok(number.to_string()),
            Value::Number(number) => Ok(number.to_string()),
            other => Err(PolicyError::unusable(format_args!("error converting Lua {} to String", other.kind()))),
        }
    }

    /// The same for who needs nothing else of it: a text that is one already is not copied.
    ///
    /// # Errors
    /// Those of [`Returned::text`].
    pub fn into_text(mut self) -> Result<String, PolicyError> {
        if let Some(Value::Bytes(bytes)) = self.0.first_mut() {
            let bytes = std::mem::take(bytes);
            return Ok(
                String::from_utf8(bytes).unwrap_or_else(|odd| String::from_utf8_lossy(odd.as_bytes()).into_owned())
            );
        }
        self.text()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_taken_out_is_the_one_that_is_shown() {
        let values = [
            Value::from("200 OK: gr\u{fc}n"),
            Value::Bytes(b"caf\xe9".to_vec()),
            Value::Int(7),
            Value::Number(0.5),
            Value::Nil,
            Value::Bool(true),
            Value::List(Vec::new()),
        ];
        for value in values {
            let returned = Returned(vec![value]);
            let shown = returned.text().map_err(|error| error.to_string());
            assert_eq!(returned.into_text().map_err(|error| error.to_string()), shown);
        }
        assert!(Returned::default().into_text().is_err());
    }
}
