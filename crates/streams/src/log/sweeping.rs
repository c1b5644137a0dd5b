use super::head::Head;
use super::reading::{Most, Owned, Taker};
use super::{UserLog, failed};
use crate::keys;
use std::collections::HashSet;
use tokio::sync::oneshot;
use waybill_spool::{Batch, Durability, Key, StoreError, Table};
use waybill_streams_core::{Cleanup, Error, Front, Message, MessageRef, TrimScan, drops};

/// What a page looks at; it is in memory at once.
const PAGE: Most = Most { messages: 1_024, bytes: 1 << 20 };
/// Rows of small facts that a page looks at.
const FACTS: usize = 512;

/// A cleanup that goes on page by page.
pub(super) struct Sweep {
    rule: Cleanup,
    /// Set at its first page.
    now: Option<i64>,
    stage: Stage,
    freed: u64,
    answer: oneshot::Sender<Result<u64, Error>>,
}

/// Where it is. Trimming comes first: what it removes need not be looked at again.
#[derive(Clone)]
enum Stage {
    Trim,
    Compact(Key),
    Expire(Key),
}

impl Sweep {
    pub(super) fn new(rule: Cleanup, answer: oneshot::Sender<Result<u64, Error>>) -> Self {
        Sweep { rule, now: None, stage: Stage::Trim, freed: 0, answer }
    }

    pub(super) fn answer(self, result: Result<u64, Error>) {
        // Who hung up does not want to know.
        let _ = self.answer.send(result);
    }
}

/// What a page did.
enum Page {
    /// There may be more of this stage.
    More(Stage),
    Done,
}

impl UserLog {
    /// Does one page; gives the sweep back when there is more to do.
    pub(super) async fn sweep_page(&self, mut sweep: Sweep) -> Result<Option<Sweep>, StoreError> {
        let now = *sweep.now.get_or_insert_with(|| self.0.ground.clock.now().nanos() / 1000);
        let before = self.0.head.lock().stats.size;
        let number = self.0.number;
        let done = match sweep.stage.clone() {
            Stage::Trim => self.trim_page(sweep.rule, now).await,
            Stage::Compact(from) => self.compact_page(sweep.rule, from, now).await,
            Stage::Expire(from) => self.expire_page(sweep.rule, from, now).await,
        };
        let page = match done {
            Ok(page) => page,
            Err(error) => {
                sweep.answer(Err(failed(&error)));
                return Err(error);
            }
        };
        sweep.freed += before.saturating_sub(self.0.head.lock().stats.size);
        sweep.stage = match (page, sweep.stage.clone()) {
            (Page::More(stage), _) => stage,
            (Page::Done, Stage::Trim) => Stage::Compact(keys::superseded(number, 0)),
            (Page::Done, Stage::Compact(_)) => Stage::Expire(keys::valueless(number, 0)),
            (Page::Done, Stage::Expire(_)) => {
                let freed = sweep.freed;
                sweep.answer(Ok(freed));
                return Ok(None);
            }
        };
        Ok(Some(sweep))
    }

    async fn trim_page(&self, rule: Cleanup, now: i64) -> Result<Page, StoreError> {
        if rule.trim_seconds == 0 && rule.trim_size == 0 && rule.trim_count == 0 {
            return Ok(Page::Done);
        }
        let mut head = *self.0.head.lock();
        let (found, full) = self.walk(head.first..head.next, PAGE, Looked::default()).await?;
        let seen = found.taker.seen;
        let mut scan = TrimScan::new(rule, now, head.stats);
        let going = seen.iter().take_while(|one| scan.cuts(front_of(&one.message))).count();
        let Some(last) = seen[..going].last().map(|one| one.offset) else {
            return Ok(Page::Done);
        };
        let all = full && going == seen.len();
        let superseded = self.superseded_between(head.first, last + 1).await?;
        let mut batch = Batch::new();
        for one in &seen[..going] {
            self.remove(&mut batch, &mut head, one, superseded.contains(&one.offset));
        }
        head.first = last + 1;
        self.commit_sweep(batch, head).await?;
        Ok(if all { Page::More(Stage::Trim) } else { Page::Done })
    }

    async fn compact_page(&self, rule: Cleanup, from: Key, now: i64) -> Result<Page, StoreError> {
        if rule.compact_seconds == 0 {
            return Ok(Page::Done);
        }
        let number = self.0.number;
        let until = keys::superseded(number, u64::MAX);
        let facts = self.0.ground.store.range(Table::Logs, from, until, FACTS).await?;
        let mut head = *self.0.head.lock();
        let mut batch = Batch::new();
        for (key, value) in &facts {
            let (offset, front) = fact(number, "a superseded message", key, value)?;
            if drops(front.time, rule.compact_seconds, now) {
                batch.unset(Table::Logs, keys::message(number, offset));
                batch.unset(Table::Logs, key.clone());
                batch.unset(Table::Logs, keys::valueless(number, offset));
                head.remove(front.size);
            }
        }
        self.commit_sweep(batch, head).await?;
        Ok(more(&facts, Stage::Compact))
    }

    async fn expire_page(&self, rule: Cleanup, from: Key, now: i64) -> Result<Page, StoreError> {
        if rule.expire_seconds == 0 {
            return Ok(Page::Done);
        }
        let number = self.0.number;
        let until = keys::valueless(number, u64::MAX);
        let facts = self.0.ground.store.range(Table::Logs, from, until, FACTS).await?;
        let mut head = *self.0.head.lock();
        let mut batch = Batch::new();
        for (key, value) in &facts {
            let (offset, front) = fact(number, "an empty message", key, value)?;
            if !drops(front.time, rule.expire_seconds, now) {
                continue;
            }
            // They have no value: each is small, and alone in its row.
            let Some(message) = self.at(offset).await? else { continue };
            let superseded = self.superseded_between(offset, offset + 1).await?;
            let one = Seen { offset, message, ends_row: true };
            self.remove(&mut batch, &mut head, &one, superseded.contains(&offset));
        }
        self.commit_sweep(batch, head).await?;
        Ok(more(&facts, Stage::Expire))
    }

    /// Removes a message with all that finds it. The index knows its key only while it is the newest with it.
    fn remove(&self, batch: &mut Batch, head: &mut Head, one: &Seen, superseded: bool) {
        let (number, Seen { offset, message, ends_row }) = (self.0.number, one);
        let offset = *offset;
        if *ends_row {
            batch.unset(Table::Logs, keys::message(number, offset));
        }
        if superseded {
            batch.unset(Table::Logs, keys::superseded(number, offset));
        } else if let Some(key) = message.key.as_ref().filter(|_| self.0.log.read().compacting) {
            batch.unset(Table::Logs, keys::newest(number, key));
        }
        if message.value.is_none() {
            batch.unset(Table::Logs, keys::valueless(number, offset));
        }
        head.remove(message.size());
    }

    async fn superseded_between(&self, from: u64, until: u64) -> Result<HashSet<u64>, StoreError> {
        if !self.0.log.read().compacting {
            return Ok(HashSet::new());
        }
        let number = self.0.number;
        let (from, until) = (keys::superseded(number, from), keys::superseded(number, until));
        let rows = self.0.ground.store.range(Table::Logs, from, until, usize::MAX).await?;
        Ok(rows.iter().filter_map(|(key, _)| keys::offset_of(key)).collect())
    }

    /// What is removed comes back after a loss of power, as a whole, and is removed again.
    async fn commit_sweep(&self, mut batch: Batch, head: Head) -> Result<(), StoreError> {
        // A trim may end within a row: then nothing goes yet but the front.
        if batch.is_empty() && head == *self.0.head.lock() {
            return Ok(());
        }
        batch.set(Table::Logs, keys::head(self.0.number), head.encode());
        self.0.ground.store.commit(batch, Durability::Written).await?;
        *self.0.head.lock() = head;
        Ok(())
    }
}

/// A message that a page looks at.
struct Seen {
    offset: u64,
    message: Message,
    ends_row: bool,
}

/// The messages that a page looks at.
#[derive(Default)]
struct Looked {
    seen: Vec<Seen>,
    owned: Owned,
}

impl Taker for Looked {
    fn expect(&mut self, _messages: usize, _bytes: usize) {}

    fn take(&mut self, offset: u64, message: &MessageRef<'_>) {
        let ends_row = message.ends_row;
        self.seen.push(Seen { offset, message: self.owned.message(message), ends_row });
    }
}

/// What a row tells of a message.
fn fact(number: u64, what: &str, key: &Key, value: &[u8]) -> Result<(u64, Front), StoreError> {
    let damaged = || StoreError::Damaged(format!("{what} of log {number} cannot be read").into());
    keys::offset_of(key).zip(keys::front_of(value)).ok_or_else(damaged)
}

fn more<T>(facts: &[(Key, T)], stage: impl FnOnce(Key) -> Stage) -> Page {
    match facts.last() {
        Some((last, _)) if facts.len() == FACTS => Page::More(stage(last.after())),
        _ => Page::Done,
    }
}

fn front_of(message: &Message) -> Front {
    Front { time: message.time, size: message.size() }
}
