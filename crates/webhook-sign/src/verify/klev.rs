use super::{Received, Refusal, fresh, timed};
use crate::KlevKey;
use crate::mac::{self, Algorithm};
use std::time::Duration;
use waybill_types::Timestamp;

pub(super) const SIGNATURE: &str = "x-klev-signature";

/// klev's egress webhooks: `X-Klev-Signature: t=SECONDS;v1=HEX`.
///
/// # Errors
/// When the message is not to be believed.
pub fn klev(keys: &[KlevKey], received: &Received<'_>, now: Timestamp, tolerance: Duration) -> Result<(), Refusal> {
    let (signed, mut digests) = timed(received.one(SIGNATURE)?, ';', SIGNATURE)?;
    fresh(signed, now, tolerance)?;
    let head = format!("{signed}.");
    let parts = [head.as_bytes(), received.body];
    let fits = |digest: Vec<u8>| keys.iter().any(|key| mac::matches(Algorithm::Sha256, key.bytes(), &parts, &digest));
    if digests.any(fits) { Ok(()) } else { Err(Refusal::NoMatch) }
}
