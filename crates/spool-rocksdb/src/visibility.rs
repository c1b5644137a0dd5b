//! How far each stream can be read. Pure but for the channels that tell of it.

use crate::streams::Touched;
use std::collections::{HashMap, VecDeque};
use tokio::sync::watch;
use waybill_spool::StreamId;
use waybill_types::Offset;

/// An event is visible when all events of its stream up to it are as durable as they were asked to be.
#[derive(Debug, Default)]
pub(crate) struct Visibility {
    marks: HashMap<StreamId, Mark>,
    /// Groups that hold a stream until they are synced, oldest first.
    holding: VecDeque<(u64, StreamId)>,
}

#[derive(Debug)]
struct Mark {
    shown: watch::Sender<Offset>,
    /// Behind the last event.
    tail: Offset,
    /// Behind the last event before the first one that waits for a sync, for each group that waits.
    holds: VecDeque<Offset>,
}

impl Mark {
    fn at(tail: Offset) -> Self {
        Mark { shown: watch::channel(tail).0, tail, holds: VecDeque::new() }
    }

    fn show(&self) {
        let visible = self.holds.front().copied().unwrap_or(self.tail);
        self.shown.send_if_modified(|shown| std::mem::replace(shown, visible) != visible);
    }
}

impl Visibility {
    /// A stream as it was found on disk: all of it survived, so all of it is visible.
    pub(crate) fn found(&mut self, stream: StreamId, tail: Offset) {
        self.marks.insert(stream, Mark::at(tail));
    }

    /// Tells how far a stream is visible, as it moves.
    pub(crate) fn subscribe(&mut self, stream: StreamId) -> watch::Receiver<Offset> {
        self.marks.entry(stream).or_insert_with(|| Mark::at(Offset::ZERO)).shown.subscribe()
    }

    /// How far a stream is visible.
    pub(crate) fn of(&self, stream: StreamId) -> Offset {
        self.marks.get(&stream).map_or(Offset::ZERO, |mark| *mark.shown.borrow())
    }

    /// A group was written.
    pub(crate) fn written(&mut self, group: u64, touched: &[Touched]) {
        for touched in touched {
            let mark = self.marks.entry(touched.stream).or_insert_with(|| Mark::at(Offset::ZERO));
            mark.tail = touched.tail;
            if let Some(hold) = touched.hold {
                mark.holds.push_back(hold);
                self.holding.push_back((group, touched.stream));
            }
            mark.show();
        }
    }

    /// All groups up to this one are synced.
    pub(crate) fn synced(&mut self, group: u64) {
        let done = self.holding.partition_point(|(holding, _)| *holding <= group);
        for (_, stream) in self.holding.drain(..done) {
            if let Some(mark) = self.marks.get_mut(&stream) {
                mark.holds.pop_front();
                mark.show();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: StreamId = StreamId::EVENTS;

    fn touched(hold: Option<u64>, tail: u64) -> [Touched; 1] {
        [Touched { stream: S, hold: hold.map(Offset), tail: Offset(tail), low: Offset::ZERO }]
    }

    #[test]
    fn an_event_that_is_to_be_synced_holds_itself_and_all_behind_it() {
        let mut visibility = Visibility::default();
        let shown = visibility.subscribe(S);
        visibility.written(1, &touched(None, 3));
        assert_eq!(*shown.borrow(), Offset(3));
        visibility.written(2, &touched(Some(4), 6));
        visibility.written(3, &touched(None, 8));
        visibility.written(4, &touched(Some(8), 9));
        visibility.written(5, &touched(None, 12));
        assert_eq!((visibility.of(S), *shown.borrow()), (Offset(4), Offset(4)));
        visibility.synced(1);
        assert_eq!(visibility.of(S), Offset(4));
        visibility.synced(3);
        assert_eq!(visibility.of(S), Offset(8));
        visibility.synced(7);
        assert_eq!(*shown.borrow(), Offset(12));
    }

    #[test]
    fn streams_hold_themselves_only() {
        let mut visibility = Visibility::default();
        visibility.found(StreamId(7), Offset(40));
        visibility.written(1, &touched(Some(0), 1));
        assert_eq!((visibility.of(S), visibility.of(StreamId(7))), (Offset(0), Offset(40)));
    }
}
