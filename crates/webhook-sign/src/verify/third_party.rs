//! Webhooks of services that send to us: schemes as their public documentation has them.

use super::{Received, Refusal, fresh, hex, seconds, timed};
use crate::Secret;
use crate::mac::{self, Algorithm};
use std::time::Duration;
use waybill_types::Timestamp;

pub(super) const STRIPE: &str = "stripe-signature";
pub(super) const SLACK_TIME: &str = "x-slack-request-timestamp";

/// GitHub: `X-Hub-Signature-256: sha256=HEX` over the body. The older SHA-1 header is not looked at.
/// <https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries>
///
/// # Errors
/// When the message is not to be believed.
pub fn github(secrets: &[Secret], received: &Received<'_>) -> Result<(), Refusal> {
    const SIGNATURE: &str = "x-hub-signature-256";
    let digest = received.one(SIGNATURE)?.strip_prefix("sha256=").and_then(hex).ok_or(Refusal::Malformed(SIGNATURE))?;
    any(secrets, &[received.body], &digest)
}

/// Stripe: `Stripe-Signature: t=SECONDS,v1=HEX[,v1=HEX]` over `SECONDS.BODY`.
/// <https://docs.stripe.com/webhooks/signature>
///
/// # Errors
/// When the message is not to be believed.
pub fn stripe(secrets: &[Secret], received: &Received<'_>, now: Timestamp, tolerance: Duration) -> Result<(), Refusal> {
    let (signed, mut digests) = timed(received.one(STRIPE)?, ',', STRIPE)?;
    fresh(signed, now, tolerance)?;
    let head = format!("{signed}.");
    let fits = digests.any(|digest| any(secrets, &[head.as_bytes(), received.body], &digest).is_ok());
    if fits { Ok(()) } else { Err(Refusal::NoMatch) }
}

/// Slack: `X-Slack-Signature: v0=HEX` over `v0:SECONDS:BODY`, the seconds in `X-Slack-Request-Timestamp`.
/// <https://docs.slack.dev/authentication/verifying-requests-from-slack>
///
/// # Errors
/// When the message is not to be believed.
pub fn slack(secrets: &[Secret], received: &Received<'_>, now: Timestamp, tolerance: Duration) -> Result<(), Refusal> {
    const SIGNATURE: &str = "x-slack-signature";
    let signed = seconds(received.one(SLACK_TIME)?, SLACK_TIME)?;
    let digest = received.one(SIGNATURE)?.strip_prefix("v0=").and_then(hex).ok_or(Refusal::Malformed(SIGNATURE))?;
    fresh(signed, now, tolerance)?;
    any(secrets, &[format!("v0:{signed}:").as_bytes(), received.body], &digest)
}

fn any(secrets: &[Secret], parts: &[&[u8]], digest: &[u8]) -> Result<(), Refusal> {
    let fits = |secret: &Secret| mac::matches(Algorithm::Sha256, secret.reveal().as_bytes(), parts, digest);
    if secrets.iter().any(fits) { Ok(()) } else { Err(Refusal::NoMatch) }
}
