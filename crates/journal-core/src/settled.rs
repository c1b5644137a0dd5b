use std::collections::VecDeque;
use waybill_types::Offset;

/// Which events of the journal are behind a consumer: everything below the cursor, and islands above it.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    /// Behind the last event that was read.
    read: Offset,
    /// In order: what was read from the first open event on, and islands of before the restart that are still ahead. Mostly
    /// events come and go in the order of the journal, which makes a row cheaper than trees.
    events: VecDeque<Known>,
    /// How many of them are open.
    open: usize,
    /// Events closed after an attempt since the last save began: a crash now would send them again.
    unsaved: usize,
    /// Of the save under way.
    in_save: usize,
}

/// An event at or above the cursor.
#[derive(Clone, Copy, Debug)]
struct Known {
    offset: Offset,
    /// Neither settled nor saved as a row. The others are islands.
    is_open: bool,
}

impl Settled {
    pub(crate) fn new(cursor: Offset, islands: &[Offset]) -> Self {
        let mut events: VecDeque<_> = islands.iter().map(|offset| Known { offset: *offset, is_open: false }).collect();
        events.make_contiguous().sort_unstable_by_key(|known| known.offset);
        Settled { read: cursor, events, ..Settled::default() }
    }

    pub(crate) fn read_to(&self) -> Offset {
        self.read
    }

    /// Whether the event is an island: it was behind us before the restart.
    pub(crate) fn knows(&self, offset: Offset) -> bool {
        self.place(offset).is_ok_and(|at| !self.events[at].is_open)
    }

    /// Notes what was read; everything between the events that is none is behind us.
    pub(crate) fn read(&mut self, offsets: impl IntoIterator<Item = Offset>, next: Offset) {
        for offset in offsets {
            if let Err(at) = self.place(offset) {
                self.events.insert(at, Known { offset, is_open: true });
                self.open += 1;
            }
        }
        self.read = self.read.max(next);
        self.drop_sunken();
    }

    /// The event needs no memory any more: settled, or its row is in the next batch.
    pub(crate) fn close(&mut self, offset: Offset) {
        let Ok(at) = self.place(offset) else { return };
        if std::mem::take(&mut self.events[at].is_open) {
            self.open -= 1;
            self.drop_sunken();
        }
    }

    /// An event was tried: until the next save a crash would send it again.
    pub(crate) fn tried(&mut self) {
        self.unsaved += 1;
    }

    /// Where the event is, or where it would be.
    fn place(&self, offset: Offset) -> Result<usize, usize> {
        match (self.events.front(), self.events.back()) {
            (_, Some(last)) if last.offset < offset => Err(self.events.len()),
            (Some(first), _) => {
                // Where there are no gaps its number tells.
                let guess = usize::try_from(offset.0.wrapping_sub(first.offset.0)).unwrap_or(usize::MAX);
                match self.events.get(guess) {
                    Some(known) if known.offset == offset => Ok(guess),
                    _ => self.events.binary_search_by_key(&offset, |known| known.offset),
                }
            }
            (None, _) => Err(0),
        }
    }

    /// Islands below the cursor are no islands any more. Those at or above what was read have no open event before them.
    fn drop_sunken(&mut self) {
        while self.events.front().is_some_and(|first| !first.is_open && first.offset < self.read) {
            self.events.pop_front();
        }
    }

    /// The first event that a restart has to look at again.
    pub(crate) fn cursor(&self) -> Offset {
        self.events.front().filter(|first| first.is_open).map_or(self.read, |first| first.offset)
    }

    /// Closed events at or above the cursor, in order.
    pub(crate) fn islands(&self) -> impl Iterator<Item = Offset> + '_ {
        // No further than to the last one: behind it thousands may be open.
        self.events.iter().filter(|known| !known.is_open).take(self.count_islands()).map(|known| known.offset)
    }

    /// How many of these there are.
    pub(crate) fn count_islands(&self) -> usize {
        self.events.len() - self.open
    }

    /// How many events were tried and would be sent again, were the process to die now.
    pub(crate) fn unsaved(&self) -> usize {
        self.unsaved + self.in_save
    }

    /// Events below the last island that are still open.
    pub(crate) fn blockers(&self) -> Vec<Offset> {
        let last = self.events.iter().rposition(|known| !known.is_open).unwrap_or(0);
        self.events.range(..last).filter(|known| known.is_open).map(|known| known.offset).collect()
    }

    /// A save begins.
    pub(crate) fn saving(&mut self) {
        self.in_save += std::mem::take(&mut self.unsaved);
    }

    /// The save is done.
    pub(crate) fn saved(&mut self) {
        self.in_save = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets(of: impl IntoIterator<Item = u64>) -> Vec<Offset> {
        of.into_iter().map(Offset).collect()
    }

    fn islands(settled: &Settled) -> Vec<u64> {
        let islands: Vec<u64> = settled.islands().map(|offset| offset.0).collect();
        assert_eq!(islands.len(), settled.count_islands());
        islands
    }

    #[test]
    fn the_cursor_is_the_first_open_event_and_what_is_closed_behind_it_an_island() {
        let mut settled = Settled::new(Offset(10), &[]);
        settled.read(offsets([10, 11, 13, 17]), Offset(18));
        offsets([13, 11, 12]).into_iter().for_each(|offset| settled.close(offset));
        assert_eq!((settled.cursor(), islands(&settled)), (Offset(10), vec![11, 13]));
        assert_eq!(settled.blockers(), offsets([10]));
        assert!(settled.knows(Offset(13)) && !settled.knows(Offset(17)) && !settled.knows(Offset(12)));
        settled.close(Offset(10));
        assert_eq!((settled.cursor(), islands(&settled)), (Offset(17), vec![]));
        settled.close(Offset(17));
        settled.close(Offset(17));
        assert_eq!((settled.cursor(), settled.blockers()), (Offset(18), vec![]));
    }

    #[test]
    fn islands_of_before_the_restart_stay_until_the_cursor_has_passed_them() {
        let mut settled = Settled::new(Offset(5), &offsets([9, 7]));
        assert_eq!((settled.cursor(), islands(&settled)), (Offset(5), vec![7, 9]));
        assert!(settled.knows(Offset(7)));
        settled.read(offsets([5, 6, 8]), Offset(9));
        assert_eq!((settled.cursor(), settled.blockers()), (Offset(5), offsets([5, 6, 8])));
        offsets([5, 6]).into_iter().for_each(|offset| settled.close(offset));
        assert_eq!((settled.cursor(), islands(&settled)), (Offset(8), vec![9]));
        settled.close(Offset(8));
        // The last one was not read yet.
        assert_eq!((settled.cursor(), islands(&settled)), (Offset(9), vec![9]));
        settled.read(offsets([11]), Offset(12));
        assert_eq!((settled.cursor(), islands(&settled)), (Offset(11), vec![]));
    }
}
