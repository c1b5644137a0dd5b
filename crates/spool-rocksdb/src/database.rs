use crate::columns::{Change, Column, event_key, event_place, internal, message_id, message_key};
use crate::engine::{AtOnce, Engine, Recovery, SyncError};
use crate::params::Params;
use crate::tuning::{self, Lows};
use bytes::Bytes;
use parking_lot::{RwLock, RwLockReadGuard};
use rocksdb::{ColumnFamily, DB, Direction, ErrorKind, IteratorMode, ReadOptions, ReadTier, WriteBatch, WriteOptions};
use std::fs::File;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use waybill_spool::{Copies, Key, Part, ReadLimit, Slice, SpoolEntry, StoreError, StreamId, Table};
use waybill_types::{MessageId, Offset};

/// What a readiness check writes beside the database before it is opened again.
const PROBE_FILE: &str = "waybill.probe";
const PROBE_BYTES: usize = 64 * 1024;

/// How RocksDB begins to tell of a sync that the system refused: `env/io_posix.cc`.
const REFUSED_SYNCS: [&str; 2] = ["While fdatasync", "While fsync"];

/// The database, in the words of the store. Every method but [`Database::cached`] and [`Database::recent`] may
/// wait for the disk.
pub(crate) struct Database {
    path: PathBuf,
    params: Params,
    /// Offsets below these may be dropped for good.
    trimmed: Lows,
    /// Held to read for the time of one operation, to write by whoever opens or closes.
    slot: RwLock<Slot>,
    /// RocksDB's number of the last successful write.
    written: AtomicU64,
}

enum Slot {
    Open(DB),
    /// Closed by [`Engine::recover`], to be opened again.
    Reopening,
    Closed,
}

impl Slot {
    fn open(&self) -> Result<&DB, StoreError> {
        match self {
            Slot::Open(db) => Ok(db),
            Slot::Reopening => Err(StoreError::Failed("the database is being opened again".into())),
            Slot::Closed => Err(StoreError::Closed),
        }
    }
}

impl Database {
    /// Opens or creates the database in a directory that exists.
    pub(crate) fn open(path: &Path, params: Params) -> Result<Self, rocksdb::Error> {
        let trimmed = Lows::default();
        let db = open(path, &params, &trimmed)?;
        let written = AtomicU64::new(db.latest_sequence_number());
        Ok(Database { path: path.to_owned(), params, trimmed, slot: RwLock::new(Slot::Open(db)), written })
    }

    /// Closes it; every later call is [`StoreError::Closed`]. Waits for the operations that are under way.
    pub(crate) fn close(&self) {
        // First of all, so that a compaction that holds the lock for hours gives it back.
        if let Slot::Open(db) = &*self.slot.read_recursive() {
            db.cancel_all_background_work(false);
        }
        let open = std::mem::replace(&mut *self.slot.write(), Slot::Closed);
        if let Slot::Open(db) = open {
            db.cancel_all_background_work(true);
        }
    }

    fn with<T>(&self, act: impl FnOnce(&DB) -> Result<T, StoreError>) -> Result<T, StoreError> {
        act(self.slot.read().open()?)
    }

    /// A part of a message if no disk has to be asked: `None` where it has to.
    pub(crate) fn cached(&self, id: MessageId, part: Part) -> Option<Result<Option<Bytes>, StoreError>> {
        self.at_hand(|db, options| {
            let found = db.get_cf_opt(&column(db, part_column(part))?, message_key(id), &options);
            Ok(found.map(|found| found.map(Bytes::from)))
        })
    }

    pub(crate) fn load(&self, id: MessageId, part: Part) -> Result<Option<Bytes>, StoreError> {
        self.with(|db| {
            let found = db.get_cf(&column(db, part_column(part))?, message_key(id));
            Ok(found.map_err(|error| failed(&error))?.map(Bytes::from))
        })
    }

    pub(crate) fn scan(&self, after: Option<MessageId>, limit: usize) -> Result<Vec<SpoolEntry>, StoreError> {
        self.with(|db| {
            let mut options = ReadOptions::default();
            // A scan of a million messages must not wash the blocks of the queue's head out of the cache.
            options.fill_cache(false);
            let after = after.map(message_key);
            let from = after.as_ref().map_or(IteratorMode::Start, |key| IteratorMode::From(key, Direction::Forward));
            let mut found = Vec::new();
            for pair in db.iterator_cf_opt(&column(db, Column::Envelopes)?, options, from) {
                if found.len() >= limit {
                    break;
                }
                let (key, envelope) = pair.map_err(|error| failed(&error))?;
                if after.is_some_and(|after| *key == after) {
                    continue;
                }
                let id = message_id(&key)
                    .ok_or_else(|| StoreError::Damaged(format!("a message id of {} bytes", key.len()).into()))?;
                found.push(SpoolEntry { id, envelope: envelope.into_vec().into() });
            }
            Ok(found)
        })
    }

    /// Events of a stream with `from <= offset < until`. `next` is not set.
    pub(crate) fn read(
        &self,
        stream: StreamId,
        from: Offset,
        until: Offset,
        limit: ReadLimit,
    ) -> Result<Slice, StoreError> {
        self.with(|db| events(db, ReadOptions::default(), stream, from, until, limit)?.map_err(|error| failed(&error)))
    }

    /// The same if no disk has to be asked: `None` where it has to.
    pub(crate) fn recent(
        &self,
        stream: StreamId,
        from: Offset,
        until: Offset,
        limit: ReadLimit,
    ) -> Option<Result<Slice, StoreError>> {
        self.at_hand(|db, options| events(db, options, stream, from, until, limit))
    }

    /// What can be read without asking the disk; `None` where it has to be asked.
    fn at_hand<T>(
        &self,
        read: impl FnOnce(&DB, ReadOptions) -> Result<Result<T, rocksdb::Error>, StoreError>,
    ) -> Option<Result<T, StoreError>> {
        // Whoever opens the database again has the lock for long, and this is called where nobody may wait.
        let slot: RwLockReadGuard<'_, Slot> = self.slot.try_read()?;
        let mut options = ReadOptions::default();
        options.set_read_tier(ReadTier::BlockCache);
        match slot.open().and_then(|db| read(db, options)) {
            Ok(Err(error)) if error.kind() == ErrorKind::Incomplete => None,
            Ok(found) => Some(found.map_err(|error| failed(&error))),
            Err(error) => Some(Err(error)),
        }
    }

    pub(crate) fn fetch(&self, stream: StreamId, offsets: &[Offset]) -> Result<Vec<Option<Bytes>>, StoreError> {
        self.with(|db| {
            let keys: Vec<[u8; 12]> = offsets.iter().map(|offset| event_key(stream, *offset)).collect();
            let found = db.batched_multi_get_cf(&column(db, Column::Events)?, keys.iter(), keys.is_sorted());
            let copy = |found: Option<rocksdb::DBPinnableSlice<'_>>| found.map(|bytes| Bytes::copy_from_slice(&bytes));
            found.into_iter().map(|found| found.map(copy).map_err(|error| failed(&error))).collect()
        })
    }

    pub(crate) fn range(
        &self,
        column_of: Column,
        from: &Key,
        until: &Key,
        limit: usize,
    ) -> Result<Vec<(Key, Bytes)>, StoreError> {
        let (mut found, mut copies) = (Vec::new(), Copies::default());
        if limit == 0 {
            return Ok(found);
        }
        self.walk(column_of, from, until, |key, value| {
            found.push((Key::from_bytes(key), copies.copy(value)));
            if found.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(found)
    }

    /// Shows pairs in order of key, in the blocks that they stand in, until `see` breaks off.
    pub(crate) fn walk(
        &self,
        column_of: Column,
        from: &Key,
        until: &Key,
        mut see: impl FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.with(|db| {
            if from >= until {
                return Ok(());
            }
            let mut options = ReadOptions::default();
            options.set_iterate_upper_bound(until.as_bytes());
            let mut rows = db.raw_iterator_cf_opt(&column(db, column_of)?, options);
            rows.seek(from.as_bytes());
            while let Some((key, value)) = rows.item() {
                if see(key, value).is_break() {
                    return Ok(());
                }
                rows.next();
            }
            rows.status().map_err(|error| failed(&error))
        })
    }

    /// The last event of a stream.
    pub(crate) fn last_event(&self, stream: StreamId) -> Result<Option<Offset>, StoreError> {
        self.with(|db| {
            let last = event_key(stream, Offset(u64::MAX));
            let from = IteratorMode::From(&last, Direction::Reverse);
            let Some(pair) = db.iterator_cf(&column(db, Column::Events)?, from).next() else { return Ok(None) };
            let (key, _) = pair.map_err(|error| failed(&error))?;
            Ok(event_place(&key).and_then(|(of, offset)| (of == stream).then_some(offset)))
        })
    }

    /// Gives the room of trimmed events back. The low marks must be on the disk: a file that is gone does not come
    /// back with a mark that is lost.
    pub(crate) fn reclaim(&self, lows: &[(StreamId, Offset)]) -> Result<(), StoreError> {
        self.trimmed.write().extend(lows.iter().copied());
        self.with(|db| {
            let events = column(db, Column::Events)?;
            for (stream, low) in lows {
                let Some(last) = low.0.checked_sub(1) else { continue };
                let (from, to) = (event_key(*stream, Offset::ZERO), event_key(*stream, Offset(last)));
                db.delete_file_in_range_cf(&events, from, to).map_err(|error| failed(&error))?;
            }
            Ok(())
        })
    }

    /// Writes out what is in memory and rewrites all files without what was removed. Takes long.
    pub(crate) fn compact(&self) -> Result<(), StoreError> {
        for column_of in Column::ALL {
            // Column by column: whoever wants to open the database again has a turn between two.
            self.with(|db| {
                let handle = column(db, column_of)?;
                db.flush_cf(&handle).map_err(|error| failed(&error))?;
                db.compact_range_cf(&handle, None::<&[u8]>, None::<&[u8]>);
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Files of events and their keys, for tests.
    #[cfg(test)]
    pub(crate) fn event_files(&self) -> usize {
        let files = self.with(|db| db.live_files().map_err(|error| failed(&error))).unwrap();
        files.iter().filter(|file| file.column_family_name == Column::Events.name()).count()
    }

    /// Whether the database can be expected to open again: there is room, and a plain file can be written and synced.
    fn disk_is_willing(&self) -> std::io::Result<()> {
        let disk = nix::sys::statvfs::statvfs(&self.path)?;
        let free = disk.blocks_available() * disk.fragment_size();
        let needed = tuning::room_to_open(&self.params);
        if free < needed {
            return Err(std::io::Error::other(format!(
                "{free} bytes are free, {needed} are needed to open the database"
            )));
        }
        let path = self.path.join(PROBE_FILE);
        let written = File::create(&path).and_then(|mut file| {
            file.write_all(&[0; PROBE_BYTES])?;
            file.sync_all()
        });
        let removed = std::fs::remove_file(&path);
        written.and(removed)
    }

    /// Closes the database and opens it again. RocksDB does not write any more after some errors.
    fn reopen(&self) -> Result<(), Recovery> {
        let mut slot = self.slot.write();
        if matches!(*slot, Slot::Closed) {
            return Err(Recovery::NotYet("the store is closed".to_owned()));
        }
        // Closed first: two at a time are refused.
        *slot = Slot::Reopening;
        let db = open(&self.path, &self.params, &self.trimmed)
            .map_err(|error| Recovery::NotYet(format!("cannot open the database again: {error}")))?;
        let (found, expected) = (db.latest_sequence_number(), self.written.load(Ordering::SeqCst));
        if found < expected {
            return Err(Recovery::Lost(format!(
                "the database of {} came back with write {found}, but {expected} was successful",
                self.path.display()
            )));
        }
        *slot = Slot::Open(db);
        Ok(())
    }
}

impl Engine for Database {
    fn write(&self, changes: &[Change]) -> Result<(), String> {
        let write = |db: &DB| {
            db.write(batch(db, changes)?).map_err(|error| failed(&error))?;
            self.written.store(db.latest_sequence_number(), Ordering::SeqCst);
            Ok(())
        };
        self.with(write).map_err(reason)
    }

    fn write_at_once(&self, changes: &[Change]) -> AtOnce {
        // Whoever opens the database again has the lock for long.
        let Some(slot) = self.slot.try_read() else { return AtOnce::NotNow };
        let Ok(db) = slot.open() else { return AtOnce::NotNow };
        let Ok(batch) = batch(db, changes) else { return AtOnce::NotNow };
        let mut options = WriteOptions::default();
        // Where memtables have to be written out first.
        options.set_no_slowdown(true);
        match db.write_opt(batch, &options) {
            Ok(()) => {
                self.written.store(db.latest_sequence_number(), Ordering::SeqCst);
                AtOnce::Written
            }
            Err(error) if error.kind() == ErrorKind::Incomplete => AtOnce::NotNow,
            Err(_) => AtOnce::Failed,
        }
    }

    fn sync(&self) -> Result<(), SyncError> {
        let synced = self.with(|db| db.flush_wal(true).map_err(|error| failed(&error))).map_err(reason);
        synced.map_err(|why| {
            // The text is all that RocksDB tells them apart by: it names the call that the system refused.
            let refused = REFUSED_SYNCS.iter().any(|call| why.contains(call));
            if refused { SyncError::Refused(why) } else { SyncError::NotTried(why) }
        })
    }

    fn recover(&self) -> Result<(), Recovery> {
        let probe = [internal::put(&internal::probe(), Bytes::new())];
        let Err(why) = self.write(&probe) else { return Ok(()) };
        // Before the disk is willing there is no point in closing: what is there can still be read.
        self.disk_is_willing()
            .map_err(|error| Recovery::NotYet(format!("{why} ({}: {error})", self.path.display())))?;
        self.reopen()?;
        self.write(&probe).map_err(Recovery::NotYet)
    }
}

fn batch(db: &DB, changes: &[Change]) -> Result<WriteBatch, StoreError> {
    let bytes: usize = changes.iter().map(|change| change.len() + 16).sum();
    let mut batch = WriteBatch::with_capacity_bytes(bytes);
    // Changes of one column mostly stand together, and it is found by its name.
    for of_one in changes.chunk_by(|one, other| one.column() == other.column()) {
        let Some(first) = of_one.first() else { continue };
        let column = column(db, first.column())?;
        for change in of_one {
            match change {
                Change::Put(_, key, value) => batch.put_cf(column, key, value),
                Change::Delete(_, key) => batch.delete_cf(column, key),
            }
        }
    }
    Ok(batch)
}

/// Events with `from <= offset < until`. The inner error is the database's own.
fn events(
    db: &DB,
    mut options: ReadOptions,
    stream: StreamId,
    from: Offset,
    until: Offset,
    limit: ReadLimit,
) -> Result<Result<Slice, rocksdb::Error>, StoreError> {
    let mut slice = Slice::default();
    if from >= until {
        return Ok(Ok(slice));
    }
    options.set_iterate_upper_bound(event_key(stream, until));
    let from = event_key(stream, from);
    let mut bytes = 0;
    let from = IteratorMode::From(&from, Direction::Forward);
    for pair in db.iterator_cf_opt(&column(db, Column::Events)?, options, from) {
        if slice.entries.len() >= limit.entries {
            break;
        }
        let (key, entry) = match pair {
            Ok(pair) => pair,
            Err(error) => return Ok(Err(error)),
        };
        bytes += entry.len();
        if bytes > limit.bytes && !slice.entries.is_empty() {
            break;
        }
        let (_, offset) = event_place(&key)
            .ok_or_else(|| StoreError::Damaged(format!("an event's key of {} bytes", key.len()).into()))?;
        slice.entries.push((offset, entry.into_vec().into()));
    }
    Ok(Ok(slice))
}

fn open(path: &Path, params: &Params, trimmed: &Lows) -> Result<DB, rocksdb::Error> {
    DB::open_cf_descriptors(&tuning::database(params), path, tuning::columns(params, trimmed))
}

fn column(db: &DB, column: Column) -> Result<&ColumnFamily, StoreError> {
    // All of them are opened with the database.
    db.cf_handle(column.name())
        .ok_or_else(|| StoreError::Damaged(format!("there is no column {}", column.name()).into()))
}

fn part_column(part: Part) -> Column {
    match part {
        Part::Envelope => Column::Envelopes,
        Part::Data => Column::Bodies,
    }
}

fn failed(error: &rocksdb::Error) -> StoreError {
    let text: Arc<str> = error.as_ref().into();
    match error.kind() {
        ErrorKind::Corruption => StoreError::Damaged(text),
        _ => StoreError::Failed(text),
    }
}

/// What went wrong, for whoever makes an error of it again.
fn reason(error: StoreError) -> String {
    match error {
        StoreError::Failed(text) => text.to_string(),
        error => error.to_string(),
    }
}

impl From<Table> for Column {
    fn from(table: Table) -> Self {
        Column::Table(table)
    }
}
