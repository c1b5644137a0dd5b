use std::collections::BTreeSet;
use waybill_types::Offset;

/// Which events of the journal are behind a consumer: everything below the cursor, and islands above it.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    /// Behind the last event that was read.
    read: Offset,
    /// Events that were read and neither settled nor saved as a row.
    open: BTreeSet<Offset>,
    /// Events at or above the cursor that are settled or saved as a row.
    islands: BTreeSet<Offset>,
    /// Events closed after an attempt since the last save began: a crash now would send them again.
    unsaved: usize,
    /// Of the save under way.
    in_save: usize,
}

impl Settled {
    pub(crate) fn new(cursor: Offset, islands: &[Offset]) -> Self {
        Settled { read: cursor, islands: islands.iter().copied().collect(), ..Settled::default() }
    }

    pub(crate) fn read_to(&self) -> Offset {
        self.read
    }

    /// Whether the event was behind us before the restart.
    pub(crate) fn knows(&self, offset: Offset) -> bool {
        self.islands.contains(&offset)
    }

    /// Notes what was read; everything between the events that is none is behind us.
    pub(crate) fn read(&mut self, offsets: impl IntoIterator<Item = Offset>, next: Offset) {
        self.open.extend(offsets);
        self.read = self.read.max(next);
        self.drop_sunken();
    }

    /// The event needs no memory any more: settled, or its row is in the next batch.
    pub(crate) fn close(&mut self, offset: Offset) {
        if self.open.remove(&offset) {
            self.islands.insert(offset);
            self.drop_sunken();
        }
    }

    /// An event was tried: until the next save a crash would send it again.
    pub(crate) fn tried(&mut self) {
        self.unsaved += 1;
    }

    /// Islands below the cursor are no islands any more.
    fn drop_sunken(&mut self) {
        let cursor = self.cursor();
        while self.islands.first().is_some_and(|first| *first < cursor) {
            self.islands.pop_first();
        }
    }

    /// The first event that a restart has to look at again.
    pub(crate) fn cursor(&self) -> Offset {
        self.open.first().copied().unwrap_or(self.read)
    }

    /// Closed events at or above the cursor.
    pub(crate) fn islands(&self) -> &BTreeSet<Offset> {
        &self.islands
    }

    /// How many events were tried and would be sent again, were the process to die now.
    pub(crate) fn unsaved(&self) -> usize {
        self.unsaved + self.in_save
    }

    /// Events below the last island that are still open.
    pub(crate) fn blockers(&self) -> Vec<Offset> {
        match self.islands.last() {
            Some(last) => self.open.range(..*last).copied().collect(),
            None => Vec::new(),
        }
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
