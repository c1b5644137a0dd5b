use mlua::{Lua, LuaSerdeExt, Value};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::path::PathBuf;
use std::time::Duration;
use waybill_types::{Objects, list, serde_duration, text};

/// What a tailer looks at.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TailerOptions {
    #[serde(deserialize_with = "text::path")]
    pub(crate) directory: PathBuf,
    #[serde(default = "all_files")]
    pub(crate) pattern: String,
    #[serde(default = "batch_size")]
    pub(crate) max_batch_size: usize,
    #[serde(default = "batch_latency", with = "serde_duration")]
    pub(crate) max_batch_latency: Duration,
    pub(crate) checkpoint_name: Option<String>,
    /// Accepted: a directory is always looked at, whatever file system it is on.
    #[serde(rename = "poll_watcher", default)]
    pub(crate) _poll_watcher: bool,
    #[serde(default)]
    pub(crate) tail: bool,
}

/// The same for several that read on their own.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MultiOptions {
    #[serde(deserialize_with = "text::path")]
    pub(crate) directory: PathBuf,
    #[serde(default = "all_files")]
    pub(crate) pattern: String,
    #[serde(rename = "poll_watcher", default)]
    pub(crate) _poll_watcher: bool,
    #[serde(default)]
    pub(crate) tail: bool,
    #[serde(deserialize_with = "list")]
    pub(crate) consumers: Vec<ConsumerOptions>,
}

/// One of them; its filter is no part of what can be read as data.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConsumerOptions {
    #[serde(deserialize_with = "text::name")]
    pub(crate) name: String,
    pub(crate) checkpoint_name: Option<String>,
    #[serde(default = "batch_size")]
    pub(crate) max_batch_size: usize,
    #[serde(default = "batch_latency", with = "serde_duration")]
    pub(crate) max_batch_latency: Duration,
}

impl MultiOptions {
    /// What one of the consumers looks at.
    pub(crate) fn of(&self, consumer: &ConsumerOptions) -> TailerOptions {
        TailerOptions {
            directory: self.directory.clone(),
            pattern: self.pattern.clone(),
            max_batch_size: consumer.max_batch_size,
            max_batch_latency: consumer.max_batch_latency,
            checkpoint_name: consumer.checkpoint_name.clone(),
            _poll_watcher: self._poll_watcher,
            tail: self.tail,
        }
    }
}

impl TailerOptions {
    /// # Errors
    /// What could not be meant, by its name.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.max_batch_size == 0 {
            return Err("max_batch_size: expected a number above zero".to_owned());
        }
        let separated = |name: &String| name.is_empty() || name.contains('/') || name.contains(char::is_control);
        if self.checkpoint_name.as_ref().is_some_and(separated) {
            return Err("checkpoint_name: expected a name that a file may have".to_owned());
        }
        if self.pattern.is_empty() || self.pattern.contains(char::is_control) {
            return Err(format!("pattern: expected a pattern such as *.jsonl, got {:?}", self.pattern));
        }
        let read = glob::Pattern::new(&self.pattern).map(|_| ());
        read.map_err(|error| format!("pattern: expected a pattern such as *.jsonl: {error}"))
    }
}

fn all_files() -> String {
    "*".to_owned()
}

fn batch_size() -> usize {
    100
}

fn batch_latency() -> Duration {
    Duration::from_secs(1)
}

/// Reads a table of options. A value of the wrong type is named by its field.
pub(crate) fn read<T: DeserializeOwned>(lua: &Lua, function: &str, value: Value) -> mlua::Result<T> {
    let json: serde_json::Value = lua.from_value(value)?;
    let read = serde_path_to_error::deserialize(Objects::of_table(&json)).map_err(|error| {
        let path = error.path().to_string();
        let why = error.into_inner();
        if path == "." { why.to_string() } else { format!("{path}: {why}") }
    });
    read.map_err(|why| crate::raise(function, format_args!("{why}, while processing {json}")))
}
