use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;
use std::time::Duration;

/// The longest JSON that goes into a call or comes out of it, in bytes.
pub const MAX_DATA: usize = 1024 * 1024;

/// Functions, and what they are called with.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Call {
    /// Lua chunks, each of which returns `function(data, event, source, pid)`.
    pub functions: Vec<String>,
    /// What the first function gets.
    pub data: Value,
    /// The event's name.
    pub event: String,
    /// Where it comes from.
    pub source: String,
    /// Through how many webhooks it has come: for whoever sends what the functions want sent. The child is not told.
    #[serde(skip)]
    pub hops: u8,
}

/// What went wrong in a script, and where.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, thiserror::Error)]
pub struct ScriptError {
    /// Which function, counted from 1.
    pub function: usize,
    /// The line of its chunk, where there is one.
    pub line: Option<u32>,
    /// What.
    pub message: String,
}

/// `functions[1]:3: what`: the name is that of the field, the form is that of Lua.
impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "functions[{}]", self.function)?;
        self.line.map_or(Ok(()), |line| write!(f, ":{line}"))?;
        write!(f, ": {}", self.message)
    }
}

/// Why a call has no result. Nothing of it outlives the call.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Failure {
    /// The script failed: an error, `nil, err`, or one of the limits that Lua itself keeps.
    #[error("{0}")]
    Script(#[from] ScriptError),
    /// It took too long, and was killed.
    #[error("the functions ran for more than {0:?} and were killed")]
    TimedOut(Duration),
    /// The child process ended in mid-call: it met a limit, or somebody killed it.
    #[error("the process that ran the functions ended: {0}")]
    Died(String),
    /// The event is larger than a call takes.
    #[error("the event's data has {0} bytes as JSON, and a function gets at most {MAX_DATA}")]
    TooLarge(usize),
    /// The child said something that no worker says. It was killed.
    #[error("the process that ran the functions broke the protocol and was killed: {0}")]
    Protocol(String),
    /// No child can be had.
    #[error("no process can be started for functions: {0}")]
    Unavailable(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_error_reads_like_one_of_lua_and_names_the_field() {
        let mut error = ScriptError { function: 2, line: Some(7), message: "boom".into() };
        assert_eq!(error.to_string(), "functions[2]:7: boom");
        error.line = None;
        assert_eq!(Failure::from(error).to_string(), "functions[2]: boom");
    }
}
