use super::{MOST_SIGNATURES, Received, Refusal, fresh, seconds};
use crate::StandardVerifier;
use std::time::Duration;
use waybill_types::Timestamp;

pub(super) const TIMESTAMP: &str = "webhook-timestamp";

/// Standard Webhooks. Any key and any entry of the list will do; entries of unknown versions are passed over.
/// The id is what to recognise a repetition by.
///
/// # Errors
/// When the message is not to be believed.
pub fn standard(
    keys: &[StandardVerifier],
    received: &Received<'_>,
    now: Timestamp,
    tolerance: Duration,
) -> Result<(), Refusal> {
    const ID: &str = "webhook-id";
    const SIGNATURE: &str = "webhook-signature";
    let id = received.one(ID)?;
    let signed = seconds(received.one(TIMESTAMP)?, TIMESTAMP)?;
    let list = received.one(SIGNATURE)?;
    // A dot in the id would let one signed text be read as two messages.
    if id.is_empty() || id.contains('.') {
        return Err(Refusal::Malformed(ID));
    }
    if list.split(' ').nth(MOST_SIGNATURES).is_some() {
        return Err(Refusal::TooMany(SIGNATURE));
    }
    fresh(signed, now, tolerance)?;
    let fits = |entry: &str| keys.iter().any(|key| key.accepts(entry, id, signed, received.body));
    if list.split(' ').any(fits) { Ok(()) } else { Err(Refusal::NoMatch) }
}
