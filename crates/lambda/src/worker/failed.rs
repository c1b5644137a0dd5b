//! What an error of Lua says, and where it says it happened.

use crate::call::ScriptError;
use mlua::Error;

/// The longest message that is passed on, in bytes.
const MAX_MESSAGE: usize = 1024;

/// What chunks are called: the name of the field and their number.
pub(super) fn name(function: usize) -> String {
    format!("functions[{function}]")
}

/// An error while `function` ran.
pub(super) fn failed(function: usize, error: &Error) -> ScriptError {
    let (text, traceback) = text(error);
    // Lua puts the place before what a script raises; an error of ours has it in the list of frames.
    match place(&text) {
        Some((function, line, rest)) => script_error(function, Some(line), rest),
        None => match traceback.lines().find_map(|frame| place(frame.trim())) {
            Some((function, line, _)) => script_error(function, Some(line), &text),
            None => script_error(function, None, &text),
        },
    }
}

/// An error in words.
pub(super) fn script_error(function: usize, line: Option<u32>, message: &str) -> ScriptError {
    let mut end = message.len().min(MAX_MESSAGE);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    ScriptError { function, line, message: message[..end].to_owned() }
}

/// What is said, and the frames.
fn text(error: &Error) -> (String, String) {
    let whole = match error {
        Error::SyntaxError { message, .. } | Error::RuntimeError(message) => message.clone(),
        Error::MemoryError(_) => "needs more memory than it may have".into(),
        Error::CallbackError { traceback, cause } => {
            let (text, frames) = text(cause);
            return (text, if frames.is_empty() { traceback.clone() } else { frames });
        }
        other => other.to_string(),
    };
    match whole.split_once("\nstack traceback:") {
        Some((text, frames)) => (text.to_owned(), frames.to_owned()),
        None => (whole, String::new()),
    }
}

/// `functions[2]:7: rest`.
pub(super) fn place(text: &str) -> Option<(usize, u32, &str)> {
    let (function, rest) = text.strip_prefix("functions[")?.split_once("]:")?;
    let (line, rest) = rest.split_once(':')?;
    Some((function.parse().ok()?, line.parse().ok()?, rest.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_off_a_message_or_its_frames() {
        assert_eq!(place("functions[2]:7: boom: x"), Some((2, 7, "boom: x")));
        assert_eq!(place("boom functions[2]:7: x"), None);
        let error =
            Error::RuntimeError("boom\nstack traceback:\n\t[C]: in ?\n\tfunctions[3]:4: in function <x>".into());
        assert_eq!(failed(1, &error), script_error(3, Some(4), "boom"));
        assert_eq!(failed(1, &Error::RuntimeError("boom".into())), script_error(1, None, "boom"));
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let message = script_error(1, None, &format!("x{}", "é".repeat(2000))).message;
        assert_eq!((message.len(), message.chars().count()), (1023, 512));
    }
}
