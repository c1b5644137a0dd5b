//! How logs and what belongs to them stand in the tables of the store. Numbers little endian in values, big endian in
//! keys. All of it stands on disk: a change of meaning needs another name.
//!
//! ```text
//! State  "streams" "log" ID              JSON: number, log
//! State  "streams" "number"              u64: the number that the next log gets; never used twice
//! State  "streams" "gone" number         a deleted log whose messages are still being removed
//! State  "streams" "events"              text: the id of the built-in log
//! State  "streams" "offset" ID           JSON: a stored offset
//! State  "streams" "egress" ID           JSON: an egress webhook
//! State  "streams" "egress-keys" ID      its secrets, sealed (or JSON)
//! State  "streams" "egress-position" ID  JSON: where it stands
//! State  "streams" "egress-parked" ID offset   a message that waits behind its key
//! State  "streams" "filter" ID           JSON: a filter
//! State  "streams" "filter-position" ID  JSON: how far it has come
//! State  "streams" "ingress" ID          JSON: an ingress webhook
//! State  "streams" "ingress-keys" ID     its secrets, sealed (or JSON)
//! Logs   number "head"                   next, first, count, size (u64 each)
//! Logs   number "m" offset               messages, of which the last has this offset
//! Logs   number "k" SHA-256 of a key     u64: the offset of its newest message (compacting logs)
//! Logs   number "s" offset               time, size: a message that a later one with its key replaces
//! Logs   number "n" offset               time, size: a message without a value
//! Logs   number "i" digest               a publish that is not stored again: seconds, place, next offset, digest
//! Logs   number "j" place                digest: such publishes in the order in which they came
//! Logs   number "once"                   first, next (u64 each): the places that are in use
//! ```

use bytes::{BufMut, Bytes, BytesMut};
use sha2::{Digest, Sha256};
use waybill_spool::Key;
use waybill_streams_core::{Front, Id};

fn streams(what: &str) -> Key {
    Key::new().text("streams").text(what)
}

pub(crate) fn logs() -> Key {
    streams("log")
}

pub(crate) fn next_number() -> Key {
    streams("number")
}

pub(crate) fn gone() -> Key {
    streams("gone")
}

pub(crate) fn events_id() -> Key {
    streams("events")
}

pub(crate) fn offsets() -> Key {
    streams("offset")
}

pub(crate) fn egress() -> Key {
    streams("egress")
}

/// The rows of secrets of egress webhooks; the name is part of what they are sealed for.
pub(crate) const EGRESS_KEYS: &str = "egress-keys";
/// Those of ingress webhooks.
pub(crate) const INGRESS_KEYS: &str = "ingress-keys";

/// Rows of secrets.
pub(crate) fn secrets(what: &str) -> Key {
    streams(what)
}

pub(crate) fn egress_positions() -> Key {
    streams("egress-position")
}

/// Messages of an egress webhook that wait behind their keys.
pub(crate) fn parked(id: Id) -> Key {
    of(streams("egress-parked"), id)
}

/// The offset in the key of such a row.
pub(crate) fn parked_offset(key: &Key) -> Option<u64> {
    let mut parts = key.read();
    parts.text().and_then(|_| parts.text()).and_then(|_| parts.text())?;
    parts.number()
}

pub(crate) fn filters() -> Key {
    streams("filter")
}

pub(crate) fn filter_positions() -> Key {
    streams("filter-position")
}

pub(crate) fn ingress() -> Key {
    streams("ingress")
}

/// The row of an id below one of the keys above.
pub(crate) fn of(below: Key, id: Id) -> Key {
    below.text(&id.to_string())
}

/// Bytes of most keys of a log.
const ROOM: usize = 24;

/// Everything of a log.
pub(crate) fn log(number: u64) -> Key {
    Key::with_capacity(ROOM).number(number)
}

pub(crate) fn head(number: u64) -> Key {
    log(number).text("head")
}

/// All messages of a log.
pub(crate) fn messages(number: u64) -> Key {
    log(number).text("m")
}

/// The row whose last message has this offset.
pub(crate) fn message(number: u64, offset: u64) -> Key {
    messages(number).number(offset)
}

/// The offset in the key of such a row.
pub(crate) fn message_offset(key: &[u8]) -> Option<u64> {
    let (_, offset) = key.split_last_chunk::<8>()?;
    Some(u64::from_be_bytes(*offset))
}

pub(crate) fn superseded(number: u64, offset: u64) -> Key {
    log(number).text("s").number(offset)
}

pub(crate) fn valueless(number: u64, offset: u64) -> Key {
    log(number).text("n").number(offset)
}

/// The row that tells the newest message with a key.
pub(crate) fn newest(number: u64, key: &[u8]) -> Key {
    with_digest(log(number).text("k"), &Sha256::digest(key).into())
}

/// The row that remembers a publish.
pub(crate) fn remembered(number: u64, digest: &Digest256) -> Key {
    with_digest(log(number).text("i"), digest)
}

/// The row that tells which publish was remembered at this place.
pub(crate) fn remembered_at(number: u64, place: u64) -> Key {
    log(number).text("j").number(place)
}

/// The row that tells which places are in use.
pub(crate) fn remembered_places(number: u64) -> Key {
    log(number).text("once")
}

/// A SHA-256.
pub(crate) type Digest256 = [u8; 32];

/// The SHA-256 of parts, each with its length in front, so that no two lists of parts have the same.
pub(crate) fn digest(parts: &[&[u8]]) -> Digest256 {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

fn with_digest(row: Key, digest: &Digest256) -> Key {
    let (quarters, _) = digest.as_chunks::<8>();
    quarters.iter().fold(row, |row, quarter| row.number(u64::from_be_bytes(*quarter)))
}

/// The offset at the end of a row's key.
pub(crate) fn offset_of(key: &Key) -> Option<u64> {
    let mut parts = key.read();
    parts.number()?;
    parts.text()?;
    parts.number()
}

pub(crate) fn number_value(number: u64) -> Bytes {
    Bytes::copy_from_slice(&number.to_le_bytes())
}

pub(crate) fn number_of(value: &[u8]) -> Option<u64> {
    value.try_into().ok().map(u64::from_le_bytes)
}

pub(crate) fn front_value(front: Front) -> Bytes {
    let mut out = BytesMut::with_capacity(16);
    out.put_i64_le(front.time);
    out.put_u64_le(front.size);
    out.freeze()
}

pub(crate) fn front_of(value: &[u8]) -> Option<Front> {
    let (time, size) = value.split_first_chunk::<8>()?;
    Some(Front { time: i64::from_le_bytes(*time), size: number_of(size)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_one_log_stand_together_in_the_order_of_offsets() {
        let all = log(7);
        for row in [head(7), message(7, 0), message(7, u64::MAX), newest(7, b"key"), superseded(7, 3), valueless(7, 3)]
        {
            assert!(all < row && row < all.end(), "{row:?}");
        }
        assert!(message(7, 255) < message(7, 256) && message(6, u64::MAX) < log(7) && log(7).end() <= log(8));
        assert_eq!(offset_of(&message(7, 300)), Some(300));
        assert_eq!(message_offset(message(7, 300).as_bytes()), Some(300));
        assert!(messages(7) < message(7, 0) && message(7, u64::MAX) < messages(7).end());
        assert_ne!(newest(7, b"a"), newest(7, b"b"));
    }

    #[test]
    fn values_come_back_and_torn_ones_are_none() {
        let front = Front { time: -5, size: 9 };
        assert_eq!(front_of(&front_value(front)), Some(front));
        assert_eq!(front_of(&front_value(front)[..15]), None);
        assert_eq!((number_of(&number_value(77)), number_of(b"short")), (Some(77), None));
    }
}
