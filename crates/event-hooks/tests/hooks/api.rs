//! The API as Kong's users know it (contract/kong-event-hooks.md section 1).

use crate::world::World;
use axum::body::Body;
use http::{Request, header};
use serde_json::{Value, json};

async fn form(world: &World, method: &str, path: &str, kind: &str, body: String) -> (u16, Value) {
    let request = Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, kind);
    let (status, answer) = world.send(None, request.body(Body::from(body)).unwrap()).await;
    (status.as_u16(), answer)
}

const FORM: &str = "application/x-www-form-urlencoded";

#[tokio::test]
async fn a_slack_shaped_hook_is_made_in_kongs_form_encoding_and_in_parts() {
    let world = World::new().await;
    let fields = [
        ("source", "log"),
        ("event", "Bounce"),
        ("handler", "webhook-custom"),
        ("on_change", "true"),
        ("snooze", "5"),
        ("config.method", "POST"),
        ("config.headers.content-type", "application/json"),
        ("config.payload.text", "Bounce for {{ recipient }}: {{ response.content }}"),
        ("config.url", "https://hooks.slack.example/services/T/Y/x"),
    ];
    let mut body = url::form_urlencoded::Serializer::new(String::new());
    body.extend_pairs(fields);
    let (status, made) = form(&world, "POST", "/event-hooks", FORM, body.finish()).await;
    assert_eq!(status, 201, "{made}");
    let described = (&made["handler"], &made["snooze"], &made["on_change"], &made["config"]["payload"]["text"]);
    let text = json!("Bounce for {{ recipient }}: {{ response.content }}");
    assert_eq!(described, (&json!("webhook-custom"), &json!(5), &json!(true), &text));
    assert_eq!(world.get(&format!("/event-hooks/{}", made["id"].as_str().unwrap())).await, made);

    let parts: String = fields
        .iter()
        .map(|(name, value)| format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"))
        .collect();
    let kind = "multipart/form-data; boundary=b";
    let (status, again) = form(&world, "POST", "/event-hooks", kind, format!("{parts}--b--\r\n")).await;
    assert_eq!((status, &again["config"]), (201, &made["config"]));

    world.earth.bounce("joe@example.com", None);
    for sent in world.earth.post.so_many(2).await {
        assert_eq!(sent.json(), json!({"text": "Bounce for joe@example.com: no such user"}));
        assert_eq!((sent.method.as_str(), sent.url.as_str()), ("POST", "hooks.slack.example/services/T/Y/x"));
        assert_eq!(sent.headers, [("content-type".to_owned(), "application/json".to_owned())]);
    }
    world.end().await;
}

#[tokio::test]
async fn a_webhook_is_pinged_when_it_is_made_and_when_somebody_asks() {
    let world = World::new().await;
    let config = json!({"url": "https://hooks.example/1", "secret": "hunter2"});
    let id = world.create(json!({"source": "log", "handler": "webhook", "config": config})).await;
    let first = world.earth.post.so_many(1).await[0].json();
    assert_eq!((&first["source"], &first["event"]), (&json!("kong:event_hooks"), &json!("ping")));
    assert_eq!((&first["event_hooks"]["id"], &first["event_hooks"]["config"]["secret"]), (&json!(id), &Value::Null));
    let asked = world.get(&format!("/event-hooks/{id}/ping")).await;
    assert_eq!(asked, first);
    assert_eq!(world.earth.post.so_many(2).await[1].json(), first);
    world.earth.post.answers(&[500]);
    let (status, refused) = world.ask("GET", &format!("/event-hooks/{id}/ping"), None).await;
    assert_eq!((status, &refused["message"]), (400, &json!("the target did not take the ping: status 500")));
    let log = world.create(json!({"source": "log", "handler": "log"})).await;
    let (status, refused) = world.ask("GET", &format!("/event-hooks/{log}/ping"), None).await;
    assert!(status == 400 && refused["message"].as_str().unwrap().contains("webhook"), "{refused}");
    world.end().await;
}

#[tokio::test]
async fn a_test_runs_the_hook_once_and_a_failing_target_is_a_result() {
    let world = World::new().await;
    let id = world.on_bounces(json!({"snooze": 3600, "filter": "false"})).await;
    let path = format!("/event-hooks/{id}/test");
    world.earth.post.answers(&[200, 500]);
    for (status, error) in [(200, Value::Null), (500, json!("status 500"))] {
        let (code, tested) = world.ask("POST", &path, Some(json!({"recipient": "joe", "x": 1}))).await;
        assert_eq!((code, &tested["result"]["status"], &tested["result"]["error"]), (200, &json!(status), &error));
        assert_eq!(tested["data"], json!({"recipient": "joe", "x": 1, "source": "log", "event": "Bounce"}));
        assert_eq!(tested["result"]["headers"]["server"], "x");
        assert_eq!(tested["result"]["body"], "said\r\n\u{1b}[31m", "as it came, in JSON's escapes");
    }
    assert_eq!(world.bodies(2).await, ["joe", "joe"]);
    let log = world.create(json!({"source": "log", "event": "Bounce", "handler": "log"})).await;
    let (_, tested) = world.ask("POST", &format!("/event-hooks/{log}/test"), Some(json!({"a": 1}))).await;
    let line = tested["result"]["line"].as_str().unwrap();
    assert!(line.starts_with("\"log callback: \" { \"Bounce\", \"log\", { a = 1 }, "), "{line}");
    world.end().await;
}

#[tokio::test]
async fn patch_merges_put_replaces_or_creates_and_delete_ends() {
    let world = World::new().await;
    let id = world.on_bounces(json!({"snooze": 60})).await;
    let path = format!("/event-hooks/{id}");
    world.later(5);
    let patch = json!({"config": {"headers": {"x-a": "1"}}, "snooze": null});
    let (status, patched) = world.ask("PATCH", &path, Some(patch)).await;
    assert_eq!((status, &patched["snooze"]), (200, &Value::Null), "{patched}");
    assert_eq!(patched["config"]["url"], "https://hooks.example/x");
    assert_eq!(patched["config"]["headers"], json!({"x-a": "1"}));
    assert_eq!(patched["updated_at"].as_i64().unwrap() - patched["created_at"].as_i64().unwrap(), 5);

    let put = json!({"source": "log", "event": "Delivery", "handler": "log"});
    let (status, replaced) = world.ask("PUT", &path, Some(put.clone())).await;
    assert_eq!((status, &replaced["event"], &replaced["config"]), (200, &json!("Delivery"), &json!({})));
    let own = "/event-hooks/6f1c7a9e-2f6d-4d0f-8a4b-000000000001";
    let (status, made) = world.ask("PUT", own, Some(put)).await;
    assert_eq!((status, &made["id"]), (200, &json!("6f1c7a9e-2f6d-4d0f-8a4b-000000000001")));

    assert_eq!(world.ask("DELETE", &path, None).await, (204, Value::Null));
    for (method, path) in
        [("GET", path.as_str()), ("DELETE", &path), ("PATCH", &path), ("GET", "/event-hooks/nonsense")]
    {
        assert_eq!(world.ask(method, path, None).await, (404, json!({"message": "Not found"})), "{method} {path}");
    }
    world.end().await;
}

#[tokio::test]
async fn lists_come_in_pages_the_oldest_first() {
    let world = World::new().await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(world.create(json!({"source": "log", "handler": "log"})).await);
        world.later(1);
    }
    let listed = world.get("/event-hooks").await;
    assert_eq!(listed["next"], Value::Null);
    let mut seen = Vec::new();
    let mut path = "/event-hooks?size=2".to_owned();
    loop {
        let page = world.get(&path).await;
        seen.extend(page["data"].as_array().unwrap().iter().map(|hook| hook["id"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => path = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(seen, ids);
    let (status, refused) = world.ask("GET", "/event-hooks?offset=x", None).await;
    assert!(status == 400 && refused["message"].as_str().unwrap().starts_with("offset: "), "{refused}");
    world.end().await;
}

#[tokio::test]
async fn sources_and_events_are_listed_and_unknown_ones_are_not_found() {
    let world = World::new().await;
    let all = world.get("/event-hooks/sources").await;
    assert_eq!(all["data"]["log"]["Bounce"]["unique"], json!(["queue", "recipient", "response"]));
    assert_eq!(world.get("/event-hooks/sources/dao%3Acrud").await["data"], all["data"]["dao:crud"]);
    assert_eq!(world.get("/event-hooks/sources/log/Bounce").await["data"], all["data"]["log"]["Bounce"]);
    for path in ["/event-hooks/sources/x", "/event-hooks/sources/log/X"] {
        assert_eq!(world.ask("GET", path, None).await, (404, json!({"message": "Not found"})));
    }
    world.end().await;
}

#[tokio::test]
async fn a_wrong_description_names_each_field_and_what_is_accepted() {
    let world = World::new().await;
    let of = async |hook: Value| {
        let (status, refused) = world.ask("POST", "/event-hooks", Some(hook)).await;
        assert_eq!((status, &refused["name"]), (400, &json!("schema violation")), "{refused}");
        refused
    };
    let refused = of(json!({"source": "log", "handler": "webhook"})).await;
    assert_eq!(refused["message"], "schema violation (config.url: required field missing)");
    assert_eq!(refused["fields"], json!({"config": {"url": "required field missing"}}));
    let refused = of(json!({"source": "log", "event": "Bouncy", "handler": "log"})).await;
    assert!(refused["fields"]["event"].as_str().unwrap().contains("Bounce, "), "{refused}");
    let config = json!({"url": "http://127.0.0.1/x"});
    let refused = of(json!({"source": "log", "handler": "webhook", "config": config})).await;
    let why = refused["fields"]["config"]["url"].as_str().unwrap();
    assert!(why.contains("loopback") && why.contains("allow_targets"), "{why}");
    let config = json!({"functions": ["return function() end"]});
    let refused = of(json!({"source": "log", "handler": "lambda", "config": config})).await;
    assert!(refused["fields"]["handler"].as_str().unwrap().contains("lambda is not to be had"), "{refused}");
    let (status, refused) = form(&world, "POST", "/event-hooks", "text/plain", "x".into()).await;
    assert!(status == 415 && refused["message"].as_str().unwrap().contains("application/json"), "{refused}");
    let (status, refused) = form(&world, "POST", "/event-hooks", "application/json", "{".into()).await;
    assert!(status == 400 && refused["message"].as_str().unwrap().contains("line 1"), "{refused}");
    assert_eq!(world.get("/event-hooks").await["data"], json!([]));
    world.end().await;
}
