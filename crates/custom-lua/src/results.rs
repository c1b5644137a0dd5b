//! What a script returned or rejected with, as outcomes.

use serde_json::Value as Json;
use std::time::Duration;
use waybill_delivery::Outcome;
use waybill_policy::{PolicyError, Rejected, Returned, Value};
use waybill_types::{Response, parse_duration};

/// The code of what a script delivered without naming one.
const DELIVERED: u16 = 200;

/// What `send` returned: a text, or it is an error.
pub(crate) fn of_send(returned: Returned) -> Result<Outcome, PolicyError> {
    returned.into_text().map(delivered)
}

/// What `send_batch` returned: one text for all messages, or a list with a result for each.
pub(crate) fn of_send_batch(returned: &Returned, count: usize) -> Result<Vec<Outcome>, PolicyError> {
    match returned.first() {
        Value::List(values) => list(values.iter().map(json).collect::<Result<Vec<_>, _>>()?.iter(), count),
        Value::Json(Json::Array(results)) => list(results.iter(), count),
        // How an empty table comes out.
        Value::Json(Json::Object(fields)) if fields.is_empty() => list([].iter(), count),
        _ => returned.text().map(|text| vec![delivered(text); count]),
    }
}

/// What `kumo.reject` means: 400 to 499 is later, every other code is never, whatever it is.
pub(crate) fn rejection(rejected: &Rejected) -> Outcome {
    failed(Response::plain(rejected.code, &rejected.text), rejected.retry_after)
}

fn delivered(text: String) -> Outcome {
    Outcome::Delivered(Response::plain(DELIVERED, text))
}

fn failed(response: Response, retry_after: Option<Duration>) -> Outcome {
    if response.is_transient() { Outcome::Transient(response, retry_after) } else { Outcome::Permanent(response) }
}

fn list<'a>(results: impl ExactSizeIterator<Item = &'a Json>, count: usize) -> Result<Vec<Outcome>, PolicyError> {
    if results.len() != count {
        let len = results.len();
        return Err(PolicyError::unusable(format_args!("it returned a list of {len} results for {count} messages")));
    }
    let numbered = results.enumerate();
    numbered
        .map(|(index, result)| {
            entry(result).map_err(|why| PolicyError::unusable(format_args!("result {} of {count}: {why}", index + 1)))
        })
        .collect()
}

fn entry(result: &Json) -> Result<Outcome, String> {
    if let Some(text) = text(result) {
        return Ok(delivered(text));
    }
    match result {
        Json::Object(fields) => Fields::read(fields)?.outcome(),
        other => Err(format!("expected a string or a table with a code, got {}", kind(other))),
    }
}

/// The fields of one result.
#[derive(Default)]
struct Fields {
    code: Option<u16>,
    delivered: Option<bool>,
    text: Option<String>,
    retry_after: Option<Duration>,
}

impl Fields {
    fn read(fields: &serde_json::Map<String, Json>) -> Result<Self, String> {
        let mut read = Fields::default();
        for (name, value) in fields {
            let wrong = |expected: &str| format!("{name}: expected {expected}, got {}", kind(value));
            match name.as_str() {
                "code" => read.code = Some(code(value).ok_or_else(|| wrong("a whole number from 100 to 999"))?),
                "delivered" => read.delivered = Some(value.as_bool().ok_or_else(|| wrong("true or false"))?),
                "text" | "message" => {
                    if read.text.is_some() {
                        return Err("it has both text and message".into());
                    }
                    read.text = Some(text(value).ok_or_else(|| wrong("a string"))?);
                }
                "retry_after" => read.retry_after = wait(value).ok_or_else(|| wrong("a duration"))?,
                _ => return Err(format!("unknown field {name}, expected code, delivered, text, message, retry_after")),
            }
        }
        Ok(read)
    }

    fn outcome(self) -> Result<Outcome, String> {
        let code = match (self.code, self.delivered) {
            (Some(code), _) => code,
            (None, Some(true)) => DELIVERED,
            (None, _) => return Err("it has no code".into()),
        };
        let response = Response::plain(code, self.text.unwrap_or_default());
        let is_delivered = (200..300).contains(&code);
        match self.delivered {
            Some(said) if said != is_delivered => Err(format!("delivered is {said} but the code is {code}")),
            _ if is_delivered => Ok(Outcome::Delivered(response)),
            _ => Ok(failed(response, self.retry_after)),
        }
    }
}

/// A text, a number written out, or bytes that are no UTF-8 (inside of a table they arrive as a list of numbers).
fn text(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        Json::Array(bytes) if !bytes.is_empty() => {
            let byte = |byte: &Json| byte.as_u64().and_then(|byte| u8::try_from(byte).ok());
            let bytes: Option<Vec<u8>> = bytes.iter().map(byte).collect();
            bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        }
        _ => None,
    }
}

fn code(value: &Json) -> Option<u16> {
    // A script's arithmetic may have made 429.0 of it.
    let whole = |number: f64| (number.fract() == 0.0).then_some(number);
    let number = value.as_f64().and_then(whole)?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number within the range")]
    (100.0..1000.0).contains(&number).then_some(number as u16)
}

/// `Some(None)` for a wait that cannot be read: the message is then due when the queue says.
fn wait(value: &Json) -> Option<Option<Duration>> {
    match value {
        Json::Number(seconds) => Some(seconds.as_f64().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())),
        Json::String(text) => Some(parse_duration(text).ok()),
        _ => None,
    }
}

fn json(value: &Value) -> Result<Json, PolicyError> {
    Ok(match value {
        Value::Nil => Json::Null,
        Value::Bool(flag) => Json::Bool(*flag),
        Value::Json(json) => json.clone(),
        Value::List(values) => Json::Array(values.iter().map(json).collect::<Result<_, _>>()?),
        other => Json::String(Returned(vec![other.clone()]).text()?),
    })
}

/// What a script's author would call it.
fn kind(value: &Json) -> String {
    match value {
        Json::Null => "nil".into(),
        Json::Bool(flag) => flag.to_string(),
        Json::Number(number) => number.to_string(),
        Json::String(_) => "a string".into(),
        Json::Array(_) | Json::Object(_) => "a table".into(),
    }
}
