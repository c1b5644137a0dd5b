//! Checks that name the field they refuse.

use std::fmt::Display;
use std::time::Duration;

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

pub(super) fn refuse<E: serde::de::Error>(field: &str, why: impl Display) -> E {
    E::custom(format_args!("{field}: {why}"))
}
