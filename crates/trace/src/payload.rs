use serde::Serialize;
use serde_json::{Map, Value};

/// Characters of the beginning, where only that is asked for.
const SNIPPET: usize = 128;

/// What happened. In JSON a name, or a table of one name.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub enum Payload {
    /// The connection is there.
    Connected,
    /// The connection is gone.
    Closed,
    /// A delivery session begins; it has no connection yet.
    BeginSession,
    /// The other side said this: whole lines with their ends.
    Read(String),
    /// We said this.
    Write(String),
    /// The beginning of something long that the other side said: part of a message.
    AbbreviatedRead {
        /// How it begins.
        snippet: String,
        /// Bytes of all of it.
        len: usize,
    },
    /// The beginning of something long that we said.
    AbbreviatedWrite {
        /// How it begins.
        snippet: String,
        /// Bytes of all of it.
        len: usize,
    },
    /// A remark.
    Diagnostic {
        /// How much it matters.
        level: Level,
        /// A sentence.
        message: String,
    },
    /// Policy was asked.
    Callback {
        /// The event.
        name: String,
        /// What it returned, where that can be shown.
        result: Option<Value>,
        /// What went wrong, or what it rejected with.
        error: Option<String>,
    },
    /// What becomes of a message that came in.
    MessageDisposition(Disposition),
    /// A delivery session has this message to carry now.
    MessageObtained(Disposition),
}

/// What a [`Payload::Diagnostic`] is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// Good to know.
    Info,
    /// Something is not as it should be.
    Warn,
    /// Something failed.
    Error,
}

/// A message, and where it goes.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Disposition {
    /// Its id.
    pub id: String,
    /// Its envelope sender.
    pub sender: String,
    /// Its envelope recipients.
    pub recipient: Vec<String>,
    /// The queue that it goes to.
    pub queue: String,
    /// Its meta.
    pub meta: Map<String, Value>,
}

impl Payload {
    /// A part of a message that came in.
    pub fn read_content(bytes: &[u8]) -> Self {
        Payload::Read(String::from_utf8_lossy(bytes).into_owned())
    }

    /// A remark.
    pub fn remark(level: Level, message: impl std::fmt::Display) -> Self {
        Payload::Diagnostic { level, message: message.to_string() }
    }

    /// The same with the beginning of what was said only.
    pub(crate) fn abbreviated(self) -> Self {
        match self {
            Payload::Read(said) => Payload::AbbreviatedRead { snippet: snippet(&said), len: said.len() },
            Payload::Write(said) => Payload::AbbreviatedWrite { snippet: snippet(&said), len: said.len() },
            other => other,
        }
    }
}

fn snippet(said: &str) -> String {
    let line = said.lines().next().unwrap_or_default();
    line.chars().take(SNIPPET).collect()
}
