//! A hundred thousand messages through an egress webhook whose receiver fails at random, while its daemon dies at random: each
//! arrives, in order, and comes again only behind a failure or a death.

mod world;

use serde_json::json;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use waybill_runtime::Clock;
use waybill_spool::{CrashingStore, LastWrite, MemoryStore, Store};
use waybill_streams_core::Limits;
use world::{Open, Step, World};

const MESSAGES: u64 = 100_000;
const KEYS: u64 = 50;
/// Writes of a daemon's life, at most: about as many attempts end in it.
const LIFE: u64 = 8_000;

/// The key of a message; one in ten has none.
fn key_of(offset: u64) -> Option<u64> {
    (!offset.is_multiple_of(10)).then_some(offset * 7919 % KEYS)
}

/// Numbers from a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

async fn open(store: Arc<dyn Store>) -> World {
    World::over(store, Limits::default(), Arc::new(Open)).await
}

/// Sends them all through a webhook of this mode while its endpoint fails once in a while, and its daemon dies; gives all
/// that the endpoint saw.
async fn sent(mode: &str, one_in: u64) -> Vec<Step> {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let world = open(store.clone()).await;
    let log = world.log(json!({})).await;
    for from in (0..MESSAGES).step_by(1000) {
        let message = |offset: u64| match key_of(offset) {
            Some(key) => json!({"key": key.to_string(), "value": "x"}),
            None => json!({"value": "x"}),
        };
        let messages: Vec<_> = (from..from + 1000).map(message).collect();
        world.post(&format!("/messages/{log}"), json!({"messages": messages})).await;
    }
    let webhook = world.egress(&log, json!({"mode": mode, "offset": -2})).await;
    let mut seen = ended(world).await;
    let mut dice = Dice(29);
    loop {
        let last = if dice.below(2) == 0 { LastWrite::Lost } else { LastWrite::Unacknowledged };
        let at = usize::try_from(1 + dice.below(LIFE)).unwrap();
        let mortal = Arc::new(CrashingStore::over(store.clone(), at, last));
        let world = open(mortal.clone()).await;
        world.post.dies_with(mortal.clone());
        world.post.fails_one_in(one_in, dice.below(1 << 30));
        let is_done = live(&world, &mortal, &webhook).await;
        seen.extend(ended(world).await);
        if is_done {
            return seen;
        }
        seen.push(Step::Dies);
    }
}

/// Ends a daemon; gives what its endpoint saw of it.
async fn ended(world: World) -> Vec<Step> {
    let post = world.post.clone();
    world.end().await;
    post.steps()
}

/// One life of a daemon. Time goes by as fast as it may: nobody waits for a retry. Whether everything arrived in it.
async fn live(world: &World, store: &CrashingStore, webhook: &str) -> bool {
    let path = format!("/egress_webhook/{webhook}/status");
    loop {
        let (_, status) = world.ask("GET", &path, None).await;
        if store.is_crashed() {
            return false;
        }
        if status["next_offset"] == MESSAGES && status["parked"].as_u64().unwrap_or(0) == 0 {
            return true;
        }
        world.clock.set(world.clock.now() + Duration::from_secs(700));
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }
}

/// What an endpoint saw of some messages.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Tally {
    failures: usize,
    /// Came again behind a death, though it had arrived.
    repeated: usize,
}

/// One after another: behind a success comes the next, behind a failure the same again, and behind a death what was under
/// way then.
fn in_order(steps: impl IntoIterator<Item = Step>, wanted: impl IntoIterator<Item = u64>) -> Tally {
    let mut wanted = wanted.into_iter();
    let (mut next, mut arrived, mut tally) = (wanted.next(), None, Tally::default());
    let (mut under_way, mut has_died) = (None, false);
    for step in steps {
        match step {
            Step::Dies => (under_way, has_died) = (None, true),
            Step::Begins(offset) => {
                assert_eq!(under_way.replace(offset), None, "{offset} does not wait for its turn");
                assert!(Some(offset) == next || has_died && arrived == Some(offset), "{offset}, not {next:?}");
                has_died &= Some(offset) != next;
            }
            Step::Ends(offset, status) => {
                assert_eq!(under_way.take(), Some(offset));
                match status {
                    200 if Some(offset) == next => (arrived, next) = (next, wanted.next()),
                    200 => (tally.repeated, has_died) = (tally.repeated + 1, false),
                    _ => tally.failures += 1,
                }
            }
        }
    }
    assert_eq!(next, None, "not all arrived");
    tally
}

fn deaths(steps: &[Step]) -> usize {
    steps.iter().filter(|step| **step == Step::Dies).count()
}

#[tokio::test]
async fn a_hundred_thousand_messages_arrive_strictly_in_order_and_repeat_only_behind_a_failure_or_a_death() {
    let steps = sent("strict", 500).await;
    let deaths = deaths(&steps);
    let Tally { failures, repeated } = in_order(steps, 0..MESSAGES);
    assert!(failures > 100 && deaths > 10, "{failures} failures, {deaths} deaths");
    assert!((1..=deaths).contains(&repeated), "{repeated} came again behind {deaths} deaths");
}

#[tokio::test]
async fn a_hundred_thousand_messages_arrive_in_the_order_of_each_key_and_a_stuck_key_holds_up_no_other() {
    let steps = sent("parallel_by_key", 50).await;
    let deaths = deaths(&steps);
    // Those of one key stand to each other as all do in the other mode.
    let mut of: HashMap<Option<u64>, Vec<Step>> = HashMap::new();
    let (mut under_way, mut most) = (0, 0);
    for step in &steps {
        match step {
            Step::Begins(offset) | Step::Ends(offset, _) => of.entry(key_of(*offset)).or_default().push(*step),
            Step::Dies => of.values_mut().for_each(|steps| steps.push(*step)),
        }
        under_way = match step {
            Step::Begins(_) => under_way + 1,
            Step::Ends(..) => under_way - 1,
            Step::Dies => 0,
        };
        most = most.max(under_way);
    }
    assert_eq!(most, 16, "as many as may be, and no more");
    let mut all = Tally::default();
    for key in 0..KEYS {
        let wanted = (0..MESSAGES).filter(|offset| key_of(*offset) == Some(key));
        let Tally { failures, repeated } = in_order(of.remove(&Some(key)).unwrap_or_default(), wanted);
        all = Tally { failures: all.failures + failures, repeated: all.repeated + repeated };
    }
    assert!(all.failures > 1000 && deaths > 10, "{all:?}, {deaths} deaths");
    let arrived = |step: &Step| match step {
        Step::Ends(offset, 200) => Some(*offset),
        _ => None,
    };
    let alone: Vec<u64> = of.remove(&None).unwrap().iter().filter_map(arrived).collect();
    let once: BTreeSet<u64> = alone.iter().copied().collect();
    assert!(once.into_iter().eq((0..MESSAGES).filter(|offset| key_of(*offset).is_none())), "each without a key too");
    let arrivals: Vec<u64> = steps.iter().filter_map(arrived).collect();
    let repeated = arrivals.len() - usize::try_from(MESSAGES).unwrap();
    assert!(repeated >= all.repeated && repeated <= deaths * 16, "{repeated} came again behind {deaths} deaths");
    // Some key waited while others went on: what arrived is not in the order of offsets.
    let overtaken = arrivals.windows(2).filter(|pair| pair[0] > pair[1] + 100).count();
    assert!(overtaken > 100, "{overtaken}");
}
