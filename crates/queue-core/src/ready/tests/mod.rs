//! One ready queue, one event at a time.

mod batches;
mod orders;
mod patience;
mod rates;
mod sessions;
mod shared;

use super::*;
use crate::reason::Reason;
use std::time::Duration;
use waybill_types::{QueueName, ReadyQueueName, Timestamp};

/// A queue with a clock that only the test moves.
struct Bench {
    queues: ReadyQueues<u32>,
    path: ReadyQueueName,
    now: Timestamp,
}

impl Bench {
    fn new(limits: PathLimits, batch: BatchPolicy) -> Self {
        let path = ReadyQueueName::new("unspecified->a.example@test");
        let mut bench = Bench { queues: ReadyQueues::new(), path, now: Timestamp::from_secs(1_700_000_000) };
        bench.configure(limits, batch);
        bench
    }

    fn single(limits: PathLimits) -> Self {
        Bench::new(limits, BatchPolicy::single())
    }

    fn configure(&mut self, limits: PathLimits, batch: BatchPolicy) -> Vec<ReadyAction<u32>> {
        let queue = self.path.clone();
        self.step(ReadyEvent::Configure { queue, limits: Box::new(limits), batch })
    }

    fn step(&mut self, event: ReadyEvent) -> Vec<ReadyAction<u32>> {
        let mut actions = Vec::new();
        self.queues.step(self.now, event, &mut actions);
        actions.retain(|action| !matches!(action, ReadyAction::WakeAt(_)));
        actions
    }

    fn after(&mut self, millis: u64) -> Vec<ReadyAction<u32>> {
        self.now = self.now + Duration::from_millis(millis);
        self.step(ReadyEvent::Tick)
    }

    fn reserve(&mut self) -> Result<Reservation, NoRoom> {
        self.queues.reserve(&self.path, self.now)
    }

    /// Puts items in and says which sessions that opens.
    fn fill(&mut self, items: std::ops::Range<u32>) -> Vec<SessionId> {
        opened(&self.fill_raw(items))
    }

    fn fill_raw(&mut self, items: std::ops::Range<u32>) -> Vec<ReadyAction<u32>> {
        for item in items {
            let place = self.reserve().unwrap();
            self.queues.redeem(place, item, QueueName::new("a.example"), self.now);
        }
        self.step(ReadyEvent::Redeemed)
    }

    fn connect(&mut self, session: SessionId) -> Vec<ReadyAction<u32>> {
        self.step(ReadyEvent::SessionReady { session })
    }

    fn finish(&mut self, session: SessionId, fate: Fate) -> Vec<ReadyAction<u32>> {
        self.step(ReadyEvent::Finished { session, fate })
    }

    fn fail(&mut self, session: SessionId) -> Vec<ReadyAction<u32>> {
        self.step(ReadyEvent::SessionFailed { session })
    }

    fn status(&self) -> ReadyStatus {
        self.queues.status(&self.path, self.now).unwrap()
    }

    fn suspend(&mut self, until: Option<Timestamp>) -> Vec<ReadyAction<u32>> {
        let order = Order { reason: "maintenance".into(), until };
        self.step(ReadyEvent::Suspend { queue: self.path.clone(), order })
    }
}

fn opened(actions: &[ReadyAction<u32>]) -> Vec<SessionId> {
    let open = |action: &ReadyAction<u32>| match action {
        ReadyAction::Open { session, .. } => Some(*session),
        _ => None,
    };
    actions.iter().filter_map(open).collect()
}

fn closed(actions: &[ReadyAction<u32>]) -> Vec<SessionId> {
    let close = |action: &ReadyAction<u32>| match action {
        ReadyAction::Close { session } => Some(*session),
        _ => None,
    };
    actions.iter().filter_map(close).collect()
}

fn handed(actions: &[ReadyAction<u32>]) -> Vec<(SessionId, Vec<u32>)> {
    let hand = |action: &ReadyAction<u32>| match action {
        ReadyAction::Hand { session, items, .. } => Some((*session, items.clone())),
        _ => None,
    };
    actions.iter().filter_map(hand).collect()
}

fn returned(actions: &[ReadyAction<u32>]) -> Vec<(u32, Reason, Option<Duration>)> {
    let give = |action: &ReadyAction<u32>| match action {
        ReadyAction::Return { item, reason, delay, .. } => Some((*item, *reason, *delay)),
        _ => None,
    };
    actions.iter().filter_map(give).collect()
}

fn limits() -> PathLimits {
    PathLimits::default()
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
