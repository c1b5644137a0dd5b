//! Killed at every write while an operator moves and bounces: nothing is lost, and nothing is in two places.

use super::{admin, request};
use crate::support::{Bench, Builder, Peer, Record, delivered, journal, secs, spooled, transient};
use serde_json::json;
use std::sync::Arc;
use waybill_spool::{Crash, CrashingStore, LastWrite};
use waybill_types::MessageId;

const MOVED: [&str; 3] = ["a@held.example", "b@held.example", "c@held.example"];
const BOUNCED: [&str; 2] = ["a@temp.example", "b@temp.example"];

fn arranged(builder: Builder) -> Bench {
    let peer = Peer::new().answering(|message, _| match message.queue_name().unwrap().as_str() {
        "moved.example" => delivered(),
        _ => transient("later"),
    });
    builder.queue_config(json!({"retry_interval": "1 day"})).peer(peer).start()
}

fn count(records: &[Record], id: MessageId, kinds: &[&str]) -> usize {
    let id = id.to_string();
    records.iter().filter(|record| record.id() == id && kinds.contains(&record.kind())).count()
}

async fn waits_for(bench: &Bench, ids: &[MessageId], kinds: &[&str]) {
    for id in ids {
        bench.sink.until(|all| count(all, *id, kinds) > 0).await;
    }
}

/// A life that is cut short; tells which messages were taken.
async fn live(store: &Arc<CrashingStore>) -> (Bench, Vec<MessageId>, Vec<MessageId>) {
    let bench = arranged(Builder::new().shared_store(store.clone()));
    let (mut moved, mut bounced) = (Vec::new(), Vec::new());
    for (recipients, ids) in [(&MOVED[..], &mut moved), (&BOUNCED[..], &mut bounced)] {
        for recipient in recipients {
            let message = bench.mail(recipient);
            if bench.accept(&message).await.is_ok() {
                ids.push(message.id());
            }
        }
    }
    let work = async {
        waits_for(&bench, &moved, &["TransientFailure"]).await;
        waits_for(&bench, &bounced, &["TransientFailure"]).await;
        let admin = admin(&bench).await;
        admin.bounce(request(json!({"reason": "r", "domain": "temp.example"}))).await;
        let data = json!({"queue": "moved.example"});
        admin.rebind(request(json!({"reason": "r", "domain": "held.example", "data": data}))).await;
        waits_for(&bench, &moved, &["Delivery"]).await;
        waits_for(&bench, &bounced, &["AdminBounce"]).await;
    };
    tokio::select! {
        () = work => {}
        () = store.crashed() => {}
    }
    bench.stop().await;
    (bench, moved, bounced)
}

#[tokio::test(start_paused = true)]
async fn whatever_write_is_the_last_no_order_loses_a_message() {
    let store = Arc::new(CrashingStore::new(Crash::NEVER));
    live(&store).await;
    let writes = store.commits();
    assert!(writes > MOVED.len() + BOUNCED.len(), "{writes}");
    for crash in Crash::everywhere(writes) {
        let store = Arc::new(CrashingStore::new(crash));
        let (bench, moved, bounced) = live(&store).await;
        let survivor = store.survivor();
        let events = journal(&*survivor).await;
        for id in moved.iter().chain(&bounced) {
            let left = count(&events, *id, &["Delivery", "AdminBounce"]);
            let found = spooled(&*survivor, *id).await;
            assert_eq!(left, usize::from(found.is_none()), "queued or told of as gone: {crash:?}");
            if let Some(found) = found {
                // In the place that its records tell of.
                let rebound = count(&events, *id, &["AdminRebind"]) == 1;
                assert_eq!(found.meta.contains_key("queue"), rebound, "{crash:?}");
            }
        }
        // The next start takes up the rest, where it is, and it can be moved on.
        let mut next = bench.restart();
        next.store = Arc::new(CrashingStore::over(survivor, usize::MAX, LastWrite::Lost));
        let next = arranged(next);
        next.spool_in().await;
        let after = admin(&next).await;
        after
            .rebind(request(json!({"reason": "rest", "data": {"queue": "moved.example"}, "always_flush": true})))
            .await;
        next.clock.advance(secs(60));
        let rest = next.store.scan(None, 100).await.unwrap();
        let rest: Vec<MessageId> = rest.iter().map(|entry| entry.id).collect();
        waits_for(&next, &rest, &["Delivery"]).await;
        assert!(next.store.scan(None, 10).await.unwrap().is_empty(), "{crash:?}");
        next.stop().await;
    }
}
