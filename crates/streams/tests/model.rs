//! Seeded: a log that is published to, trimmed, compacted and expired while consumers of every pace and egress webhooks read
//! it. Nobody sees anything twice, out of order or changed, and what was never dropped everybody gets.

mod world;

use futures::future::join_all;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use world::World;

/// Numbers from a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

/// Key and value of a message; its offset stands in its value, so that a mixed up one shows.
type Said = (Option<String>, Option<String>);

fn said(message: &Value) -> Said {
    let text = |name: &str| message[name].as_str().map(str::to_owned);
    (text("key"), text("value"))
}

/// Reads to `end` with pauses, and gives what it saw.
async fn consumer(world: &World, log: &str, mut dice: Dice, end: u64) -> BTreeMap<u64, Said> {
    let (mut at, mut seen) = (0, BTreeMap::new());
    while at < end {
        for _ in 0..dice.below(60) {
            tokio::task::yield_now().await;
        }
        let path = format!("/messages/{log}?offset={at}&len={}&poll=20", 1 + dice.below(9));
        let (status, page) = world.ask("GET", &path, None).await;
        assert_eq!(status, 200, "{page}");
        let mut from = at;
        for message in page["messages"].as_array().unwrap() {
            let offset = message["offset"].as_u64().unwrap();
            assert!(offset >= from, "{offset} came behind {from}");
            from = offset + 1;
            assert!(seen.insert(offset, said(message)).is_none());
        }
        let next = page["next_offset"].as_u64().unwrap();
        assert!(next >= from && next >= at, "it moves forward");
        at = next;
    }
    seen
}

/// Publishes and drops at random; gives what was published, by offset.
async fn owner(world: &World, log: &str, dice: &mut Dice, end: u64) -> Vec<Said> {
    let mut published: Vec<Said> = Vec::new();
    while (published.len() as u64) < end {
        let messages: Vec<Value> = (0..=dice.below(7).min(end - published.len() as u64 - 1))
            .map(|_| {
                let key = (dice.below(5) > 0).then(|| format!("key {}", dice.below(6)));
                let value = (dice.below(6) > 0).then(|| format!("value {}", published.len()));
                published.push((key.clone(), value.clone()));
                json!({"key": key, "value": value})
            })
            .collect();
        let answer = world.post(&format!("/messages/{log}"), json!({"messages": messages})).await;
        assert_eq!(answer["next_offset"], published.len());
        world.clock.set(world.clock_now() + Duration::from_secs(dice.below(3)));
        let rule = match dice.below(8) {
            0 => json!({"trim_count": 10 + dice.below(40)}),
            1 => json!({"trim_size": 500 + dice.below(1500)}),
            2 => json!({"trim_seconds": 5 + dice.below(30)}),
            3 | 4 => json!({"compact_seconds": 1 + dice.below(5)}),
            5 => json!({"expire_seconds": 1 + dice.below(5)}),
            _ => Value::Null,
        };
        if !rule.is_null() {
            let (status, answer) = world.ask("DELETE", &format!("/messages/{log}"), Some(rule)).await;
            assert_eq!(status, 200, "{answer}");
        }
        for _ in 0..dice.below(20) {
            tokio::task::yield_now().await;
        }
    }
    published
}

async fn run(seed: u64) {
    const END: u64 = 300;
    let world = World::new().await;
    let mut dice = Dice(seed);
    let log = world.log(json!({"compacting": true})).await;
    let strict = world.egress(&log, json!({})).await;
    let consumers = join_all((0..3).map(|number| consumer(&world, &log, Dice(seed * 31 + number), END)));
    let (published, seen_by_each) = futures::join!(owner(&world, &log, &mut dice, END), consumers);
    let path = format!("/messages/{log}?len=1000");
    let left: BTreeMap<u64, Said> = world.get(&path).await["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| (message["offset"].as_u64().unwrap(), said(message)))
        .collect();
    assert_eq!(world.get(&format!("/log/{log}/stats")).await["count"], left.len());
    for seen in seen_by_each {
        for (offset, said) in &seen {
            assert_eq!(*said, published[*offset as usize], "seed {seed}: message {offset} is another one");
        }
        for (offset, said) in &left {
            assert_eq!(seen.get(offset), Some(said), "seed {seed}: message {offset} was there all the time");
        }
    }
    let status = world.until(&strict, |status| status["next_offset"] == END).await;
    let sent = world.post.offsets();
    assert!(sent.windows(2).all(|pair| pair[0] < pair[1]), "seed {seed}: {sent:?}");
    assert!(left.keys().all(|offset| sent.contains(offset)), "seed {seed}");
    assert_eq!(sent.len() as u64 + status["skipped"].as_u64().unwrap(), END, "seed {seed}: sent or counted, each");
    // The key index points at the last message of each key, or at none where that is gone: an expired one had ended its key.
    let mut newest = BTreeMap::new();
    for (offset, (key, _)) in (0..).zip(&published) {
        newest.extend(key.clone().map(|key| (key, offset)));
    }
    newest.retain(|_, offset| left.contains_key(offset));
    for number in 0..6 {
        let key = format!("key {number}");
        let (_, found) = world.ask("POST", &format!("/message/{log}/key"), Some(json!({"key": key}))).await;
        assert_eq!(found["offset"].as_u64(), newest.get(&key).copied(), "seed {seed}, {key}: {found}");
    }
    world.end().await;
}

#[tokio::test]
async fn whoever_reads_while_a_log_is_trimmed_and_compacted_gets_what_is_left_in_order_and_unchanged() {
    for seed in 1..=12 {
        run(seed).await;
    }
}
