//! What stands where in the database, and under which keys. All of it stands on disk: never change a name.

use bytes::Bytes;
use waybill_spool::{Key, StreamId, Table};
use waybill_types::{MessageId, Offset};

/// The layout that this program writes.
pub(crate) const FORMAT: u32 = 1;

/// A column family.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Column {
    /// Our own bookkeeping: see [`internal`].
    Internal,
    /// Envelopes by message id.
    Envelopes,
    /// Bodies by message id; large ones in blob files.
    Bodies,
    /// Events of all streams, by stream and offset.
    Events,
    /// A table of the store.
    Table(Table),
}

impl Column {
    pub(crate) const ALL: [Column; 8] = [
        Column::Internal,
        Column::Envelopes,
        Column::Bodies,
        Column::Events,
        Column::Table(Table::State),
        Column::Table(Table::Rows),
        Column::Table(Table::Dead),
        Column::Table(Table::Logs),
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Column::Internal => rocksdb::DEFAULT_COLUMN_FAMILY_NAME,
            Column::Envelopes => "envelopes",
            Column::Bodies => "bodies",
            Column::Events => "events",
            Column::Table(Table::State) => "state",
            Column::Table(Table::Rows) => "rows",
            Column::Table(Table::Dead) => "dead",
            Column::Table(Table::Logs) => "logs",
        }
    }
}

/// A change, in the words of the database.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Change {
    Put(Column, Vec<u8>, Bytes),
    Delete(Column, Vec<u8>),
}

impl Change {
    pub(crate) fn put(column: Column, key: impl Into<Vec<u8>>, value: impl Into<Bytes>) -> Self {
        Change::Put(column, key.into(), value.into())
    }

    pub(crate) fn delete(column: Column, key: impl Into<Vec<u8>>) -> Self {
        Change::Delete(column, key.into())
    }

    /// Where it is made.
    pub(crate) fn column(&self) -> Column {
        match self {
            Change::Put(column, ..) | Change::Delete(column, _) => *column,
        }
    }

    /// Bytes of key and value.
    pub(crate) fn len(&self) -> usize {
        match self {
            Change::Put(_, key, value) => key.len() + value.len(),
            Change::Delete(_, key) => key.len(),
        }
    }
}

pub(crate) fn message_key(id: MessageId) -> [u8; 16] {
    *id.as_bytes()
}

pub(crate) fn message_id(key: &[u8]) -> Option<MessageId> {
    key.try_into().ok().map(MessageId::from_bytes)
}

pub(crate) fn event_key(stream: StreamId, offset: Offset) -> [u8; 12] {
    let mut key = [0; 12];
    key[..4].copy_from_slice(&stream.0.to_be_bytes());
    key[4..].copy_from_slice(&offset.0.to_be_bytes());
    key
}

/// Stream and offset of an event's key.
pub(crate) fn event_place(key: &[u8]) -> Option<(StreamId, Offset)> {
    let (stream, offset) = key.split_first_chunk::<4>()?;
    Some((StreamId(u32::from_be_bytes(*stream)), Offset(u64::from_be_bytes(offset.try_into().ok()?))))
}

/// Keys and values of [`Column::Internal`].
pub(crate) mod internal {
    use super::{Bytes, Change, Column, FORMAT, Key, Offset, StreamId};

    /// The layout of the database.
    pub(crate) fn format() -> Key {
        Key::new().text("format")
    }

    /// Whether the store was closed in good order.
    pub(crate) fn state() -> Key {
        Key::new().text("state")
    }

    pub(crate) const OPEN: &[u8] = b"open";
    pub(crate) const CLOSED: &[u8] = b"closed";

    /// What is written to see whether writing works.
    pub(crate) fn probe() -> Key {
        Key::new().text("probe")
    }

    /// All reservations: the first offset of a stream that was never promised to an event.
    pub(crate) fn reservations() -> Key {
        Key::new().text("reserved")
    }

    /// All low marks: the first offset of a stream that was not trimmed.
    pub(crate) fn lows() -> Key {
        Key::new().text("low")
    }

    pub(crate) fn put(key: &Key, value: impl Into<Bytes>) -> Change {
        Change::put(Column::Internal, key.as_bytes(), value)
    }

    pub(crate) fn put_format() -> Change {
        put(&format(), FORMAT.to_be_bytes().to_vec())
    }

    pub(crate) fn put_reservation(stream: StreamId, end: u64) -> Change {
        put(&reservations().number(stream.0.into()), end.to_be_bytes().to_vec())
    }

    pub(crate) fn put_low(stream: StreamId, low: Offset) -> Change {
        put(&lows().number(stream.0.into()), low.0.to_be_bytes().to_vec())
    }

    /// The stream and number of a reservation or low mark.
    pub(crate) fn mark(prefix: &Key, key: &[u8], value: &[u8]) -> Option<(StreamId, u64)> {
        let stream = key.strip_prefix(prefix.as_bytes())?;
        let stream = u64::from_be_bytes(stream.try_into().ok()?);
        Some((StreamId(u32::try_from(stream).ok()?), u64::from_be_bytes(value.try_into().ok()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_sort_by_stream_and_offset() {
        let places = [(0, 1), (0, 256), (0, u64::MAX), (1, 0), (256, 0), (u32::MAX, 7)];
        let keys = places.map(|(stream, offset)| event_key(StreamId(stream), Offset(offset)));
        assert!(keys.is_sorted());
        assert_eq!(keys.map(|key| event_place(&key)), places.map(|(s, o)| Some((StreamId(s), Offset(o)))));
        assert_eq!(event_place(b"short"), None);
    }

    #[test]
    fn a_mark_comes_back_from_its_key_and_value() {
        let Change::Put(_, key, value) = internal::put_reservation(StreamId(7), 65_536) else { panic!() };
        assert_eq!(internal::mark(&internal::reservations(), &key, &value), Some((StreamId(7), 65_536)));
        assert_eq!(internal::mark(&internal::lows(), &key, &value), None);
    }
}
