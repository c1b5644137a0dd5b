//! From directories to a store that runs.

use crate::care::{Bell, Care};
use crate::columns::{Column, FORMAT, internal};
use crate::commit::Committer;
use crate::database::Database;
use crate::engine::{Engine, SyncError};
use crate::layout::{self, OpenError};
use crate::options::Options;
use crate::params::Params;
use crate::running::Running;
use crate::shared::Shared;
use crate::space::SpaceGuard;
use crate::streams::Streams;
use crate::sync;
use crate::wal::{self, Broken, How};
use bytes::Bytes;
use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use waybill_spool::{Key, StoreError, StreamId};
use waybill_types::Offset;

/// Streams that every daemon writes to.
const BUILT_IN: [StreamId; 2] = [StreamId::EVENTS, StreamId::SIGNALS];

/// Reads that may wait for the disk at the same time, unless the policy says otherwise.
const READS: usize = 8;

pub(crate) struct Opened {
    pub(crate) shared: Arc<Shared>,
    pub(crate) database: Arc<Database>,
    pub(crate) running: Running,
    pub(crate) reads: usize,
    pub(crate) was_clean: bool,
}

/// Opens a store. `engine` can put something between the database and the threads that write; for tests.
pub(crate) fn open(
    options: Options,
    engine: impl FnOnce(Arc<Database>) -> Arc<dyn Engine>,
) -> Result<Opened, OpenError> {
    let params = Params::parse(&options.params).map_err(OpenError::Params)?;
    let reads = params.limit_concurrent_loads.map_or(READS, NonZeroUsize::get);
    let path = &options.path;
    if let Some(data) = options.data_path.as_deref().filter(|data| !is_same(data, path)) {
        layout::take_data(data)?;
    }
    let lock = layout::take(path)?;
    look_at_logs(path)?;
    let database = Database::open(path, params).map_err(|error| refused(path, &error))?;
    let database = Arc::new(database);
    let shared = Arc::new(Shared::new(engine(database.clone()), options.on_sync_failure.clone()));
    let (streams, was_clean) = restore(path, &database, &shared)?;
    if !was_clean {
        tracing::info!("the spool {} was not closed in good order; all that was acknowledged is there", path.display());
    }

    let guard = SpaceGuard {
        places: std::iter::once((path.clone(), options.room))
            .chain(options.data_path.map(|data| (data, options.data_room)))
            .collect(),
    };
    let mut care = Care::new(shared.clone(), database.clone(), guard);
    // Once before anybody asks.
    care.tick();

    let bell = Arc::new(Bell::default());
    let mut running = Running::new(shared.clone(), database.clone(), bell.clone(), lock);
    let committer = Committer::new(shared.clone(), streams);
    let syncer = shared.clone();
    running.commit = Some(start(path, "spool-commit", move || committer.run())?);
    running.sync = Some(start(path, "spool-sync", move || sync::run(&syncer))?);
    running.care = Some(start(path, "spool-care", move || care.run(&bell))?);
    Ok(Opened { shared, database, running, reads, was_clean })
}

/// Refuses a database whose logs are damaged; says where one was cut off.
fn look_at_logs(path: &Path) -> Result<(), OpenError> {
    let broken = wal::broken(path).map_err(|reason| OpenError::Unusable { path: path.to_owned(), reason })?;
    for Broken { file, at, how } in broken {
        match how {
            How::Damaged => return Err(OpenError::Damaged { path: path.to_owned(), file, at }),
            How::CutOff => tracing::warn!(
                "{} ends in the middle of a write, at byte {at}: nobody was told that it is kept, and it is dropped",
                file.display()
            ),
        }
    }
    Ok(())
}

/// Whether two paths are one directory. Those that do not exist yet are the same only by name.
fn is_same(one: &Path, other: &Path) -> bool {
    one == other || one.canonicalize().is_ok_and(|one| other.canonicalize().is_ok_and(|other| one == other))
}

fn start<T: Send + 'static>(
    path: &Path,
    name: &str,
    run: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, OpenError> {
    let thread = Builder::new().name(name.to_owned()).spawn(run);
    thread.map_err(|reason| OpenError::Unusable { path: path.to_owned(), reason })
}

/// Finds out where all streams stand and reserves offsets for them. Also tells whether the store was closed in good
/// order, or is new.
fn restore(path: &Path, database: &Database, shared: &Shared) -> Result<(Streams, bool), OpenError> {
    let damaged = |error: StoreError| refused(path, &error);
    if let Some(format) = value(database, &internal::format()).map_err(damaged)? {
        let found = format.first_chunk().map_or(u32::MAX, |bytes| u32::from_be_bytes(*bytes));
        if found > FORMAT {
            return Err(OpenError::Later { path: path.to_owned(), found });
        }
    }
    let state = value(database, &internal::state()).map_err(damaged)?;
    let was_clean = state.is_none_or(|state| state == internal::CLOSED);
    let lows = marks(database, &internal::lows()).map_err(damaged)?;
    let mut streams = Streams::default();
    for (stream, reserved) in marks(database, &internal::reservations()).map_err(damaged)? {
        let low = lows.get(&stream).copied().map_or(Offset::ZERO, Offset);
        let last = database.last_event(stream).map_err(damaged)?;
        let tail = last.map_or(Offset::ZERO, Offset::next).max(low);
        streams.found(stream, reserved, tail, low);
        shared.visibility.lock().found(stream, tail);
        shared.lows.write().insert(stream, low);
    }

    let blocks = streams.first_blocks(&BUILT_IN);
    let mut changes = vec![internal::put_format(), internal::put(&internal::state(), internal::OPEN)];
    changes.extend(blocks.iter().map(|(stream, end)| internal::put_reservation(*stream, *end)));
    let written = shared.engine.write(&changes).and_then(|()| shared.engine.sync().map_err(SyncError::why));
    written.map_err(|why| refused(path, &why))?;
    for (stream, end) in blocks {
        streams.reserved(stream, end);
    }
    Ok((streams, was_clean))
}

fn value(database: &Database, key: &Key) -> Result<Option<Bytes>, StoreError> {
    let found = database.range(Column::Internal, key, &key.after(), 1)?;
    Ok(found.into_iter().next().map(|(_, value)| value))
}

fn marks(database: &Database, prefix: &Key) -> Result<HashMap<StreamId, u64>, StoreError> {
    let found = database.range(Column::Internal, prefix, &prefix.end(), usize::MAX)?;
    Ok(found.iter().filter_map(|(key, value)| internal::mark(prefix, key.as_bytes(), value)).collect())
}

fn refused(path: &Path, reason: &dyn ToString) -> OpenError {
    OpenError::Database { path: path.to_owned(), reason: reason.to_string() }
}
