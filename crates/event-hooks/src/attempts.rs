//! The log of attempts: what was tried, and what came back. For people who ask why something did not arrive; nothing else
//! depends on it, so under load it loses attempts rather than slow deliveries down.

use crate::armed::Armed;
use crate::courier::Receipt;
use crate::keys;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use uuid::Uuid;
use waybill_runtime::{Clock, Stop};
use waybill_spool::{Batch, Durability, Store, StoreError, Table};
use waybill_webhook_core::{Outcome, printable};

/// Attempts of a hook that are kept.
const MOST: usize = 1000;
/// Bytes of a hook's attempts that are kept.
const MOST_BYTES: usize = 4 << 20;
/// How long an attempt is kept.
const MAX_AGE: Duration = Duration::from_secs(7 * 86_400);
/// How often those are looked for that have become too old, of hooks that nobody tries any more too.
const SWEPT_EVERY: Duration = Duration::from_secs(3600);
/// Bytes of a response that are kept of an attempt.
const LONGEST_BODY: usize = 4096;
/// Attempts on their way to the store. Those beyond are not written down.
const WAITING: usize = 4096;
/// Attempts of one batch.
const AT_ONCE: usize = 256;
/// What stands for something that must not be read here.
const MASK: &str = "***";
/// Parts of names of headers whose values are masked.
const SECRET_HEADERS: &[&str] = &["authorization", "cookie", "signature", "token", "secret", "key", "password", "auth"];

/// An attempt, as it is shown.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct AttemptRecord {
    /// Its number; later ones are greater.
    pub id: u64,
    /// When it began.
    pub at: String,
    /// How long it took.
    pub duration_ms: u64,
    /// The places of its events in their stream.
    pub offsets: Vec<u64>,
    /// What went with it as `webhook-id`.
    pub event_id: String,
    /// Attempts at its first event before this one.
    pub attempts_before: u16,
    /// `delivered`, `transient`, `permanent`, `disabled` or `blocked`.
    pub outcome: String,
    /// Why it is no success.
    pub error: Option<String>,
    /// The address that was called.
    pub address: Option<String>,
    /// How it was called.
    pub request: Asked,
    /// The status that came back.
    pub status: Option<u16>,
    /// Headers that came back; secrets are masked.
    pub headers: Vec<(String, String)>,
    /// The beginning of the body that came back, as one printable line.
    pub body: Option<String>,
}

/// How a target was called.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Asked {
    /// The method.
    pub method: String,
    /// Scheme, host and port.
    pub url: String,
    /// Headers that are the hook's own; signatures and other secrets are masked.
    pub headers: Vec<(String, String)>,
}

/// The events of an attempt.
pub(crate) struct About {
    pub(crate) offsets: Vec<u64>,
    pub(crate) event_id: String,
    pub(crate) attempts_before: u16,
}

pub(crate) fn masked(name: &str, value: &str) -> (String, String) {
    let lower = name.to_ascii_lowercase();
    let secret = SECRET_HEADERS.iter().any(|part| lower.contains(part));
    let shown = if secret { MASK.to_owned() } else { printable(value.as_bytes(), LONGEST_BODY) };
    (lower, shown)
}

impl AttemptRecord {
    pub(crate) fn of(armed: &Armed, about: About, receipt: &Receipt) -> Self {
        let outcome = match &receipt.outcome {
            Outcome::Delivered => "delivered",
            Outcome::Transient { .. } => "transient",
            Outcome::Permanent => "permanent",
            Outcome::Disabled => "disabled",
            Outcome::Blocked(_) => "blocked",
        };
        let answer = receipt.answer.as_ref();
        AttemptRecord {
            id: receipt.at.nanos().unsigned_abs(),
            at: receipt.at.to_rfc3339(),
            duration_ms: u64::try_from(receipt.duration.as_millis()).unwrap_or(u64::MAX),
            offsets: about.offsets,
            event_id: about.event_id,
            attempts_before: about.attempts_before,
            outcome: outcome.to_owned(),
            error: receipt.error.as_deref().map(|error| printable(error.as_bytes(), LONGEST_BODY)),
            address: receipt.address.clone(),
            request: asked(armed),
            status: answer.map(|answer| answer.status),
            headers: answer
                .map(|answer| answer.headers.iter().map(|(n, v)| masked(n, v)).collect())
                .unwrap_or_default(),
            body: answer.map(|answer| printable(&answer.body, LONGEST_BODY)),
        }
    }

    /// For an answer.
    pub fn to_json(&self) -> Value {
        // Texts, numbers and lists of them: this cannot fail.
        serde_json::to_value(self).unwrap_or_default()
    }
}

fn asked(armed: &Armed) -> Asked {
    let Some(config) = &armed.config else { return Asked::default() };
    let own = config.headers.iter().map(|(name, value)| match armed.hook.keeps_secret(name) {
        true => (name.clone(), MASK.to_owned()),
        false => masked(name, value),
    });
    let mut headers: Vec<_> = own.collect();
    if config.auth.is_some() {
        headers.push(("authorization".to_owned(), MASK.to_owned()));
    }
    headers.extend(config.sign.custom.iter().map(|custom| (custom.header.to_ascii_lowercase(), MASK.to_owned())));
    if config.sign.kong.is_some() {
        headers.push(("x-kong-signature".to_owned(), MASK.to_owned()));
    }
    if !config.sign.standard.is_empty() {
        headers.push(("webhook-signature".to_owned(), MASK.to_owned()));
    }
    if !config.sign.klev.is_empty() {
        headers.push(("x-klev-signature".to_owned(), MASK.to_owned()));
    }
    Asked { method: config.method.to_string(), url: crate::target::shown(&config.url), headers }
}

/// Where attempts go.
#[derive(Clone)]
pub(crate) struct AttemptLog(mpsc::Sender<(Uuid, AttemptRecord)>);

impl AttemptLog {
    /// The log, and what writes it.
    pub(crate) fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> (Self, Writer) {
        let (sender, attempts) = mpsc::channel(WAITING);
        (AttemptLog(sender), Writer { store, clock, attempts, kept: HashMap::new() })
    }

    /// Writes an attempt down, soon; not at all when too many wait.
    pub(crate) fn add(&self, hook: Uuid, record: AttemptRecord) {
        let _ = self.0.try_send((hook, record));
    }
}

/// The attempts of a hook behind `after`, the oldest first.
pub(crate) async fn read(
    store: &dyn Store,
    hook: Uuid,
    after: Option<u64>,
    most: usize,
) -> Result<Vec<AttemptRecord>, StoreError> {
    let from = after.map_or_else(|| keys::attempts(hook), |after| keys::attempt(hook, after).after());
    let found = store.range(Table::State, from, keys::attempts(hook).end(), most).await?;
    Ok(found.iter().filter_map(|(_, value)| serde_json::from_slice(value).ok()).collect())
}

/// One attempt.
pub(crate) async fn find(store: &dyn Store, hook: Uuid, id: u64) -> Result<Option<AttemptRecord>, StoreError> {
    let key = keys::attempt(hook, id);
    let found = store.range(Table::State, key.clone(), key.after(), 1).await?;
    Ok(found.first().and_then(|(_, value)| serde_json::from_slice(value).ok()))
}

/// Removes all that is kept of a hook.
pub(crate) async fn clear(store: &dyn Store, hook: Uuid) -> Result<(), StoreError> {
    loop {
        let all = keys::attempts(hook);
        let found = store.range(Table::State, all.clone(), all.end(), AT_ONCE).await?;
        if found.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::new();
        found.into_iter().for_each(|(key, _)| batch.unset(Table::State, key));
        store.commit(batch, Durability::Written).await?;
    }
}

/// Writes attempts down, and drops old ones.
pub(crate) struct Writer {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    attempts: mpsc::Receiver<(Uuid, AttemptRecord)>,
    /// Number and size of what is kept, for hooks that were tried since the start.
    kept: HashMap<Uuid, VecDeque<(u64, usize)>>,
}

impl Writer {
    /// Until the daemon stops.
    pub(crate) async fn run(mut self, mut stop: Stop) {
        let mut waiting = Vec::new();
        let (clock, mut next) = (self.clock.clone(), self.clock.now());
        loop {
            tokio::select! {
                biased;
                count = self.attempts.recv_many(&mut waiting, AT_ONCE) => if count == 0 { return },
                () = stop.requested() => return,
                () = clock.sleep_until(next) => {
                    next = clock.now() + SWEPT_EVERY;
                    if let Err(error) = self.sweep().await {
                        tracing::warn!("old attempts of event hooks were not removed: {error}");
                    }
                }
            }
            if let Err(error) = self.write(std::mem::take(&mut waiting)).await {
                tracing::warn!("attempts of event hooks were not written down: {error}");
            }
        }
    }

    async fn write(&mut self, attempts: Vec<(Uuid, AttemptRecord)>) -> Result<(), StoreError> {
        let (mut batch, oldest) = (Batch::new(), self.oldest());
        for (hook, mut record) in attempts {
            if !self.kept.contains_key(&hook) {
                let known = self.known(hook).await?;
                self.kept.insert(hook, known);
            }
            let Some(kept) = self.kept.get_mut(&hook) else { continue };
            if let Some((last, _)) = kept.back() {
                record.id = record.id.max(last + 1);
            }
            let value = serde_json::to_vec(&record).unwrap_or_default();
            kept.push_back((record.id, value.len()));
            batch.set(Table::State, keys::attempt(hook, record.id), value);
            let mut bytes: usize = kept.iter().map(|(_, size)| size).sum();
            while let Some((id, size)) = kept.front().copied() {
                let fits = kept.len() <= MOST && bytes <= MOST_BYTES;
                if fits && id >= oldest {
                    break;
                }
                kept.pop_front();
                bytes -= size;
                batch.unset(Table::State, keys::attempt(hook, id));
            }
        }
        self.store.commit(batch, Durability::Written).await.map(drop)
    }

    /// The number of the oldest that is kept: numbers are times.
    fn oldest(&self) -> u64 {
        (self.clock.now() - MAX_AGE).nanos().unsigned_abs()
    }

    /// Drops what has become too old.
    async fn sweep(&mut self) -> Result<(), StoreError> {
        let oldest = self.oldest();
        let (mut from, end) = (keys::all_attempts(), keys::all_attempts().end());
        while let Some((key, _)) = self.store.range(Table::State, from, end.clone(), 1).await?.pop() {
            let Some(hook) = keys::attempt_hook(&key) else { break };
            loop {
                let range = (keys::attempts(hook), keys::attempt(hook, oldest));
                let old = self.store.range(Table::State, range.0, range.1, AT_ONCE).await?;
                if old.is_empty() {
                    break;
                }
                let mut batch = Batch::new();
                old.into_iter().for_each(|(key, _)| batch.unset(Table::State, key));
                self.store.commit(batch, Durability::Written).await?;
            }
            from = keys::attempts(hook).end();
        }
        self.kept.values_mut().for_each(|kept| kept.retain(|(id, _)| *id >= oldest));
        self.kept.retain(|_, kept| !kept.is_empty());
        Ok(())
    }

    async fn known(&self, hook: Uuid) -> Result<VecDeque<(u64, usize)>, StoreError> {
        let all = keys::attempts(hook);
        let found = self.store.range(Table::State, all.clone(), all.end(), 2 * MOST).await?;
        Ok(found.iter().filter_map(|(key, value)| Some((keys::attempt_number(key)?, value.len()))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use waybill_runtime::ManualClock;
    use waybill_spool::MemoryStore;
    use waybill_types::Timestamp;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
    const HOOK: Uuid = Uuid::from_u128(7);

    fn record(at: Timestamp, body: &str) -> AttemptRecord {
        AttemptRecord {
            id: at.nanos().unsigned_abs(),
            at: at.to_rfc3339(),
            duration_ms: 1,
            offsets: vec![1],
            event_id: "x".to_owned(),
            attempts_before: 0,
            outcome: "delivered".to_owned(),
            error: None,
            address: None,
            request: Asked::default(),
            status: Some(200),
            headers: Vec::new(),
            body: Some(body.to_owned()),
        }
    }

    fn ground() -> (Arc<MemoryStore>, ManualClock, Writer) {
        let (store, clock) = (Arc::new(MemoryStore::new()), ManualClock::at(NOW));
        let (_, writer) = AttemptLog::new(store.clone(), Arc::new(clock.clone()));
        (store, clock, writer)
    }

    async fn kept(store: &MemoryStore, hook: Uuid) -> Vec<AttemptRecord> {
        read(store, hook, None, usize::MAX).await.expect("a store")
    }

    fn later(secs: u64) -> Timestamp {
        NOW + Duration::from_secs(secs)
    }

    #[tokio::test]
    async fn of_a_hook_the_last_attempts_are_kept_up_to_a_number_and_a_size() {
        let (store, _, mut writer) = ground();
        let many = (0..MOST as u64 + 5).map(|number| (HOOK, record(later(number), ""))).collect();
        writer.write(many).await.expect("a store");
        let found = kept(&store, HOOK).await;
        assert_eq!((found.len(), found[0].id), (MOST, later(5).nanos().unsigned_abs()));
        let long = "x".repeat(MOST_BYTES / 4);
        for number in 0..5 {
            writer.write(vec![(HOOK, record(later(10_000 + number), &long))]).await.expect("a store");
        }
        assert_eq!(kept(&store, HOOK).await.len(), 3, "a fourth would not fit");
        // What was there before a restart counts.
        let (_, mut again) = AttemptLog::new(store.clone(), writer.clock.clone());
        again.write(vec![(HOOK, record(later(20_000), &long))]).await.expect("a store");
        let found = kept(&store, HOOK).await;
        assert_eq!((found.len(), found[0].id), (3, later(10_003).nanos().unsigned_abs()));
    }

    #[tokio::test]
    async fn what_is_too_old_goes_although_nothing_comes_after_it() {
        let (store, clock, mut writer) = ground();
        let other = Uuid::from_u128(8);
        let attempts = vec![(HOOK, record(NOW, "")), (HOOK, record(later(60), "")), (other, record(NOW, ""))];
        writer.write(attempts).await.expect("a store");
        clock.set(NOW + MAX_AGE);
        writer.sweep().await.expect("a store");
        assert_eq!((kept(&store, HOOK).await.len(), kept(&store, other).await.len()), (2, 1), "just not too old");
        clock.set(NOW + MAX_AGE + Duration::from_secs(1));
        writer.sweep().await.expect("a store");
        assert_eq!((kept(&store, HOOK).await.len(), kept(&store, other).await.len()), (1, 0));
        writer.write(vec![(HOOK, record(clock.now(), ""))]).await.expect("a store");
        assert_eq!(kept(&store, HOOK).await.len(), 2);
    }
}
