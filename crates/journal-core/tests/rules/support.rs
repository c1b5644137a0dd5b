//! A consumer whose driver is the test.

use std::time::Duration;
use waybill_journal_core::{Action, Consumer, Event, LaneConfig, Outcome, Read, RowKey, Verdict, Write};
use waybill_queue_core::retry::{Jitter, RetryPolicy};
use waybill_types::{Offset, QueueName, Timestamp};

pub(crate) const MINUTE: Duration = Duration::from_secs(60);

pub(crate) fn now() -> Timestamp {
    Timestamp::from_secs(1_700_000_000)
}

pub(crate) fn config(capacity: usize) -> LaneConfig {
    let jitter = Jitter::WholeSeconds;
    let retry = RetryPolicy { retry_interval: MINUTE, max_retry_interval: None, max_age: 10 * MINUTE, jitter };
    LaneConfig { retry, capacity, rate: None }
}

pub(crate) fn transient() -> Outcome {
    Outcome::Transient { retry_after: None, unit: 0.5 }
}

pub(crate) struct Bench {
    pub(crate) consumer: Consumer,
    pub(crate) actions: Vec<Action>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Bench { consumer: Consumer::new(Offset::ZERO, 4), actions: Vec::new() }
    }

    pub(crate) fn tell(&mut self, at: Timestamp, event: Event) -> Vec<Action> {
        let before = self.actions.len();
        self.consumer.step(at, event, &mut self.actions);
        self.actions[before..].to_vec()
    }

    /// Appends events from `from` on, one for each lane name.
    pub(crate) fn append(&mut self, from: u64, lanes: &[&str], capacity: usize) -> Vec<Action> {
        self.append_with(from, lanes, config(capacity))
    }

    pub(crate) fn append_with(&mut self, from: u64, lanes: &[&str], config: LaneConfig) -> Vec<Action> {
        let before = self.actions.len();
        let next = Offset(from + lanes.len() as u64);
        self.tell(now(), Event::Visible(next));
        let events = (from..next.0).map(|n| (Offset(n), now())).collect();
        self.tell(now(), Event::Read(Read { events, next }));
        for (i, lane) in lanes.iter().enumerate() {
            let verdict = Verdict::Lane(QueueName::new(*lane), config);
            self.tell(now(), Event::Judged { offset: Offset(from + i as u64), verdict });
        }
        self.actions[before..].to_vec()
    }

    pub(crate) fn finish(&mut self, at: Timestamp, offset: u64, outcome: Outcome) -> Vec<Action> {
        self.tell(at, Event::Finished { results: vec![(Offset(offset), outcome)] })
    }
}

pub(crate) fn offers(actions: &[Action]) -> Vec<u64> {
    let offered = |action: &Action| match action {
        Action::Offer { offset, .. } => Some(offset.0),
        _ => None,
    };
    actions.iter().filter_map(offered).collect()
}

pub(crate) fn writes(actions: &[Action]) -> Vec<&Write> {
    fn write(action: &Action) -> Option<&Write> {
        match action {
            Action::Write(write) => Some(write),
            _ => None,
        }
    }
    actions.iter().filter_map(write).collect()
}

pub(crate) fn lane(name: &str) -> QueueName {
    QueueName::new(name)
}

/// Place and attempts of every row that was put.
pub(crate) fn rows(actions: &[Action]) -> Vec<(RowKey, u16)> {
    let put = |write: &Write| match write {
        Write::PutRow { key, attempt, .. } => Some((*key, attempt.attempts)),
        _ => None,
    };
    writes(actions).into_iter().filter_map(put).collect()
}

pub(crate) fn woken_at(actions: &[Action]) -> Option<Timestamp> {
    let wake = |action: &Action| match action {
        Action::WakeAt(at) => Some(*at),
        _ => None,
    };
    actions.iter().rev().find_map(wake)
}
