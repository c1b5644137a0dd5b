//! The administration of queues, against answers of a live KumoMTA.

mod support;

use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use support::Daemon;
use waybill_admin::{
    Blocked, Call, Dispatcher, InspectedMessage, MessageView, NoPath, PathView, ReadyState, ReadyStates, ReadyView,
    RecordingOwner, ScheduledView,
};
use waybill_policy::{PolicyError, Returned, ScriptedPolicy, Value as PolicyValue};
use waybill_types::{QueueName, ReadyQueueName, Response, Timestamp};

const BOUNCE: &str = "/api/admin/bounce/v1";
const SUSPEND: &str = "/api/admin/suspend/v1";
const READY: &str = "unspecified->webhook.log_hook@lua:make.webhook.log_hook";

async fn daemon() -> (Daemon, RecordingOwner) {
    with_policy(ScriptedPolicy::new()).await
}

async fn with_policy(policy: ScriptedPolicy) -> (Daemon, RecordingOwner) {
    let (daemon, owner) = (Daemon::with_policy(policy), RecordingOwner::new());
    daemon.admin.add(Arc::new(owner.clone())).await;
    (daemon, owner)
}

fn now() -> Timestamp {
    Timestamp::parse_rfc3339(support::NOW).unwrap()
}

/// The answer of a live daemon, as it stands in samples/http.txt behind this request.
fn sample(request: &str) -> String {
    let text = include_str!("samples/admin.txt");
    let at = text.find(request).unwrap_or_else(|| panic!("no sample {request}"));
    text[at..].split('\n').nth(2).unwrap().to_owned()
}

/// Both with the ids and the time that is left taken out.
fn same(answer: &str, sample: &str) {
    let plain = |text: &str| {
        let mut value: Value = serde_json::from_str(text).unwrap();
        let entries = value.as_array_mut().map_or(Vec::new(), |list| list.iter_mut().collect());
        for entry in entries {
            entry["id"] = "ID".into();
            entry["duration"] = "TIME".into();
        }
        if let Some(id) = value.get_mut("id") {
            *id = "ID".into();
        }
        value
    };
    assert_eq!(plain(answer), plain(sample));
    let keys = |text: &str| {
        let quoted: Vec<String> = text.split('"').skip(1).step_by(2).map(str::to_owned).collect();
        quoted.into_iter().filter(|word| word.bytes().all(|b| b == b'_' || b.is_ascii_lowercase())).collect::<Vec<_>>()
    };
    assert_eq!(keys(answer), keys(sample), "keys and their order");
}

#[tokio::test]
async fn bounces_are_ordered_listed_and_cancelled_as_in_the_samples() {
    let (daemon, owner) = daemon().await;
    let body = r#"{"reason": "purge", "domain": "temp.example.com", "duration": "2s"}"#;
    let answer = daemon.ask("POST", BOUNCE, body).await;
    assert_eq!((answer.status.as_u16(), answer.kind.as_deref()), (200, Some("application/json")));
    same(answer.text(), &sample("POST /api/admin/bounce/v1 {\"reason\": \"purge\""));
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    same(daemon.get(BOUNCE).await.text(), &sample("GET /api/admin/bounce/v1"));
    assert_eq!(daemon.get(BOUNCE).await.json()[0]["duration"], "2s");
    owner.has_bounced("temp.example.com", 2);
    assert_eq!(daemon.get(BOUNCE).await.json()[0]["total_bounced"], 2);

    let nil = "00000000-0000-0000-0000-000000000000";
    let answer = daemon.ask("DELETE", BOUNCE, json!({"id": nil})).await;
    assert_eq!(answer.parts(), (404, sample("DELETE /api/admin/bounce/v1").as_str()));
    let answer = daemon.ask("DELETE", BOUNCE, json!({"id": id})).await;
    assert_eq!(answer.parts(), (200, format!("removed {id}").as_str()));
    assert_eq!(daemon.get(BOUNCE).await.text(), "[]");
    assert_eq!(owner.calls().len(), 2);
}

#[tokio::test]
async fn suspensions_are_ordered_listed_and_cancelled_as_in_the_samples() {
    let (daemon, _) = daemon().await;
    let body = r#"{"reason": "test", "domain": "held.example.com", "duration": "1m"}"#;
    let answer = daemon.ask("POST", SUSPEND, body).await;
    same(answer.text(), &sample("POST /api/admin/suspend/v1"));
    same(daemon.get(SUSPEND).await.text(), &sample("GET /api/admin/suspend/v1"));
    let id = &answer.json()["id"];
    assert_eq!(daemon.ask("DELETE", SUSPEND, json!({"id": id})).await.status, 200);
    assert_eq!(daemon.ask("DELETE", SUSPEND, json!({"id": id})).await.status, 404);

    let path = "/api/admin/suspend-ready-q/v1";
    let answer =
        daemon.ask("POST", path, json!({"name": READY, "reason": "r", "expires": "2026-11-23T17:12:56Z"})).await;
    let id = &answer.json()["id"];
    let listed = daemon.get(path).await;
    let expected = json!([{"id": id, "name": READY, "reason": "r", "duration": "59m 59s 725ms 159us 400ns",
                           "expires": "2026-11-23T17:12:56Z"}]);
    assert_eq!(listed.json(), expected);
    assert_eq!(daemon.ask("DELETE", path, json!({"id": id})).await.text(), format!("removed {}", id.as_str().unwrap()));
}

#[tokio::test]
async fn what_an_endpoint_does_not_know_is_refused_in_known_words() {
    let (daemon, owner) = daemon().await;
    let answer = daemon.ask("POST", BOUNCE, r#"{"reason": "x", "colour": 1}"#).await;
    assert_eq!(answer.parts(), (422, sample("POST /api/admin/bounce/v1 {\"reason\": \"x\"").as_str()));
    for (method, path, body, status) in [
        ("POST", BOUNCE, "{}", 422),
        ("POST", BOUNCE, "{", 400),
        ("POST", BOUNCE, r#"{"reason": "x", "duration": "soon"}"#, 422),
        ("POST", SUSPEND, r#"{"reason": "x", "routing_domain": "y"}"#, 422),
        ("POST", "/api/admin/rebind/v1", r#"{"reason": "x"}"#, 422),
        ("POST", "/api/admin/rebind/v1", r#"{"reason": "x", "data": {"a": 1}}"#, 422),
        ("DELETE", BOUNCE, r#"{"id": "x"}"#, 422),
        ("DELETE", BOUNCE, "", 400),
        ("PUT", BOUNCE, "{}", 401),
    ] {
        let answer = daemon.ask(method, path, body).await;
        assert_eq!(answer.status, status, "{method} {path} {body}: {}", answer.text());
    }
    assert_eq!(owner.calls(), []);
}

#[tokio::test]
async fn a_rebind_is_passed_on_and_answers_at_once() {
    let (daemon, owner) = daemon().await;
    let body = r#"{"reason": "move", "domain": "held.example.com", "data": {"queue": "moved.example.com"}}"#;
    let answer = daemon.ask("POST", "/api/admin/rebind/v1", body).await;
    assert_eq!(answer.parts(), (200, sample("POST /api/admin/rebind/v1").as_str()));
    let calls = owner.calls();
    let [Call::Rebind(rebind)] = &calls[..] else { panic!("{calls:?}") };
    assert_eq!((&*rebind.reason, &rebind.data["queue"]), ("move", &json!("moved.example.com")));
}

fn message() -> InspectedMessage {
    InspectedMessage {
        id: "be6b71a5e75811f1abffee449cbbeaa0".parse().unwrap(),
        message: MessageView {
            sender: "sender@example.com".into(),
            recipient: "u@held.example.com".into(),
            meta: json!({"tenant": "t1"}),
            data: Some("Subject: held\r\n\r\nx\r\n".into()),
            due: Timestamp::parse_rfc3339("2026-11-23T16:32:32.306059809Z"),
            num_attempts: Some(1),
            scheduling: None,
        },
    }
}

#[tokio::test]
async fn messages_and_scheduled_queues_are_shown_key_by_key() {
    let (daemon, owner) = daemon().await;
    owner.knows_message(message());
    owner.knows_scheduled(ScheduledView {
        queue_name: QueueName::new("c1:t1@held.example.com"),
        messages: vec![message()],
        num_scheduled: 1,
        queue_config: json!({"retry_interval": "20m"}),
        delayed_metric: 1,
        now: now(),
        last_changed: now(),
    });
    let path = "/api/admin/inspect-message/v1?id=be6b71a5e75811f1abffee449cbbeaa0";
    let with = r#"{"id":"be6b71a5e75811f1abffee449cbbeaa0","message":{"sender":"sender@example.com","recipient":"u@held.example.com","meta":{"tenant":"t1"},"data":"Subject: held\r\n\r\nx\r\n","due":"2026-11-23T16:32:32.306059809Z","num_attempts":1}}"#;
    assert_eq!(daemon.get(&format!("{path}&want_body=true")).await.parts(), (200, with));
    assert!(daemon.get(path).await.json()["message"].get("data").is_none());
    assert_eq!(daemon.get("/api/admin/inspect-message/v1?id=nonsense").await.status, 400);
    let unknown = daemon.get("/api/admin/inspect-message/v1?id=00000000000000000000000000000000").await;
    assert_eq!(unknown.status, 500);

    let path = "/api/admin/inspect-sched-q/v1?queue_name=c1:t1@held.example.com";
    let answer = daemon.get(&format!("{path}&want_body=true&limit=5")).await;
    let start =
        format!(r#"{{"queue_name":"c1:t1@held.example.com","messages":[{with}],"num_scheduled":1,"queue_config":{{"#);
    assert!(answer.text().starts_with(&start), "{}", answer.text());
    let end = format!(r#""delayed_metric":1,"now":"{0}","last_changed":"{0}"}}"#, support::NOW);
    assert!(answer.text().ends_with(&end), "{}", answer.text());
    assert_eq!(daemon.get(&format!("{path}&limit=0")).await.json()["messages"], json!([]));
    let answer = daemon.get("/api/admin/inspect-sched-q/v1?queue_name=none.example").await;
    assert_eq!(answer.parts(), (404, sample("GET /api/admin/inspect-sched-q/v1?queue_name=none.example").as_str()));
}

#[tokio::test]
async fn ready_queues_are_shown_key_by_key_and_their_sessions_cut_off() {
    let (daemon, owner) = daemon().await;
    let blocked = Blocked { context: "connection_limit".into(), since: now() };
    owner.knows_ready(ReadyView {
        queue_name: ReadyQueueName::new(READY),
        mx: None,
        egress_source: "unspecified".into(),
        egress_pool: "unspecified".into(),
        protocol: "lua".into(),
        state: ReadyState {
            ready_count: 0,
            connection_count: 16,
            connection_rate_throttled: None,
            connection_limited: None,
            suspended: None,
            watchdog_threshold: Some(Duration::from_secs(600)),
        },
        path_config: json!({}),
        constraints: json!({}),
        scheduled_queue_names: Some(vec![QueueName::new("webhook.log_hook")]),
        dispatchers: vec![Dispatcher {
            session_id: "s1".into(),
            started_at: now(),
            age: Duration::from_secs(5),
            phase: "idle".into(),
            detail: None,
            time_in_current_phase: Duration::from_secs(1),
            messages_delivered: 2,
            messages_transfailed: 0,
            messages_failed: 0,
            delivered_this_connection: 0,
            overall_rate_per_sec: 0.4,
        }],
        now: now(),
    });
    owner.holds_back(READY, ReadyStates { connection_limited: Some(blocked), ..ReadyStates::default() });
    let query = format!("queue_name={}", READY.replace('>', "%3E"));
    let answer = daemon.get(&format!("/api/admin/inspect-ready-q/v1?{query}")).await;
    let known = sample("GET /api/admin/inspect-ready-q/v1");
    let start = &known[..known.find(r#""path_config""#).unwrap()];
    assert!(answer.text().starts_with(start), "{}", answer.text());
    assert!(!answer.text().contains("scheduled_queue_names"));
    let with = daemon.get(&format!("/api/admin/inspect-ready-q/v1?{query}&include_scheduled_queues=true")).await;
    assert_eq!(with.json()["scheduled_queue_names"], json!(["webhook.log_hook"]));
    assert_eq!(daemon.get("/api/admin/inspect-ready-q/v1?queue_name=x").await.parts(), (404, "Error: no such queue x"));

    let states = daemon.get("/api/admin/ready-q-states/v1").await;
    let expected = json!({"states_by_ready_queue": {READY: {"connection_limited": {"context": "connection_limit", "since": support::NOW}}}});
    assert_eq!(states.json(), expected);
    let other = daemon.get("/api/admin/ready-q-states/v1?queues=a,b&queues=c").await;
    assert_eq!(other.text(), sample("GET /api/admin/ready-q-states/v1"));

    let abort = |session: &str| json!({"queue_name": READY, "session_id": session});
    let path = "/api/admin/abort-ready-q-conn/v1";
    assert_eq!(daemon.ask("POST", path, abort("s1")).await.parts(), (200, "aborted s1"));
    assert_eq!(daemon.ask("POST", path, abort("s2")).await.status, 404);
}

#[tokio::test]
async fn the_way_out_of_a_domain_is_shown_or_the_reason_why_not() {
    let (daemon, owner) = daemon().await;
    owner.knows_path(Ok(PathView {
        domain: "webhook.log_hook".into(),
        source: "unspecified".into(),
        mx: None,
        queue_name: ReadyQueueName::new(READY),
        queue_config: json!({}),
        path_config: json!({}),
        constraints: json!({}),
    }));
    let answer = daemon.get("/api/admin/resolve-egress-path/v1?domain=webhook.log_hook").await;
    let known = sample("GET /api/admin/resolve-egress-path/v1");
    assert!(answer.text().starts_with(&known[..known.find(r#""egress_pool""#).unwrap()]), "{}", answer.text());
    assert_eq!(daemon.get("/api/admin/resolve-egress-path/v1").await.status, 400);
}

#[tokio::test]
async fn why_there_is_no_way_out_tells_whose_turn_it_is() {
    for (why, status, text) in [
        (NoPath::Policy("/etc/policy.lua:7: a mistake".into()), 500, "Error: /etc/policy.lua:7: a mistake"),
        (NoPath::Nowhere(Response::new(550, "5.4.4 there is no x")), 404, "Error: 550 5.4.4 there is no x"),
        (NoPath::Nowhere(Response::new(451, "4.4.3 nobody answers")), 503, "Error: 451 4.4.3 nobody answers"),
        (NoPath::Starting, 503, "Error: waiting for spool startup"),
    ] {
        let (daemon, owner) = daemon().await;
        owner.knows_path(Err(why));
        assert_eq!(daemon.get("/api/admin/resolve-egress-path/v1?domain=x").await.parts(), (status, text));
    }
}

#[tokio::test]
async fn the_daemon_itself_is_told_what_to_do() {
    let (daemon, _) = daemon().await;
    let path = "/api/admin/set_diagnostic_log_filter/v1";
    assert_eq!(daemon.ask("POST", path, json!({"filter": "debug"})).await.parts(), (200, ""));
    assert_eq!(*daemon.control.filters.lock().unwrap(), ["debug"]);
    let wrong = daemon.ask("POST", path, json!({"filter": "???"})).await;
    assert_eq!(wrong.parts(), (400, "Error: filter \"???\": it makes no sense"));
    assert_eq!(daemon.ask("POST", "/api/admin/bump-config-epoch", "").await.parts(), (200, ""));
    assert_eq!(*daemon.control.bumps.lock().unwrap(), 1);
}

#[tokio::test]
async fn a_spool_is_compacted_by_name_and_a_wrong_name_is_told_the_right_ones() {
    let (daemon, _) = daemon().await;
    let path = "/api/admin/spool-compact/v1";
    assert_eq!(daemon.ask("POST", path, json!({"name": "meta"})).await.parts(), (200, ""));
    assert_eq!(*daemon.control.compactions.lock().unwrap(), ["meta"]);
    let wrong = daemon.ask("POST", path, json!({"name": "mta"})).await;
    assert_eq!(wrong.parts(), (404, "Error: no such spool \"mta\"; there is: data, meta"));
    let failed = daemon.ask("POST", path, json!({"name": "data"})).await;
    assert_eq!(failed.parts(), (500, "Error: compact the spool \"data\": the disk is on fire"));
    assert_eq!(daemon.ask("POST", path, json!({"name": "meta", "now": true})).await.status.as_u16(), 422);
    assert_eq!(daemon.ask("POST", path, json!({})).await.status.as_u16(), 422);
    let stranger = Daemon::new().from("192.0.2.9");
    assert_eq!(stranger.ask("POST", path, json!({"name": "meta"})).await.status.as_u16(), 401);
    assert!(stranger.control.compactions.lock().unwrap().is_empty());
}

fn acl(lists: Value) -> ScriptedPolicy {
    ScriptedPolicy::new()
        .on("get_acl_definition", move |args| {
            let Some(PolicyValue::Bytes(resource)) = args.first() else { panic!("{args:?}") };
            let resource = String::from_utf8(resource.clone()).unwrap();
            match lists.get(&resource) {
                Some(Value::String(error)) => Err(PolicyError::Failed(error.as_str().into())),
                Some(list) => Ok(Returned(vec![PolicyValue::Json(list.clone())])),
                None => Ok(Returned::default()),
            }
        })
        .on("http_server_validate_auth_basic", |_| Ok(Returned(vec![PolicyValue::Bool(true)])))
}

#[tokio::test]
async fn policy_can_open_and_close_what_the_built_in_list_says() {
    let lists = json!({
        "http_listener/*/metrics": [{"criteria": "Any", "privilege": "GET", "access": "Allow"}],
        "http_listener/127.0.0.1:8000/api/admin/bounce/v1":
            [{"criteria": {"Group": "kumomta:http-listener-trusted-ip"}, "privilege": "POST", "access": "Deny"}],
        "http_listener/*/api/admin/suspend": "boom",
        "http_listener/*/api/machine-info": [{"criteria": {"Individual": "joe"}, "access": "Allow"}],
    });
    let (daemon, _) = with_policy(acl(lists)).await;
    assert_eq!(daemon.ask("POST", BOUNCE, json!({"reason": "x"})).await.status, 401);
    assert_eq!(daemon.get(BOUNCE).await.status, 200, "the rule is about POST; the list further up decides");
    assert_eq!(daemon.get(SUSPEND).await.parts(), (500, "try again later"));
    assert_eq!(daemon.get("/api/machine-info").await.status, 401, "a list of one's own replaces the built-in one");
    let stranger = daemon.from("192.0.2.9");
    assert_eq!(stranger.get("/metrics").await.status, 200);
    assert_eq!(stranger.get("/metrics.json").await.status, 401);
    let operator = stranger.over_the_admin_socket();
    assert_eq!(
        operator.ask("POST", BOUNCE, json!({"reason": "x"})).await.status,
        200,
        "the admin socket is the operator"
    );
}

#[tokio::test]
async fn strangers_may_not_administer_anything() {
    let (daemon, owner) = daemon().await;
    let stranger = daemon.from("192.0.2.9");
    for (method, path) in [("GET", BOUNCE), ("POST", BOUNCE), ("DELETE", SUSPEND), ("POST", "/api/admin/rebind/v1")] {
        let answer = stranger.ask(method, path, json!({"reason": "x"})).await;
        assert_eq!(answer.status, 401);
        let end = format!("not permitted {method} on http_listener/127.0.0.1:8000{path}");
        assert!(answer.text().ends_with(&end), "{}", answer.text());
    }
    assert_eq!(owner.calls(), []);
}

#[tokio::test]
async fn memory_and_tasks_are_told_for_reading() {
    let (daemon, _owner) = daemon().await;
    let answer = daemon.get("/api/admin/task-dump").await;
    let expected = "listeners: 1\n  smtp listener\nmail: 3\n  queue manager\n  2 x session a\n";
    assert_eq!(answer.parts(), (200, expected));
    let answer = daemon.get("/api/admin/memory/stats").await;
    assert_eq!(answer.status.as_u16(), 200);
    assert!(answer.text().starts_with("resident now: ") && answer.text().contains(" kB\n"), "{}", answer.text());
}
