use crate::{Code, Error, Id, Limits, Message, field};
use serde::{Deserialize, Serialize};
use waybill_filter::{Condition, Fact, FilterError, Language};

/// What a filter makes of the messages that it wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keeping {
    /// Copies of all of them.
    #[default]
    All,
    /// For each key the last state: once a mail's life has ended, nothing of it is copied any more, so that the newest message
    /// with its id says how it ended.
    LastState,
}

impl Keeping {
    fn named(text: Option<&str>) -> Result<Self, Error> {
        match text {
            None | Some("copy") => Ok(Keeping::All),
            Some("last_state") => Ok(Keeping::LastState),
            Some(_) => Err(Error::new(Code::JsonInvalid, "mode: expected \"copy\" or \"last_state\"")),
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
    fn is_all(&self) -> bool {
        *self == Keeping::All
    }
}

/// A filter as it is stored and shown: what of a log is copied into another.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Filter {
    /// Its id.
    pub filter_id: Id,
    /// What its maker says about it.
    pub metadata: String,
    /// The log that is read.
    pub source_id: Id,
    /// The log that is written.
    pub target_id: Id,
    /// The condition, in CEL.
    pub expression: String,
    /// Ours: what it makes of what it wants. For life.
    #[serde(rename = "mode", default, skip_serializing_if = "Keeping::is_all")]
    pub keeping: Keeping,
}

/// What a condition may name. Times are microseconds since the epoch; no key is null.
const LANGUAGE: Language = Language::with_long(&["offset", "time", "key", "value"], &["key", "value"]);

impl Filter {
    /// Its condition, ready to be asked.
    ///
    /// # Errors
    /// `filter-compile-failed`, `filter-type-not-bool`.
    pub fn condition(&self) -> Result<Condition, Error> {
        Condition::parse(&LANGUAGE, &self.expression).map_err(|error| {
            let code = match error {
                FilterError::NotBool(_) => Code::FilterTypeNotBool,
                _ => Code::FilterCompileFailed,
            };
            Error::new(code, format!("expression: {error}"))
        })
    }

    /// Whether it can write a log that compacts, or does not.
    ///
    /// # Errors
    /// `filter-log-id-field-invalid`.
    pub fn check_target(&self, compacting: bool) -> Result<(), Error> {
        if self.keeping == Keeping::LastState && !compacting {
            let why = "target_id: a view of last states needs a log that was made with \"compacting\": true";
            return Err(Error::new(Code::FilterLogIdFieldInvalid, why));
        }
        Ok(())
    }

    /// Whether a message is to be copied.
    ///
    /// # Errors
    /// When that cannot be told.
    pub fn wants(condition: &Condition, offset: u64, message: &Message) -> Result<bool, FilterError> {
        condition.matches(&[
            ("offset", Fact::Int(i64::try_from(offset).unwrap_or(i64::MAX))),
            ("time", Fact::Int(message.time)),
            ("key", Fact::Bytes(message.key.as_deref())),
            ("value", Fact::Bytes(message.value.as_deref())),
        ])
    }
}

/// The body that creates one.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FilterCreate {
    source_id: Option<String>,
    target_id: Option<String>,
    expression: Option<String>,
    metadata: Option<String>,
    mode: Option<String>,
    offset: Option<i64>,
}

impl FilterCreate {
    /// The offset of the source from which on messages are copied: by default what comes next.
    pub fn offset(&self) -> i64 {
        self.offset.unwrap_or(crate::NEWEST)
    }

    /// The filter that it describes.
    ///
    /// # Errors
    /// `filter-{log-id-field-invalid,metadata-limited,compile-failed,type-not-bool}`, `json-invalid` for a mode that there is
    /// not.
    pub fn filter(self, filter_id: Id, limits: &Limits) -> Result<Filter, Error> {
        let keeping = Keeping::named(self.mode.as_deref())?;
        // A view is of everything, unless it is told otherwise.
        let all = if keeping == Keeping::LastState { "true" } else { "" };
        let filter = Filter {
            filter_id,
            metadata: field::metadata(self.metadata.unwrap_or_default(), limits, Code::FilterMetadataLimited)?,
            source_id: field::log("source_id", self.source_id.as_deref(), Code::FilterLogIdFieldInvalid)?,
            target_id: field::log("target_id", self.target_id.as_deref(), Code::FilterLogIdFieldInvalid)?,
            expression: self.expression.unwrap_or_else(|| all.to_owned()),
            keeping,
        };
        filter.condition()?;
        Ok(filter)
    }
}

/// The body that changes one: what it does not name stays.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FilterUpdate {
    metadata: Option<String>,
    expression: Option<String>,
    active: Option<bool>,
}

impl FilterUpdate {
    /// Have it rest, or go on.
    pub fn active(&self) -> Option<bool> {
        self.active
    }

    /// The filter with what it changes.
    ///
    /// # Errors
    /// As when one is created.
    pub fn apply(self, old: &Filter, limits: &Limits) -> Result<Filter, Error> {
        let metadata = self.metadata.unwrap_or_else(|| old.metadata.clone());
        let filter = Filter {
            metadata: field::metadata(metadata, limits, Code::FilterMetadataLimited)?,
            expression: self.expression.unwrap_or_else(|| old.expression.clone()),
            ..old.clone()
        };
        filter.condition()?;
        Ok(filter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kind, body};
    use bytes::Bytes;

    const LOGS: [&str; 2] = ["log_2VnvpTOoNFQRf0G9peK1zKlfhlf", "log_0ujtsYcgvSTl8PAuAdqWYSMnLOv"];

    fn created(expression: &str) -> Result<Filter, Code> {
        let json = serde_json::json!({"source_id": LOGS[0], "target_id": LOGS[1], "expression": expression});
        let create: FilterCreate = body(json.to_string().as_bytes()).map_err(|error| error.code)?;
        create.filter(Id::mint(Kind::Filter, 0, [0; 16]), &Limits::default()).map_err(|error| error.code)
    }

    #[test]
    fn a_filter_says_which_messages_it_wants() {
        let wants = |expression: &str, message: &Message| {
            Filter::wants(&created(expression).unwrap().condition().unwrap(), 3, message)
        };
        let message = Message { time: 5, key: None, value: Some(Bytes::from_static(br#"{"x":"y"}"#)), hops: 0 };
        assert_eq!(wants(r#"toJson(value).x == "y""#, &message), Ok(true));
        assert_eq!(wants("offset == 3 && time == 5 && key == null", &message), Ok(true));
        assert_eq!(wants("value == 'x'", &message), Ok(false));
        assert!(wants("toJson(value).z == 1", &message).is_err());
    }

    #[test]
    fn every_field_that_is_wrong_has_its_code() {
        assert_eq!(created("key =="), Err(Code::FilterCompileFailed));
        assert_eq!(created(""), Err(Code::FilterCompileFailed));
        assert_eq!(created("kye == 'a'"), Err(Code::FilterCompileFailed));
        assert_eq!(created("offset + 1"), Err(Code::FilterTypeNotBool));
        for (json, code) in [
            ("{}", Code::FilterLogIdFieldInvalid),
            (r#"{"source_id":"log_2VnvpTOoNFQRf0G9peK1zKlfhlf"}"#, Code::FilterLogIdFieldInvalid),
            (r#"{"source_id":"trf_2VnvpTOoNFQRf0G9peK1zKlfhlf"}"#, Code::FilterLogIdFieldInvalid),
        ] {
            let create: FilterCreate = body(json.as_bytes()).unwrap();
            let id = Id::mint(Kind::Filter, 0, [0; 16]);
            assert_eq!(create.filter(id, &Limits::default()).unwrap_err().code, code, "{json}");
        }
        let long = serde_json::json!({"metadata": "x".repeat(5000)}).to_string();
        let update: FilterUpdate = body(long.as_bytes()).unwrap();
        let error = update.apply(&created("true").unwrap(), &Limits::default()).unwrap_err();
        assert_eq!(error.code, Code::FilterMetadataLimited);
    }

    #[test]
    fn a_view_of_last_states_is_of_everything_and_needs_a_log_that_compacts() {
        let view = |mode: &str| {
            let json = serde_json::json!({"source_id": LOGS[0], "target_id": LOGS[1], "mode": mode}).to_string();
            let create: FilterCreate = body(json.as_bytes()).unwrap();
            create.filter(Id::mint(Kind::Filter, 0, [0; 16]), &Limits::default()).map_err(|error| error.code)
        };
        let made = view("last_state").unwrap();
        assert_eq!((made.expression.as_str(), made.keeping), ("true", Keeping::LastState));
        assert_eq!(made.check_target(false).unwrap_err().code, Code::FilterLogIdFieldInvalid);
        assert_eq!(made.check_target(true), Ok(()));
        assert_eq!(serde_json::from_slice::<Filter>(&serde_json::to_vec(&made).unwrap()).unwrap(), made);
        assert_eq!(view("copy"), Err(Code::FilterCompileFailed), "a copy needs a condition");
        assert_eq!(view("latest"), Err(Code::JsonInvalid));
        let plain = serde_json::to_string(&created("true").unwrap()).unwrap();
        assert!(!plain.contains("mode"), "klev's clients find no field that they do not know: {plain}");
    }

    #[test]
    fn a_stored_filter_comes_back_whole_and_an_update_leaves_what_it_does_not_name() {
        let filter = created("key == 'a'").unwrap();
        assert_eq!(serde_json::from_slice::<Filter>(&serde_json::to_vec(&filter).unwrap()).unwrap(), filter);
        let update: FilterUpdate = body(br#"{"metadata":"m"}"#).unwrap();
        let changed = update.apply(&filter, &Limits::default()).unwrap();
        assert_eq!((changed.metadata.as_str(), &changed.expression), ("m", &filter.expression));
        let update: FilterUpdate = body(br#"{"expression":"1"}"#).unwrap();
        assert_eq!(update.apply(&filter, &Limits::default()).unwrap_err().code, Code::FilterTypeNotBool);
        assert!(body::<FilterUpdate>(br#"{"target_id":"x"}"#).is_err(), "that never changes");
    }
}
