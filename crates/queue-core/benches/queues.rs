//! What the pure queues cost. Run: `cargo bench -p waybill-queue-core`.
//!
//! Prints the mean time of each step; put the machine's name beside every number that you quote. The due index is shown
//! at several sizes: its times may grow with the logarithm, and no faster.

use std::hint::black_box;
use std::time::{Duration, Instant};

use waybill_queue_core::due::DueIndex;
use waybill_queue_core::ready::{BatchPolicy, Fate, PathLimits, ReadyAction, ReadyEvent, ReadyQueues, SessionId};
use waybill_types::{QueueName, ReadyQueueName, Timestamp};

fn report(what: &str, times: usize, elapsed: Duration) {
    println!("{what:<52} {:>10.1} ns", elapsed.as_secs_f64() * 1e9 / times as f64);
}

/// Times that come in no order.
fn due(at: usize) -> Timestamp {
    Timestamp::from_secs(1_700_000_000) + Duration::from_millis((at.wrapping_mul(2_654_435_761) % 10_000_000) as u64)
}

fn due_index(size: usize) {
    const TIMES: usize = 100_000;
    let mut index = DueIndex::new();
    for at in 0..size {
        index.insert(due(at), at);
    }
    let begin = Instant::now();
    let keys: Vec<_> = (size..size + TIMES).map(|at| index.insert(due(at), at)).collect();
    report(&format!("insert into a due index of {size}"), TIMES, begin.elapsed());
    let begin = Instant::now();
    for key in keys {
        black_box(index.remove(key));
    }
    report("  remove from it", TIMES, begin.elapsed());
    let begin = Instant::now();
    let popped = (0..TIMES.min(size)).filter(|_| black_box(index.pop_due(Timestamp::MAX)).is_some()).count();
    report("  pop what is due", popped, begin.elapsed());
}

/// An item from its offer to the end of its batch, over sessions that answer at once.
fn ready_queue(batch: BatchPolicy) {
    const ITEMS: u32 = 200_000;
    let (path, lane) = (ReadyQueueName::new("unspecified->hook@lua:make"), QueueName::new("hook.log_hook"));
    let now = Timestamp::from_secs(1_700_000_000);
    let (mut queues, mut actions) = (ReadyQueues::<u32>::new(), Vec::new());
    let limits = PathLimits {
        max_ready: usize::MAX,
        connection_limit: 10,
        max_deliveries_per_connection: usize::MAX,
        ..PathLimits::default()
    };
    queues.step(now, ReadyEvent::Configure { queue: path.clone(), limits: Box::new(limits), batch }, &mut actions);
    let begin = Instant::now();
    for item in 0..ITEMS {
        let place = queues.reserve(&path, now).expect("there is room");
        queues.redeem(place, item, lane.clone(), now);
    }
    let mut answers: Vec<ReadyEvent> = vec![ReadyEvent::Redeemed];
    let mut done = 0;
    while let Some(answer) = answers.pop() {
        queues.step(now, answer, &mut actions);
        answers.extend(actions.drain(..).filter_map(|action| answer_to(&action, &mut done)));
    }
    report(&format!("an item through a ready queue, batches of {}", batch.batch_size()), done, begin.elapsed());
    assert_eq!(done, ITEMS as usize);
}

fn answer_to(action: &ReadyAction<u32>, done: &mut usize) -> Option<ReadyEvent> {
    let session: SessionId = match action {
        ReadyAction::Open { session, .. } => return Some(ReadyEvent::SessionReady { session: *session }),
        ReadyAction::Hand { session, items, .. } => {
            *done += items.len();
            *session
        }
        _ => return None,
    };
    Some(ReadyEvent::Finished { session, fate: Fate::Keep })
}

fn main() {
    for size in [1_000, 100_000, 1_000_000] {
        due_index(size);
    }
    ready_queue(BatchPolicy::single());
    ready_queue(BatchPolicy::new(100, 1, Duration::ZERO));
}
