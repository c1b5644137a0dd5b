use crate::{Code, Error};
use serde::de::DeserializeOwned;
use waybill_types::Objects;

/// Reads a body.
///
/// # Errors
/// `json-invalid`, naming the field and the place.
pub fn body<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    let wrong = |why: String| Error::new(Code::JsonInvalid, why);
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(Objects::new(&mut reader)).map_err(|error| {
        let (path, why) = (error.path().to_string(), error.inner().to_string());
        wrong(if path == "." || why.contains(&format!("`{path}`")) { why } else { format!("{path}: {why}") })
    })?;
    reader.end().map_err(|error| wrong(error.to_string()))?;
    Ok(value)
}
