//! A hundred thousand messages through an egress webhook whose receiver fails at random: each arrives, in order.

mod world;

use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use waybill_runtime::Clock;
use waybill_spool::MemoryStore;
use waybill_streams_core::Limits;
use world::{Open, World};

const MESSAGES: u64 = 100_000;
const KEYS: u64 = 50;

/// The key of a message; one in ten has none.
fn key_of(offset: u64) -> Option<u64> {
    (!offset.is_multiple_of(10)).then_some(offset * 7919 % KEYS)
}

/// Publishes them all while an endpoint fails once in a while; gives each attempt with its status.
async fn attempts(mode: &str, one_in: u64) -> Vec<(u64, u16)> {
    let world = World::over(Arc::new(MemoryStore::new()), Limits::default(), Arc::new(Open)).await;
    let log = world.log(json!({})).await;
    let webhook = world.egress(&log, json!({"mode": mode})).await;
    world.post.fails_one_in(one_in);
    for from in (0..MESSAGES).step_by(1000) {
        let message = |offset: u64| match key_of(offset) {
            Some(key) => json!({"key": key.to_string(), "value": "x"}),
            None => json!({"value": "x"}),
        };
        let messages: Vec<_> = (from..from + 1000).map(message).collect();
        world.post(&format!("/messages/{log}"), json!({"messages": messages})).await;
    }
    // Time goes by as fast as it may: nobody waits for a retry.
    loop {
        let status = world.get(&format!("/egress_webhook/{webhook}/status")).await;
        if status["next_offset"] == MESSAGES && status["parked"].as_u64().unwrap_or(0) == 0 {
            break;
        }
        world.clock.set(world.clock.now() + Duration::from_secs(700));
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }
    let outcomes = world.post.outcomes();
    world.end().await;
    outcomes
}

/// Each arrives; behind a success comes the next, behind a failure the same again.
fn in_order(attempts: impl IntoIterator<Item = (u64, u16)>, wanted: impl IntoIterator<Item = u64>) -> u64 {
    let mut wanted = wanted.into_iter();
    let (mut next, mut failures) = (wanted.next(), 0);
    for (offset, status) in attempts {
        assert_eq!(Some(offset), next, "it is not its turn");
        match status {
            200 => next = wanted.next(),
            _ => failures += 1,
        }
    }
    assert_eq!(next, None, "not all arrived");
    failures
}

#[tokio::test]
async fn a_hundred_thousand_messages_arrive_strictly_in_order_and_repeat_only_behind_a_failure() {
    let failures = in_order(attempts("strict", 500).await, 0..MESSAGES);
    assert!(failures > 100, "{failures}");
}

#[tokio::test]
async fn a_hundred_thousand_messages_arrive_in_the_order_of_each_key_and_a_stuck_key_holds_up_no_other() {
    let attempts = attempts("parallel_by_key", 50).await;
    let mut of: HashMap<Option<u64>, Vec<(u64, u16)>> = HashMap::new();
    for (offset, status) in &attempts {
        of.entry(key_of(*offset)).or_default().push((*offset, *status));
    }
    let mut failures = 0;
    for key in 0..KEYS {
        let wanted = (0..MESSAGES).filter(|offset| key_of(*offset) == Some(key));
        failures += in_order(of.remove(&Some(key)).unwrap_or_default(), wanted);
    }
    assert!(failures > 1000, "{failures}");
    let mut alone: Vec<u64> =
        of.remove(&None).unwrap().into_iter().filter(|(_, s)| *s == 200).map(|(o, _)| o).collect();
    alone.sort_unstable();
    assert!(alone.into_iter().eq((0..MESSAGES).filter(|offset| key_of(*offset).is_none())), "each without a key once");
    // Some key waited while others went on: what arrived is not in the order of offsets.
    let arrived: Vec<u64> = attempts.iter().filter(|(_, status)| *status == 200).map(|(offset, _)| *offset).collect();
    let overtaken = arrived.windows(2).filter(|pair| pair[0] > pair[1] + 100).count();
    assert!(overtaken > 100, "{overtaken}");
}
