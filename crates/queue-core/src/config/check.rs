//! Checks that name the field they refuse.

use std::fmt::Display;
use std::time::Duration;

/// Octets of a domain in a command (RFC 5321 section 4.5.3.1.2).
const LONGEST_NAME: usize = 255;

/// A duration that a loop divides by or waits for: zero would be a loop without a wait.
pub(super) fn above_zero<E: serde::de::Error>(field: &str, value: Duration) -> Result<(), E> {
    if value.is_zero() { Err(refuse(field, "expected a duration above zero")) } else { Ok(()) }
}

/// The same for a field that may be unset.
pub(super) fn above_zero_if_set<E: serde::de::Error>(field: &str, value: Option<Duration>) -> Result<(), E> {
    value.map_or(Ok(()), |value| above_zero(field, value))
}

/// A count of which at least one is needed for anything to move.
pub(super) fn at_least_one<E: serde::de::Error>(field: &str, value: usize) -> Result<(), E> {
    if value == 0 { Err(refuse(field, "expected a number above zero")) } else { Ok(()) }
}

/// A text that is shown in records, metrics and names of queues. An empty one, or one with control characters, is a slip.
pub(super) fn printable<E: serde::de::Error>(field: &str, text: &str) -> Result<(), E> {
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err(refuse(field, format_args!("expected a text without control characters, got {text:?}")));
    }
    Ok(())
}

/// The same for a field that may be unset.
pub(super) fn printable_if_set<E: serde::de::Error>(field: &str, text: Option<&String>) -> Result<(), E> {
    text.map_or(Ok(()), |text| printable(field, text))
}

/// The name that we greet with (RFC 5321 section 4.1.1.1): a domain or an address in brackets, so no spaces.
pub(super) fn greeting<E: serde::de::Error>(field: &str, name: Option<&String>) -> Result<(), E> {
    let Some(name) = name else { return Ok(()) };
    let wrong = |char: char| char.is_whitespace() || char.is_control();
    if name.is_empty() || name.len() > LONGEST_NAME || name.contains(wrong) {
        return Err(refuse(field, format_args!("expected a host's name without spaces, got {name:?}")));
    }
    Ok(())
}

pub(super) fn refuse<E: serde::de::Error>(field: &str, why: impl Display) -> E {
    E::custom(format_args!("{field}: {why}"))
}
