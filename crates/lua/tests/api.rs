//! `kumo.api`: orders and injection from scripts.

mod support;

use std::sync::{Arc, Mutex};

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::{Value as Json, json};
use support::{complaint, mail, policy, text};
use waybill_admin::{Admin, Call, RecordingOwner};
use waybill_lua::{Engine, Injection, api};
use waybill_policy::PolicyHost;
use waybill_spool::Message;
use waybill_types::Timestamp;

/// Remembers requests; refuses those without recipients.
#[derive(Default)]
struct Injected(Mutex<Vec<Json>>);

impl Injection for Injected {
    fn inject<'a>(&'a self, request: &'a Json) -> BoxFuture<'a, Result<Json, String>> {
        self.0.lock().unwrap().push(request.clone());
        let known = request.get("recipients").is_some();
        let report = || json!({"success_count": 1, "fail_count": 0, "failed_recipients": [], "errors": []});
        std::future::ready(if known { Ok(report()) } else { Err("missing field `recipients`".into()) }).boxed()
    }

    fn build<'a>(&'a self, request: &'a Json) -> BoxFuture<'a, Result<Vec<Message>, String>> {
        let count = request["recipients"].as_array().map_or(0, Vec::len);
        std::future::ready(Ok((0..count).map(|n| mail(&format!("number {n}"))).collect())).boxed()
    }
}

async fn engine(script: &str) -> (Engine, Admin, Arc<Injected>) {
    let admin = Admin::new(Arc::new(|| Timestamp::from_secs(1_700_000_000)));
    let injected = Arc::new(Injected::default());
    let engine = policy(script).module(api(admin.clone(), injected.clone())).build().await.unwrap();
    (engine, admin, injected)
}

#[tokio::test]
async fn an_order_of_a_script_is_in_force_until_it_is_taken_back() {
    let script = "
        local admin = kumo.api.admin
        local function round(module, verb, request)
          local id = module[verb](request)
          local listed = module.list()
          assert(#listed == 1 and listed[1].id == id and listed[1].reason == 'cleanup', 'it is listed')
          assert(module.delete(id) == true and module.delete(id) == false and #module.list() == 0, 'it is gone')
          return id
        end
        kumo.on('go', function()
          local a = round(admin.bounce, 'bounce', { reason = 'cleanup', domain = 'a.example', queue_names = {} })
          local b = round(admin.suspend, 'suspend', { reason = 'cleanup', tenant = 't', duration = '1h' })
          local c = round(admin.suspend_ready_q, 'suspend', { reason = 'cleanup', name = 'x->y@smtp_client' })
          admin.suspend.suspend { reason = 'stays', queue_names = { 't@a.example' } }
          return #a .. ' ' .. #b .. ' ' .. #c
        end)";
    let (engine, admin, _) = engine(script).await;
    let owner = RecordingOwner::new();
    admin.add(Arc::new(owner.clone())).await;
    assert_eq!(text(&engine, "go", vec![]).await, "36 36 36", "ids are uuids");
    let kinds: Vec<_> = owner.calls().iter().map(|call| matches!(call, Call::Begin(_))).collect();
    assert_eq!(kinds, [true, false, true, false, true, false, true], "owners hear of each order, and of its end");
    assert_eq!(admin.suspensions()[0].reason, "stays");
}

#[tokio::test]
async fn requests_reach_the_injection_as_they_are_and_messages_come_back() {
    let script = "
        kumo.on('inject', function()
          local report = kumo.api.inject.inject_v1 {
            envelope_sender = 'a@example.com', recipients = { { email = 'b@example.com' } }, content = 'Subject: x\\r\\n\\r\\nhi',
          }
          return report.success_count .. ' ' .. #report.errors
        end)
        kumo.on('build', function()
          local messages = kumo.api.inject.build_v1 { recipients = { 1, 2 } }
          return #messages .. ' ' .. messages[2]:get_data()
        end)";
    let (engine, _, injected) = engine(script).await;
    assert_eq!(text(&engine, "inject", vec![]).await, "1 0");
    let expected = json!({
        "envelope_sender": "a@example.com", "recipients": [{"email": "b@example.com"}],
        "content": "Subject: x\r\n\r\nhi",
    });
    assert_eq!(*injected.0.lock().unwrap(), [expected]);
    assert_eq!(text(&engine, "build", vec![]).await, "2 number 1");
}

#[tokio::test]
async fn mistakes_are_told_with_file_and_line() {
    let script = "kumo.on('one', function()
          kumo.api.admin.bounce.bounce { reason = 'x', colour = 1 }
        end)
        kumo.on('two', function()
          kumo.api.admin.suspend.delete 'nonsense'
        end)
        kumo.on('three', function()
          kumo.api.inject.inject_v1 { content = 'x' }
        end)";
    let (engine, _, _) = engine(script).await;
    let one = complaint(&engine, "one").await;
    assert!(one.starts_with("init.lua:2: kumo.api.admin.bounce.bounce: unknown field `colour`"), "{one}");
    assert!(one.contains(", while processing {"), "{one}");
    let two = complaint(&engine, "two").await;
    assert!(
        two.starts_with("init.lua:5: kumo.api.admin.suspend.delete: \"nonsense\" is not the id of an order"),
        "{two}"
    );
    let three = complaint(&engine, "three").await;
    assert!(three.starts_with("init.lua:8: kumo.api.inject.inject_v1: missing field `recipients`"), "{three}");
    assert!(engine.handles("one"));
}
