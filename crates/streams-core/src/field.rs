//! Fields that several bodies have, each with codes of its own.

use crate::{Code, Error, Id, Kind, Limits};

/// The log that a field names.
pub(crate) fn log(name: &str, text: Option<&str>, code: Code) -> Result<Id, Error> {
    let wrong = |why: String| Error::new(code, format!("{name}: {why}"));
    let text = text.ok_or_else(|| wrong("it is missing".to_owned()))?;
    Id::parse(Kind::Log, text).map_err(|error| wrong(error.message))
}

/// Metadata, if it is not too long.
pub(crate) fn metadata(text: String, limits: &Limits, code: Code) -> Result<String, Error> {
    fitting("metadata", text, limits, code)
}

/// What somebody says about something, if it is not too long.
pub(crate) fn fitting(name: &str, text: String, limits: &Limits, code: Code) -> Result<String, Error> {
    if text.len() > limits.metadata {
        let why = format!("{name}: {} bytes, at most {} are kept", text.len(), limits.metadata);
        return Err(Error::new(code, why));
    }
    Ok(text)
}
