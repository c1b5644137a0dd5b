//! Secrets of webhooks in the store: sealed for their row.

mod world;

use serde_json::json;
use std::sync::Arc;
use waybill_sealing::{Key, KeyId, Keyring, Sealed};
use waybill_spool::{Batch, MemoryStore, Store, Table};
use waybill_streams_core::Limits;
use world::{Open, World};

const SECRET: &str = "hunter2-hunter2";

async fn open(store: &MemoryStore, keys: Option<&Arc<Keyring>>) -> Result<World, String> {
    without(store, keys, Vec::new()).await
}

async fn without(store: &MemoryStore, keys: Option<&Arc<Keyring>>, lost: Vec<KeyId>) -> Result<World, String> {
    let world = World::sealed(Arc::new(store.clone()), Limits::default(), Arc::new(Open), keys.cloned(), lost);
    world.await.map_err(|error| error.to_string())
}

fn ring() -> Arc<Keyring> {
    Arc::new(Keyring::of(Key::random().unwrap()))
}

/// The rows of secrets, whole.
async fn rows(store: &MemoryStore) -> Vec<(waybill_spool::Key, bytes::Bytes)> {
    let from = waybill_spool::Key::new();
    let all = store.range(Table::State, from.clone(), from.end(), usize::MAX).await.unwrap();
    all.into_iter().filter(|(key, _)| format!("{key:?}").contains("gress-keys")).collect()
}

async fn shows(store: &MemoryStore, secret: &str) -> bool {
    let from = waybill_spool::Key::new();
    let all = store.range(Table::State, from.clone(), from.end(), usize::MAX).await.unwrap();
    all.iter().any(|(_, value)| String::from_utf8_lossy(value).contains(secret))
}

/// A world with a webhook of each kind; gives what the egress webhook signs with.
async fn fill(world: &World) -> (String, String) {
    let log = world.log(json!({})).await;
    let made = world.post("/egress_webhooks", json!({"log_id": log, "destination": "https://hooks.example/in"})).await;
    world.post("/ingress_webhooks", json!({"log_id": log, "type": "gitHub", "secret": SECRET})).await;
    (log, made["secret"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn with_keys_no_secret_stands_in_the_store_and_webhooks_sign_after_a_restart() {
    let (store, keys) = (MemoryStore::new(), ring());
    let world = open(&store, Some(&keys)).await.unwrap();
    let (log, egress) = fill(&world).await;
    assert!(!shows(&store, &egress).await && !shows(&store, SECRET).await);
    world.end().await;
    let world = open(&store, Some(&keys)).await.unwrap();
    world.say(&log, "x").await;
    let webhook = world.get("/egress_webhooks").await["egress_webhooks"][0]["webhook_id"].as_str().unwrap().to_owned();
    world.until(&webhook, |status| status["next_offset"] == 1).await;
    assert_eq!(world.post.got()[0].4, 1, "signed with the secret that was opened");
    world.end().await;
}

#[tokio::test]
async fn what_stands_in_clear_is_read_and_sealed_at_the_next_start() {
    let (store, keys) = (MemoryStore::new(), ring());
    let world = open(&store, None).await.unwrap();
    let (_, egress) = fill(&world).await;
    world.end().await;
    assert!(shows(&store, &egress).await && shows(&store, SECRET).await, "no keys: as mail is");
    open(&store, Some(&keys)).await.unwrap().end().await;
    assert!(!shows(&store, &egress).await && !shows(&store, SECRET).await);
    let sealed = rows(&store).await;
    open(&store, Some(&keys)).await.unwrap().end().await;
    assert_eq!(rows(&store).await, sealed, "once");
}

#[tokio::test]
async fn without_the_key_or_in_another_row_a_secret_stays_shut_and_that_is_told() {
    let (store, keys) = (MemoryStore::new(), ring());
    let world = open(&store, Some(&keys)).await.unwrap();
    let (log, _) = fill(&world).await;
    world.post("/ingress_webhooks", json!({"log_id": log, "type": "slack", "secret": "another"})).await;
    world.end().await;
    let why = open(&store, None).await.err().expect("it must not go on unsigned");
    assert!(why.contains("none is given"), "{why}");
    let why = open(&store, Some(&ring())).await.err().expect("another key");
    assert!(why.contains("not among the keys given"), "{why}");
    let secrets = rows(&store).await;
    let ingress: Vec<_> = secrets.iter().filter(|(key, _)| format!("{key:?}").contains("ingress")).collect();
    let mut batch = Batch::new();
    batch.set(Table::State, ingress[0].0.clone(), ingress[1].1.clone());
    store.apply(batch);
    let why = open(&store, Some(&keys)).await.err().expect("a row that was copied");
    assert!(why.contains("copied here from another row"), "{why}");
}

#[tokio::test]
async fn a_secret_whose_key_was_given_up_is_replaced_and_its_webhook_waits_for_an_operator() {
    let (store, keys) = (MemoryStore::new(), ring());
    let world = open(&store, Some(&keys)).await.unwrap();
    let (log, egress) = fill(&world).await;
    world.end().await;
    let lost = Sealed::from_bytes(&rows(&store).await[0].1).unwrap().key();
    let other = ring();
    let world = without(&store, Some(&other), vec![lost]).await.unwrap();
    world.say(&log, "x").await;
    let webhook = world.get("/egress_webhooks").await["egress_webhooks"][0]["webhook_id"].as_str().unwrap().to_owned();
    world.until(&webhook, |status| status["active"] == false && status["lag_count"] == 1).await;
    assert!(world.post.got().is_empty());
    world.end().await;
    // It is said once: from now on the new key opens everything.
    let world = open(&store, Some(&other)).await.unwrap();
    assert!(!shows(&store, &egress).await);
    world.end().await;
}
