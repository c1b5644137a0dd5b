use parking_lot::{Mutex, RwLock};
use serde_json::{Map, Value, json};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use waybill_event_hooks_core::Signal;
use waybill_runtime::Clock;
use waybill_spool::{Batch, Durability, Store, StoreError, StreamId};
use waybill_types::{IdMint, ThrottleSpec, Timestamp};
use waybill_webhook_core::Rate;

/// Events of one source that are written down in a second, and at once: a flood of them must not fill the disk.
const MOST: &str = "50/s";
/// The sources that say what somebody did over the API. Each is stored with the change itself, which limits them.
const CHANGES: [&str; 2] = ["crud", "dao:crud"];

/// Writes events that are no log records into the stream `signals`, those that a hook waits for. Cheap to clone; clones are
/// the same.
#[derive(Clone)]
pub struct Signals(Arc<Inner>);

struct Inner {
    mint: Arc<IdMint>,
    clock: Arc<dyn Clock>,
    /// Sources that hooks wait for.
    wanted: RwLock<BTreeSet<String>>,
    rates: Mutex<HashMap<String, Rate>>,
    dropped: AtomicU64,
}

/// An event on its way into the stream.
#[derive(Clone, Debug)]
pub struct Told {
    /// Where it comes from.
    pub source: String,
    /// What it is.
    pub event: String,
    /// Whose it is.
    pub tenant: Option<String>,
    /// What it is about: see [`Signal::about`].
    pub about: Vec<String>,
    /// The fields.
    pub data: Map<String, Value>,
}

/// A change of something that is managed over the API.
#[derive(Clone, Debug)]
pub struct Changed {
    /// `event_hooks`, `tokens`, …
    pub schema: &'static str,
    /// `create`, `update` or `delete`.
    pub operation: &'static str,
    /// What it is now; of something deleted what it was.
    pub entity: Value,
    /// What it was, where it was changed.
    pub old: Option<Value>,
    /// Whose it is.
    pub tenant: Option<String>,
    /// Its id.
    pub id: String,
}

impl Signals {
    /// Nothing is wanted yet.
    pub fn new(mint: Arc<IdMint>, clock: Arc<dyn Clock>) -> Self {
        let (wanted, rates, dropped) = (RwLock::default(), Mutex::default(), AtomicU64::new(0));
        Signals(Arc::new(Inner { mint, clock, wanted, rates, dropped }))
    }

    pub(crate) fn want(&self, sources: BTreeSet<String>) {
        *self.0.wanted.write() = sources;
    }

    /// Whether a hook waits for events of this source.
    pub fn are_wanted(&self, source: &str) -> bool {
        self.0.wanted.read().contains(source)
    }

    /// Events that were not written down because there were too many at once.
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    /// An event got lost before it could be put into a batch: there were too many at once.
    pub fn lost(&self) {
        self.0.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// Puts an event into a batch, if anybody waits for it and there are not too many.
    pub fn add(&self, batch: &mut Batch, told: Told) {
        if !self.are_wanted(&told.source) {
            return;
        }
        let now = self.0.clock.now();
        if !self.has_room(&told.source, now) {
            self.lost();
            return;
        }
        let Told { source, event, tenant, about, data } = told;
        let signal = Signal::new(self.0.mint.entry(now), &source, &event, now, data);
        batch.append(StreamId::SIGNALS, signal.of(tenant.as_deref()).about(about).encode());
    }

    /// Writes an event down.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn tell(&self, store: &dyn Store, told: Told) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        self.add(&mut batch, told);
        if batch.is_empty() {
            return Ok(());
        }
        store.commit(batch, Durability::Written).await.map(drop)
    }

    /// Puts a change into the batch that makes it: as `crud` of its kind, `crud` of its kind and operation, and `dao:crud`.
    pub fn changed(&self, batch: &mut Batch, changed: Changed) {
        let Changed { schema, operation, entity, old, tenant, id } = changed;
        let data = json!({ "operation": operation, "entity": entity, "old_entity": old, "schema": schema });
        let Value::Object(data) = data else { return };
        let events = [
            ("crud", schema.to_owned()),
            ("crud", format!("{schema}:{operation}")),
            ("dao:crud", operation.to_owned()),
        ];
        for (source, event) in events {
            let (tenant, about) = (tenant.clone(), vec![id.clone()]);
            self.add(batch, Told { source: source.to_owned(), event, tenant, about, data: data.clone() });
        }
    }

    fn has_room(&self, source: &str, now: Timestamp) -> bool {
        if CHANGES.contains(&source) {
            return true;
        }
        let Ok(spec) = MOST.parse::<ThrottleSpec>() else { return true };
        let mut rates = self.0.rates.lock();
        let rate = rates.entry(source.to_owned()).or_insert_with(|| Rate::new(spec));
        let free = rate.next(now) <= now;
        if free {
            rate.begin(now);
        }
        free
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use waybill_runtime::ManualClock;

    fn signals() -> (Signals, ManualClock) {
        let clock = ManualClock::at(Timestamp::from_secs(1_700_000_000));
        (Signals::new(Arc::new(IdMint::new([1; 8])), Arc::new(clock.clone())), clock)
    }

    fn told(source: &str) -> Told {
        Told { source: source.into(), event: "e".into(), tenant: None, about: Vec::new(), data: Map::new() }
    }

    fn appended(signals: &Signals, source: &str) -> usize {
        let mut batch = Batch::new();
        signals.add(&mut batch, told(source));
        batch.ops().len()
    }

    #[test]
    fn what_no_hook_waits_for_is_not_written_down() {
        let (signals, _) = signals();
        assert_eq!(appended(&signals, "endpoint"), 0);
        signals.want(["endpoint".to_owned()].into());
        assert_eq!((appended(&signals, "endpoint"), appended(&signals, "crud")), (1, 0));
    }

    #[test]
    fn a_flood_of_one_source_is_capped_and_counted_and_leaves_others_alone() {
        let (signals, clock) = signals();
        signals.want(["throttle", "queue", "crud"].map(str::to_owned).into());
        let written: usize = (0..1000).map(|_| appended(&signals, "throttle")).sum();
        assert!((1..=100).contains(&written), "{written}");
        assert_eq!(signals.dropped(), 1000 - written as u64);
        assert_eq!(appended(&signals, "queue"), 1);
        let changes: usize = (0..1000).map(|_| appended(&signals, "crud")).sum();
        assert_eq!(changes, 1000, "a change that was made is told");
        clock.advance(Duration::from_secs(1));
        assert_eq!(appended(&signals, "throttle"), 1);
    }

    #[test]
    fn a_change_is_told_under_its_three_names() {
        let (signals, _) = signals();
        signals.want(["crud", "dao:crud"].map(str::to_owned).into());
        let mut batch = Batch::new();
        let entity = json!({"id": "7"});
        let (tenant, id) = (Some("t".to_owned()), "7".to_owned());
        signals.changed(
            &mut batch,
            Changed { schema: "tokens", operation: "create", entity: entity.clone(), old: None, tenant, id },
        );
        let entries = batch.into_ops().into_iter().map(|op| match op {
            waybill_spool::Op::Append { entry, .. } => Signal::decode(&entry).unwrap(),
            other => panic!("{other:?}"),
        });
        let entries: Vec<Signal> = entries.collect();
        let names: Vec<_> = entries.iter().map(|signal| (signal.source.as_str(), signal.event.as_str())).collect();
        assert_eq!(names, [("crud", "tokens"), ("crud", "tokens:create"), ("dao:crud", "create")]);
        assert!(entries.iter().all(|signal| signal.data["entity"] == entity && signal.about == ["7"]));
        assert_eq!(entries[0].tenant.as_deref(), Some("t"));
    }
}
