//! A hook that runs: its consumer, and those of its replays.

use crate::feeds::{Fed, FedBy};
use crate::ground::Ground;
use crate::keys;
use crate::occurrence::stream_of;
use crate::shared::Shared;
use crate::subscription::Subscription;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use waybill_consumers::{Control, Ended, LeftLetters, Registry, Replay, Reports, Runner, RunnerOptions, Snapshot};
use waybill_runtime::StopSource;
use waybill_spool::{StoreError, StreamId};

/// How long a hook may take to finish what is being sent once the daemon stops.
const GRACE: Duration = Duration::from_secs(20);

/// A hook that runs.
pub(crate) struct Live {
    pub(crate) shared: Arc<Shared>,
    pub(crate) stream: StreamId,
    pub(crate) reader: Reader,
    pub(crate) replays: Vec<Reader>,
    pub(crate) left: LeftLetters,
}

/// A consumer that runs.
pub(crate) struct Reader {
    pub(crate) name: String,
    pub(crate) control: Control,
    snapshot: Arc<Mutex<Option<Snapshot>>>,
    stop: StopSource,
    ended: watch::Receiver<bool>,
}

impl Reader {
    /// How it stands; nothing when it has just started.
    pub(crate) fn snapshot(&self) -> Option<Snapshot> {
        self.snapshot.lock().clone()
    }

    /// Has it rest where its hook is disabled, and go on where it is not.
    pub(crate) async fn follow(&self, enabled: bool) {
        // A runner that is gone reads nothing either.
        let _ = if enabled { self.control.resume().await } else { self.control.pause().await };
    }

    /// Has it end, without waiting for it.
    pub(crate) fn stop(&self) {
        self.stop.request();
    }

    /// Tells its end.
    pub(crate) fn end(&self) -> watch::Receiver<bool> {
        self.ended.clone()
    }

    pub(crate) fn has_ended(&self) -> bool {
        *self.ended.borrow()
    }
}

/// Waits for the end of a reader.
pub(crate) async fn wait_for(mut ended: watch::Receiver<bool>) {
    // A sender that is gone has ended too.
    let _ = ended.wait_for(|ended| *ended).await;
}

/// Starts a hook's own consumer where the store says it was.
pub(crate) async fn start(ground: &Ground, shared: Arc<Shared>) -> Result<Live, StoreError> {
    let armed = shared.armed();
    let stream = stream_of(&armed.hook.draft.source);
    let left = LeftLetters::default();
    let name = keys::consumer(shared.id);
    let registry = Registry::new(ground.store.clone());
    left.set(registry.left().await?.get(&name).copied().unwrap_or(0));
    let (interest, enabled) = (armed.hook.draft.interest(), armed.hook.draft.enabled);
    let fed = ground.feeds(stream).add(shared.id, interest.clone());
    let part = Part { stream, fed: Some(fed), replay: None };
    let reader = read(ground, shared.clone(), name, part, left.clone()).await;
    // Nobody would read what is looked out for it.
    let reader = reader.inspect_err(|_| ground.feeds(stream).remove(shared.id))?;
    reader.follow(enabled).await;
    if !enabled {
        ground.feeds(stream).change(shared.id, interest, true);
    }
    Ok(Live { shared, stream, reader, replays: Vec::new(), left })
}

/// What a consumer reads.
pub(crate) struct Part {
    pub(crate) stream: StreamId,
    /// Who looks it out, where it does not read for itself.
    pub(crate) fed: Option<Arc<Fed>>,
    /// It is a part that was there before.
    pub(crate) replay: Option<Replay>,
}

/// Starts a consumer.
pub(crate) async fn read(
    ground: &Ground,
    shared: Arc<Shared>,
    name: String,
    part: Part,
    left: LeftLetters,
) -> Result<Reader, StoreError> {
    let Part { stream, fed, replay } = part;
    let (reports, inbox) = Reports::channel();
    let lane = keys::consumer(shared.id);
    let window = shared.armed().window();
    let is_replay = replay.is_some();
    let subscription = Arc::new(Subscription::new(shared, ground.clone(), stream, &lane, is_replay, reports));
    let options = RunnerOptions {
        name: name.clone(),
        stream,
        store: ground.store.clone(),
        clock: ground.clock.clone(),
        window,
        begin: *ground.store.visible(stream).borrow(),
        replay,
        left,
        grace: GRACE,
    };
    let mut runner = Runner::open(options, subscription.clone(), inbox).await?;
    if let Some(fed) = fed {
        runner = runner.fed_by(Arc::new(FedBy(fed)));
    }
    let (snapshot, control) = (runner.snapshot(), runner.control());
    let (source, stop) = StopSource::new();
    let (sessions, sessions_stop) = StopSource::new();
    let (end, ended) = watch::channel(false);
    let registry = Registry::new(ground.store.clone());
    let task = name.clone();
    ground.supervisor.spawn(name.clone(), async move {
        if runner.run(stop).await == Ended::Done
            && let Err(error) = registry.forget(&task).await
        {
            tracing::error!(hook = task, "what a replay left was not removed: {error}");
        }
        // The runner stops first: what is being sent is waited for by it.
        sessions.request();
        end.send_replace(true);
    });
    ground.supervisor.spawn(format!("sender of {name}"), subscription.drive(sessions_stop));
    Ok(Reader { name, control, snapshot, stop: source, ended })
}
