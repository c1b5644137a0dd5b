use crate::{Code, Error};
use serde::Deserialize;
use waybill_types::Objects;

/// Reads a body.
///
/// # Errors
/// `json-invalid`, naming the field and the place.
pub fn body<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Error> {
    // To know the way to what is wrong costs an allocation for each name on it: more than all the rest of what is right.
    plain(bytes).or_else(|_| explained(bytes))
}

fn plain<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = T::deserialize(Objects::new(&mut reader))?;
    reader.end()?;
    Ok(value)
}

/// The same, slowly, and with the place of what is wrong.
fn explained<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Error> {
    let wrong = |why: String| Error::new(Code::JsonInvalid, why);
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(Objects::new(&mut reader)).map_err(|error| {
        let (path, why) = (error.path().to_string(), error.inner().to_string());
        wrong(if path == "." || why.contains(&format!("`{path}`")) { why } else { format!("{path}: {why}") })
    })?;
    reader.end().map_err(|error| wrong(error.to_string()))?;
    Ok(value)
}
