//! Checks what was received. Every scheme answers with the same small [`Refusal`]: it names what is wrong with the
//! headers, and never a byte of key, signature or body.

mod given;
mod klev;
mod standard;
mod third_party;
mod time;

pub use given::Received;
pub use klev::klev;
pub use standard::standard;
pub use third_party::{github, slack, stripe};
pub use time::{Timed, signed_at};

use std::time::Duration;
use waybill_types::Timestamp;

/// How far the time of a message may be from ours, both ways, where nobody says otherwise.
pub const TOLERANCE: Duration = Duration::from_secs(300);

/// Signatures in one header that are looked at. A longer list is refused: checking it would be work for an attacker.
pub const MOST_SIGNATURES: usize = 64;

/// Why a message is not believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// A header is not there.
    #[error("the header {0} is missing")]
    Missing(&'static str),
    /// A header, or something in it that must be alone, is there twice.
    #[error("the header {0} came twice, or says twice what it may say once")]
    Twice(&'static str),
    /// A header cannot be read.
    #[error("the header {0} cannot be read")]
    Malformed(&'static str),
    /// A list of signatures without end.
    #[error("the header {0} holds more than {MOST_SIGNATURES} signatures")]
    TooMany(&'static str),
    /// The message was signed too long ago: perhaps somebody repeats it.
    #[error("the message was signed too long ago")]
    TooOld,
    /// The message was signed in the future.
    #[error("the message was signed in the future")]
    TooNew,
    /// No signature is one of our keys'.
    #[error("no signature fits")]
    NoMatch,
}

/// The seconds in a header: digits and nothing else, so that one time has one spelling.
fn seconds(text: &str, header: &'static str) -> Result<i64, Refusal> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let leading = text.len() > 1 && text.starts_with('0');
    if !digits || leading {
        return Err(Refusal::Malformed(header));
    }
    text.parse().map_err(|_| Refusal::Malformed(header))
}

fn fresh(signed: i64, now: Timestamp, tolerance: Duration) -> Result<(), Refusal> {
    let tolerance = i64::try_from(tolerance.as_secs()).unwrap_or(i64::MAX);
    let age = now.secs().saturating_sub(signed);
    if age > tolerance {
        Err(Refusal::TooOld)
    } else if age < tolerance.saturating_neg() {
        Err(Refusal::TooNew)
    } else {
        Ok(())
    }
}

/// Reads `t=SECONDS`, `v1=HEX` and what else there is between separators. Unknown names are passed over.
fn timed<'a>(
    value: &'a str,
    separator: char,
    header: &'static str,
) -> Result<(i64, impl Iterator<Item = Vec<u8>> + use<'a>), Refusal> {
    if value.split(separator).nth(MOST_SIGNATURES + 1).is_some() {
        return Err(Refusal::TooMany(header));
    }
    let mut times = value.split(separator).filter_map(|part| part.strip_prefix("t="));
    let time = times.next().ok_or(Refusal::Malformed(header))?;
    if times.next().is_some() {
        return Err(Refusal::Twice(header));
    }
    let digests = value.split(separator).filter_map(|part| part.strip_prefix("v1="));
    Ok((seconds(time, header)?, digests.filter_map(hex)))
}

/// Hex digits of either case; anything else is no digest.
fn hex(text: &str) -> Option<Vec<u8>> {
    data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()
}
