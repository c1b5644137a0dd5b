//! The orders in force, and who hears of them.

use serde::de::DeserializeOwned;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use uuid::Uuid;
use waybill_admin::{Admin, Call, Order, RecordingOwner};
use waybill_types::{QueueName, ReadyQueueName, Timestamp};

struct Bench {
    admin: Admin,
    owner: RecordingOwner,
    seconds: Arc<AtomicI64>,
}

impl Bench {
    async fn new() -> Self {
        let seconds = Arc::new(AtomicI64::new(1_700_000_000));
        let clock = seconds.clone();
        let admin = Admin::new(Arc::new(move || Timestamp::from_secs(clock.load(Ordering::Relaxed))));
        let owner = RecordingOwner::new();
        admin.add(Arc::new(owner.clone())).await;
        Bench { admin, owner, seconds }
    }

    fn after(&self, seconds: i64) {
        self.seconds.fetch_add(seconds, Ordering::Relaxed);
    }

    fn begun(&self) -> Vec<Arc<Order>> {
        let begun = |call: Call| if let Call::Begin(order) = call { Some(order) } else { None };
        self.owner.calls().into_iter().filter_map(begun).collect()
    }
}

fn request<T: DeserializeOwned>(json: serde_json::Value) -> T {
    serde_json::from_value(json).unwrap()
}

#[tokio::test]
async fn an_order_is_passed_on_listed_and_gone_after_its_time() {
    let bench = Bench::new().await;
    let id = bench
        .admin
        .bounce(request(json!({"reason": "purge", "domain": "a.example", "duration": "1m", "suppress_logging": true})))
        .await;
    let order = &bench.begun()[0];
    assert_eq!((order.id, order.bounces(&QueueName::new("t@a.example"))), (id, Some(true)));
    assert_eq!(order.bounces(&QueueName::new("b.example")), None);
    bench.owner.has_bounced("a.example", 3);
    bench.after(30);
    let listed = serde_json::to_string(&bench.admin.bounces()).unwrap();
    let expected = format!(
        r#"[{{"id":"{id}","campaign":null,"tenant":null,"domain":"a.example","routing_domain":null,"reason":"purge","duration":"30s","bounced":{{"a.example":3}},"total_bounced":3}}]"#
    );
    assert_eq!(listed, expected);
    bench.after(30);
    assert!(bench.admin.bounces().is_empty());
    assert!(!bench.admin.cancel_bounce(id).await, "it is over");
}

#[tokio::test]
async fn kinds_of_orders_are_kept_apart() {
    let bench = Bench::new().await;
    let suspension = bench.admin.suspend(request(json!({"reason": "r", "tenant": "t"}))).await;
    let ready = bench.admin.suspend_ready(request(json!({"name": "s->x@smtp_client", "reason": "r"}))).await;
    assert!(bench.begun()[0].suspends(&QueueName::new("t@a.example")));
    assert!(bench.begun()[1].suspends_ready(&ReadyQueueName::new("s->x@smtp_client")));
    assert!(!bench.admin.cancel_bounce(suspension).await && !bench.admin.cancel_suspension(ready).await);
    let listed = serde_json::to_value(bench.admin.ready_suspensions()).unwrap();
    assert_eq!(
        listed,
        json!([{"id": ready, "name": "s->x@smtp_client", "reason": "r", "duration": "5m", "expires": "2023-11-14T22:18:20Z"}])
    );
    assert!(bench.admin.cancel_suspension(suspension).await && bench.admin.cancel_ready_suspension(ready).await);
    let ended = |call: &Call| matches!(call, Call::End(_));
    assert_eq!(bench.owner.calls().iter().filter(|call| ended(call)).count(), 2);
    assert!(bench.admin.suspensions().is_empty() && bench.admin.ready_suspensions().is_empty());
    assert!(!bench.admin.cancel_suspension(Uuid::nil()).await);
}

#[tokio::test]
async fn an_owner_that_comes_later_hears_of_what_is_in_force() {
    let bench = Bench::new().await;
    bench.admin.suspend(request(json!({"reason": "over", "duration": 1}))).await;
    let id = bench.admin.suspend(request(json!({"reason": "on"}))).await;
    bench.after(2);
    let late = RecordingOwner::new();
    bench.admin.add(Arc::new(late.clone())).await;
    let calls = late.calls();
    assert!(matches!(&calls[..], [Call::Begin(order)] if order.id == id), "{calls:?}");
}

#[tokio::test]
async fn a_rebind_reaches_every_owner_and_is_not_remembered() {
    let bench = Bench::new().await;
    bench
        .admin
        .rebind(request(
            json!({"reason": "move", "data": {"queue": "b.example"}, "domain": "a.example", "always_flush": true}),
        ))
        .await;
    let calls = bench.owner.calls();
    let [Call::Rebind(rebind)] = &calls[..] else { panic!("{calls:?}") };
    assert!(rebind.criteria.fit(&QueueName::new("a.example")) && rebind.flush && !rebind.silent && !rebind.ask_policy);
    assert_eq!(rebind.data["queue"], "b.example");
    assert!(matches!(bench.begun()[..], []));
}
