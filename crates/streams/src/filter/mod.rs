//! A filter that runs: one task, page by page, what it copies and how far it has come in one batch.

mod runner;

use crate::egress::Base;
use crate::log::{UserLog, failed};
use crate::source::Source;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::watch;
use waybill_filter::Condition;
use waybill_runtime::StopSource;
use waybill_streams_core::{Error, Filter, FilterStatus, Progress};

/// Cheap to clone; clones are the same filter.
#[derive(Clone)]
pub(crate) struct Copier(Arc<Shared>);

struct Shared {
    base: Base,
    source: Source,
    target: UserLog,
    state: Mutex<State>,
    /// Held while a page is copied, and while somebody changes the filter: no page is written by an older condition or
    /// from an older place than was answered.
    turn: tokio::sync::Mutex<Kept>,
    /// Counts changes that the runner has to look at.
    changed: watch::Sender<u64>,
    removed: StopSource,
}

struct State {
    filter: Filter,
    condition: Condition,
    progress: Progress,
}

/// Whether there is still something to write to.
enum Kept {
    Yes,
    Removed,
}

impl Copier {
    /// Starts a filter that is stored.
    ///
    /// # Errors
    /// When its condition cannot be read.
    pub(crate) fn start(
        base: Base,
        source: Source,
        target: UserLog,
        filter: Filter,
        progress: Progress,
    ) -> Result<Self, Error> {
        let condition = filter.condition()?;
        let id = filter.filter_id;
        let shared = Shared {
            source,
            target,
            state: Mutex::new(State { filter, condition, progress }),
            turn: tokio::sync::Mutex::new(Kept::Yes),
            changed: watch::channel(0).0,
            removed: StopSource::new().0,
            base,
        };
        let copier = Copier(Arc::new(shared));
        let runner = copier.clone();
        copier.0.base.supervisor.spawn(format!("filter {id}"), async move { runner.run().await });
        Ok(copier)
    }

    /// How it is configured.
    pub(crate) fn filter(&self) -> Filter {
        self.0.state.lock().filter.clone()
    }

    /// The message of the source that it looks at next.
    pub(crate) fn next_offset(&self) -> u64 {
        self.0.state.lock().progress.next_offset()
    }

    /// How it stands.
    pub(crate) async fn status(&self) -> Result<FilterStatus, Error> {
        let view = self.0.source.view(self.next_offset()).await.map_err(|error| failed(&error))?;
        let now = self.0.base.clock.now();
        let state = self.0.state.lock();
        Ok(state.progress.status(state.filter.filter_id, view, now))
    }

    /// Configures it differently, stored before this is done.
    pub(crate) async fn update(&self, filter: Filter, active: Option<bool>) -> Result<(), Error> {
        let condition = filter.condition()?;
        let _turn = self.0.turn.lock().await;
        let mut progress = self.0.state.lock().progress.clone();
        match active {
            Some(true) => progress.activate(),
            Some(false) => progress.pause(),
            None => {}
        }
        self.0.base.registry.set_filter(&filter, &progress).await.map_err(|error| failed(&error))?;
        *self.0.state.lock() = State { filter, condition, progress };
        self.touch();
        Ok(())
    }

    /// Ends it; nothing is written any more once this is done. What is kept of it is the caller's business.
    pub(crate) async fn remove(&self) {
        self.0.removed.request();
        *self.0.turn.lock().await = Kept::Removed;
    }

    fn touch(&self) {
        self.0.changed.send_modify(|count| *count += 1);
    }
}
