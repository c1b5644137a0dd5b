//! The envelope bytes of a spooled message: `u8` version (1), `u32` length of the JSON part, the JSON part, then the
//! captured headers as [`waybill_log_record::Fields`].

use crate::Origin;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::sync::Arc;
use waybill_log_record::Fields;
use waybill_types::{EnvelopeAddress, Schedule, Timestamp};

const VERSION: u8 = 1;

/// What is kept of a message beside its body.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spooled {
    /// Envelope sender.
    pub sender: EnvelopeAddress,
    /// Envelope recipients.
    pub recipients: Vec<EnvelopeAddress>,
    /// Meta of the message.
    pub meta: Map<String, Value>,
    /// When to try next; absent: at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<Timestamp>,
    /// When attempts are allowed at all; absent: always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Arc<Schedule>>,
    /// Attempts so far.
    #[serde(default)]
    pub attempts: u32,
    /// Bytes of the body.
    pub size: u64,
    /// What kind of message it is. Never part of the meta: a script could overwrite that.
    pub origin: Origin,
    /// Through how many webhooks it has come before it was injected. No part of the meta either.
    #[serde(default, skip_serializing_if = "is_none")]
    pub hops: u8,
    /// Headers that some sink wants, captured when the message came in.
    #[serde(skip)]
    pub headers: Fields,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives it so")]
fn is_none(hops: &u8) -> bool {
    *hops == 0
}

/// The bytes are no envelope that this version reads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the envelope of a spooled message is damaged: {0}")]
pub struct EnvelopeError(String);

impl Spooled {
    /// The bytes to store.
    pub fn encode(&self) -> Bytes {
        let mut out = vec![VERSION, 0, 0, 0, 0];
        // Writing maps with text keys into a Vec cannot fail.
        let _ = serde_json::to_writer(&mut out, self);
        let len = u32::try_from(out.len() - 5).unwrap_or(u32::MAX);
        out[1..5].copy_from_slice(&len.to_le_bytes());
        out.extend_from_slice(self.headers.as_bytes());
        out.into()
    }

    /// Reads stored bytes.
    ///
    /// # Errors
    /// When they are damaged or written by a later version.
    pub fn decode(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        let damaged = |what: &str| EnvelopeError(what.to_owned());
        let (head, rest) = bytes.split_at_checked(5).ok_or_else(|| damaged("too short"))?;
        if head[0] != VERSION {
            return Err(EnvelopeError(format!("version {}, this program reads {VERSION}", head[0])));
        }
        let len = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let (json, headers) = rest.split_at_checked(len).ok_or_else(|| damaged("torn"))?;
        let mut spooled: Spooled = serde_json::from_slice(json).map_err(|error| EnvelopeError(error.to_string()))?;
        spooled.headers = Fields::from_bytes(headers).ok_or_else(|| damaged("torn headers"))?;
        Ok(spooled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_from_before_there_were_schedules_is_read() {
        let json = br#"{"sender":"a@x.example","recipients":["b@y.example"],"meta":{},"size":3,"origin":"Mail"}"#;
        let head = [&[VERSION][..], &u32::try_from(json.len()).unwrap().to_le_bytes(), json].concat();
        let old = Spooled::decode(&[&head[..], Fields::empty().as_bytes()].concat()).unwrap();
        assert_eq!((old.size, old.schedule.clone(), old.due), (3, None, None));
        let schedule = Schedule::until(Timestamp::from_secs(7));
        assert_eq!(old.hops, 0);
        let new = Spooled { schedule: Some(schedule.into()), hops: 3, ..old };
        assert_eq!(Spooled::decode(&new.encode()).unwrap(), new);
    }
}
