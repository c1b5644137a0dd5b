use crate::{Code, Error, Id, Limits, field};
use serde::{Deserialize, Serialize};

/// A place in a log that a consumer keeps with us.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StoredOffset {
    /// Its id.
    pub offset_id: Id,
    /// The log that it is a place in.
    pub log_id: Id,
    /// What its maker says about it.
    pub metadata: String,
    /// The offset at which to go on.
    pub value: i64,
    /// What was said when the value was set.
    pub value_metadata: String,
}

/// The body that creates one.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OffsetCreate {
    log_id: Option<String>,
    metadata: Option<String>,
}

impl OffsetCreate {
    /// The log that it names.
    ///
    /// # Errors
    /// `offset-log-id-field-invalid`.
    pub fn log(&self) -> Result<Id, Error> {
        field::log("log_id", self.log_id.as_deref(), Code::OffsetLogIdFieldInvalid)
    }

    /// The offset that it describes: at the oldest message.
    ///
    /// # Errors
    /// `json-invalid` for too much metadata.
    pub fn offset(self, offset_id: Id, log_id: Id, limits: &Limits) -> Result<StoredOffset, Error> {
        let metadata = fitting("metadata", self.metadata.unwrap_or_default(), limits)?;
        Ok(StoredOffset { offset_id, log_id, metadata, value: 0, value_metadata: String::new() })
    }
}

/// The body that changes one: what it does not name stays.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OffsetUpdate {
    metadata: Option<String>,
    value: Option<i64>,
    value_metadata: Option<String>,
}

impl OffsetUpdate {
    /// The offset with what it changes. The value is not compared with the log: it may run ahead of it.
    ///
    /// # Errors
    /// `message-offset-invalid` below -2, `json-invalid` for too much metadata.
    pub fn apply(self, old: &StoredOffset, limits: &Limits) -> Result<StoredOffset, Error> {
        let value = self.value.unwrap_or(old.value);
        if value < crate::OLDEST {
            return Err(Error::new(Code::MessageOffsetInvalid, format!("value: {value} is no offset")));
        }
        Ok(StoredOffset {
            metadata: fitting("metadata", self.metadata.unwrap_or_else(|| old.metadata.clone()), limits)?,
            value_metadata: fitting(
                "value_metadata",
                self.value_metadata.unwrap_or_else(|| old.value_metadata.clone()),
                limits,
            )?,
            value,
            ..old.clone()
        })
    }
}

fn fitting(what: &str, text: String, limits: &Limits) -> Result<String, Error> {
    field::fitting(what, text, limits, Code::JsonInvalid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kind, body};

    #[test]
    fn an_offset_begins_at_the_oldest_message_and_moves_as_told() {
        let create: OffsetCreate = body(br#"{"log_id":"log_2VnvpTOoNFQRf0G9peK1zKlfhlf"}"#).unwrap();
        let log = create.log().unwrap();
        let limits = Limits::default();
        let offset = create.offset(Id::mint(Kind::Offset, 0, [0; 16]), log, &limits).unwrap();
        assert_eq!((offset.value, offset.log_id), (0, log));
        let moved: OffsetUpdate = body(br#"{"value":7,"value_metadata":"x"}"#).unwrap();
        let moved = moved.apply(&offset, &limits).unwrap();
        assert_eq!((moved.value, moved.value_metadata.as_str(), moved.metadata.as_str()), (7, "x", ""));
        let wrong: OffsetUpdate = body(br#"{"value":-3}"#).unwrap();
        assert_eq!(wrong.apply(&offset, &limits).unwrap_err().code, Code::MessageOffsetInvalid);
    }

    #[test]
    fn a_log_that_is_none_has_a_code_of_its_own() {
        for json in ["{}", r#"{"log_id":null}"#, r#"{"log_id":"ewh_2VnvpTOoNFQRf0G9peK1zKlfhlf"}"#] {
            let create: OffsetCreate = body(json.as_bytes()).unwrap();
            assert_eq!(create.log().unwrap_err().code, Code::OffsetLogIdFieldInvalid, "{json}");
        }
    }
}
