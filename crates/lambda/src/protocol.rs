//! What parent and child say to each other: frames of a length (u32, big endian) and JSON, over the child's standard input
//! and output. The parent asks, the child answers; in between the child may ask for a request to be sent, one at a time.

use crate::call::{Call, ScriptError};
use crate::outbound::{Answer, Request};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::borrow::Cow;

/// Told by the child when it begins: both ends are the same program, unless somebody put something else there.
pub(crate) const VERSION: u32 = 1;
/// The longest frame: a body of 1 MiB in base64, or data of 1 MiB and all functions, and room.
pub(crate) const MAX_FRAME: usize = 8 * 1024 * 1024;
/// Bytes of a frame's length.
pub(crate) const HEADER: usize = 4;

/// From parent to child.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ToWorker<'a> {
    /// Do these compile? Answered by [`FromWorker::Checked`].
    Check { functions: Cow<'a, [String]> },
    /// Run these. Answered by [`FromWorker::Done`].
    Call { call: Cow<'a, Call>, pid: u32, limits: Limits },
    /// What became of a request.
    Answer(Result<Answer, String>),
}

/// From child to parent.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FromWorker {
    /// Limits are on; what comes is read. `unfiltered` says why there is no filter of system calls, where there is none.
    Ready {
        version: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unfiltered: Option<String>,
    },
    /// Whether all compiled.
    Checked(Result<(), ScriptError>),
    /// What the last function returned.
    Done(Result<Value, ScriptError>),
    /// Answered by [`ToWorker::Answer`].
    Http(Request),
    /// A line that a function printed. Not answered.
    Log(String),
}

/// What one call may use.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Limits {
    /// Instructions of Lua.
    pub(crate) instructions: u64,
    /// Bytes that Lua may hold.
    pub(crate) memory: usize,
    /// Seconds of CPU time.
    pub(crate) cpu: u64,
}

/// What is wrong with a frame.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("a frame of {0} bytes, and the longest has {MAX_FRAME}")]
    TooLong(usize),
    #[error("a frame that says nothing known: {0}")]
    Unknown(String),
}

/// A message as a frame.
pub(crate) fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, FrameError> {
    let mut frame = vec![0; HEADER];
    serde_json::to_writer(&mut frame, message).map_err(|error| FrameError::Unknown(error.to_string()))?;
    let length = frame.len() - HEADER;
    match u32::try_from(length) {
        Ok(short) if length <= MAX_FRAME => frame[..HEADER].copy_from_slice(&short.to_be_bytes()),
        _ => return Err(FrameError::TooLong(length)),
    }
    Ok(frame)
}

/// How many bytes follow the length.
pub(crate) fn length(header: [u8; HEADER]) -> Result<usize, FrameError> {
    match u32::from_be_bytes(header) as usize {
        length if length <= MAX_FRAME => Ok(length),
        length => Err(FrameError::TooLong(length)),
    }
}

/// The message of a frame.
pub(crate) fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, FrameError> {
    serde_json::from_slice(body).map_err(|error| FrameError::Unknown(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_read_as_it_was_written() {
        let request = Request { method: "GET".into(), url: "u".into(), headers: [].into(), body: vec![0, 255, 10] };
        let frame = encode(&FromWorker::Http(request.clone())).unwrap();
        let (header, body) = frame.split_first_chunk::<HEADER>().unwrap();
        assert_eq!(length(*header), Ok(body.len()));
        assert!(matches!(decode(body), Ok(FromWorker::Http(read)) if read == request));
    }

    #[test]
    fn frames_that_are_too_long_or_say_nothing_are_errors() {
        assert_eq!(length(*b"oops"), Err(FrameError::TooLong(0x6f6f_7073)));
        assert!(matches!(encode(&"x".repeat(MAX_FRAME)), Err(FrameError::TooLong(_))));
        for body in [&b"{\"exec\":1}"[..], b"", b"\xff", b"{\"done\":{\"Ok\":1}}{}", b"{\"checked\":1}"] {
            assert!(matches!(decode::<FromWorker>(body), Err(FrameError::Unknown(_))), "{body:?}");
        }
    }
}
