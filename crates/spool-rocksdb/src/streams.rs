//! Offsets: who gets which, and which may be used at all. Pure.

use crate::columns::{Change, internal};
use std::collections::HashMap;
use waybill_spool::StreamId;
use waybill_types::Offset;

/// Offsets are used only from blocks of this size that are reserved on disk, synced, before. After an unclean stop the
/// rest of a block is skipped, so no offset is ever used twice, not even one whose event was lost.
pub(crate) const BLOCK: u64 = 64 * 1024;

/// The next block is reserved when less than this is left, so that nobody has to wait for it.
const LOW_WATER: u64 = BLOCK / 2;

/// Where a stream stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Stream {
    /// The offset for the next event.
    next: u64,
    /// Offsets below may be used: their reservation is on disk.
    usable: u64,
    /// A reservation that was written, and the group after whose sync it counts.
    asked: Option<(u64, u64)>,
    /// Behind the last event that was stored.
    tail: u64,
    /// The first offset that was not trimmed.
    low: u64,
}

/// All streams as they stand after the last successful write.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    all: HashMap<StreamId, Stream>,
}

/// What a group does to a stream that it touches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Touched {
    pub(crate) stream: StreamId,
    /// Behind the last event before the first one of the group that has to be synced before it is seen.
    pub(crate) hold: Option<Offset>,
    /// Behind the last event.
    pub(crate) tail: Offset,
    /// The first offset that is not trimmed.
    pub(crate) low: Offset,
}

impl Streams {
    /// A stream as it was found on disk. All reserved offsets may have been used.
    pub(crate) fn found(&mut self, stream: StreamId, reserved: u64, tail: Offset, low: Offset) {
        let next = reserved.max(tail.0);
        self.all.insert(stream, Stream { next, usable: next, asked: None, tail: tail.0, low: low.0 });
    }

    /// Groups up to this one are synced: reservations in them count.
    pub(crate) fn synced(&mut self, group: u64) {
        for stream in self.all.values_mut() {
            if let Some((end, _)) = stream.asked.take_if(|(_, asked_in)| *asked_in <= group) {
                stream.usable = end;
            }
        }
    }

    /// What has to be reserved, and synced, before so many events can be appended.
    pub(crate) fn shortage(&self, appends: &HashMap<StreamId, u64>) -> Vec<(StreamId, u64)> {
        appends
            .iter()
            .filter_map(|(id, count)| {
                let stream = self.all.get(id).copied().unwrap_or_default();
                let needed = stream.next + count;
                (needed > stream.usable).then_some((*id, needed + BLOCK))
            })
            .collect()
    }

    /// A block for each of these and each stream that was found, to be reserved at the start: so nobody has to wait
    /// for the first one.
    pub(crate) fn first_blocks(&self, others: &[StreamId]) -> HashMap<StreamId, u64> {
        let others = others.iter().map(|id| (*id, BLOCK));
        others.chain(self.all.iter().map(|(id, stream)| (*id, stream.next + BLOCK))).collect()
    }

    /// A reservation is on disk.
    pub(crate) fn reserved(&mut self, id: StreamId, end: u64) {
        let stream = self.all.entry(id).or_default();
        stream.usable = end;
        stream.asked = None;
    }

    /// What makes the next start go on exactly here.
    pub(crate) fn exact(&self) -> impl Iterator<Item = Change> {
        self.all.iter().map(|(id, stream)| internal::put_reservation(*id, stream.next))
    }

    /// Begins a group.
    pub(crate) fn draft(&self) -> Draft<'_> {
        Draft { before: self, touched: HashMap::new() }
    }

    /// The group of the draft was written.
    pub(crate) fn written(&mut self, drafted: Drafted) {
        self.all.extend(drafted.0.into_iter().map(|(id, draft)| (id, draft.stream)));
    }

    /// The group of the draft was not written. Its offsets are not used again: they may stand in a torn write.
    pub(crate) fn failed(&mut self, drafted: Drafted) {
        for (id, draft) in drafted.0 {
            self.all.entry(id).or_default().next = draft.stream.next;
        }
    }
}

/// What a group that is being put together does to the streams.
#[derive(Debug)]
pub(crate) struct Draft<'a> {
    before: &'a Streams,
    touched: HashMap<StreamId, DraftStream>,
}

#[derive(Clone, Copy, Debug)]
struct DraftStream {
    stream: Stream,
    hold: Option<Offset>,
}

/// A draft that is done.
#[derive(Debug)]
pub(crate) struct Drafted(HashMap<StreamId, DraftStream>);

impl Draft<'_> {
    fn touch(&mut self, id: StreamId) -> &mut DraftStream {
        let before = self.before;
        self.touched.entry(id).or_insert_with(|| {
            let stream = before.all.get(&id).copied().unwrap_or_default();
            DraftStream { stream, hold: None }
        })
    }

    /// The offset for an event. `synced`: nobody may see it before it is synced.
    pub(crate) fn append(&mut self, id: StreamId, synced: bool) -> Offset {
        let draft = self.touch(id);
        let offset = draft.stream.next;
        debug_assert!(offset < draft.stream.usable, "an offset without a reservation");
        if synced && draft.hold.is_none() {
            draft.hold = Some(Offset(draft.stream.tail));
        }
        draft.stream.next = offset + 1;
        draft.stream.tail = offset + 1;
        Offset(offset)
    }

    /// Trims events below an offset; gives the low mark, if it moves. It never passes the last event, so that what comes
    /// later is not hidden.
    pub(crate) fn trim(&mut self, id: StreamId, below: Offset) -> Option<Offset> {
        let draft = self.touch(id);
        let low = below.0.min(draft.stream.tail);
        if low <= draft.stream.low {
            return None;
        }
        draft.stream.low = low;
        Some(Offset(low))
    }

    /// Ends the draft: what every touched stream is like when the group is written, and reservations that go with the
    /// group so that the next ones have room.
    pub(crate) fn finish(mut self, group: u64, changes: &mut Vec<Change>) -> (Drafted, Vec<Touched>) {
        for (id, DraftStream { stream, .. }) in &mut self.touched {
            if stream.asked.is_none() && stream.usable - stream.next < LOW_WATER && stream.usable > 0 {
                let end = stream.usable + BLOCK;
                changes.push(internal::put_reservation(*id, end));
                stream.asked = Some((end, group));
            }
        }
        let touched = self
            .touched
            .iter()
            .map(|(id, draft)| Touched {
                stream: *id,
                hold: draft.hold,
                tail: Offset(draft.stream.tail),
                low: Offset(draft.stream.low),
            })
            .collect();
        (Drafted(self.touched), touched)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: StreamId = StreamId::EVENTS;

    /// Appends so many, as the commit thread does; gives the first offset and whether a sync was needed first.
    fn append(streams: &mut Streams, count: u64, group: u64) -> (u64, bool) {
        let shortage = streams.shortage(&HashMap::from([(S, count)]));
        for (id, end) in &shortage {
            streams.reserved(*id, *end);
        }
        let mut draft = streams.draft();
        let first = draft.append(S, false);
        for _ in 1..count {
            draft.append(S, false);
        }
        let (drafted, _) = draft.finish(group, &mut Vec::new());
        streams.written(drafted);
        (first.0, !shortage.is_empty())
    }

    #[test]
    fn only_the_first_event_of_a_stream_waits_for_a_reservation() {
        let mut streams = Streams::default();
        let mut waits = 0;
        for group in 0..100 {
            let (first, waited) = append(&mut streams, 10_000, group);
            assert_eq!(first, group * 10_000);
            waits += u64::from(waited);
            streams.synced(group);
        }
        assert_eq!(waits, 1);
    }

    #[test]
    fn a_reservation_that_is_not_synced_does_not_count() {
        let mut streams = Streams::default();
        append(&mut streams, 1, 1);
        append(&mut streams, BLOCK - 1, 2);
        streams.synced(1);
        assert!(!streams.shortage(&HashMap::from([(S, 2)])).is_empty());
        streams.synced(2);
        assert!(streams.shortage(&HashMap::from([(S, 2)])).is_empty());
    }

    #[test]
    fn a_failed_group_leaves_a_gap_but_no_trace() {
        let mut streams = Streams::default();
        streams.reserved(S, BLOCK);
        let mut draft = streams.draft();
        assert_eq!((draft.append(S, true), draft.append(S, true)), (Offset(0), Offset(1)));
        assert_eq!(draft.trim(S, Offset(9)), Some(Offset(2)));
        let (drafted, _) = draft.finish(1, &mut Vec::new());
        streams.failed(drafted);

        let mut draft = streams.draft();
        assert_eq!(draft.append(S, true), Offset(2));
        let (_, touched) = draft.finish(1, &mut Vec::new());
        assert_eq!(touched, [Touched { stream: S, hold: Some(Offset(0)), tail: Offset(3), low: Offset(0) }]);
    }

    #[test]
    fn a_stream_goes_on_behind_all_that_was_reserved() {
        let mut streams = Streams::default();
        streams.found(S, 65_536, Offset(20), Offset(5));
        streams.reserved(S, 65_536 + BLOCK);
        let mut draft = streams.draft();
        assert_eq!(draft.append(S, true), Offset(65_536));
        let (_, touched) = draft.finish(1, &mut Vec::new());
        // Nobody is told of more than there is.
        assert_eq!(touched, [Touched { stream: S, hold: Some(Offset(20)), tail: Offset(65_537), low: Offset(5) }]);
    }
}
