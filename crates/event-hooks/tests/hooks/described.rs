//! Every call, and whether its answer is what the table of routes says of it. Ids stand as `<hook 1>`.

use crate::world::World;
use serde_json::{Value, json};
use waybill_event_hooks::{ROUTES, Route};

/// One that its caller names.
const OWN: &str = "3f2b6a1e-8c1f-4b53-9d3e-0a5f3f1c2b4d";

/// Calls, in an order in which each finds what it needs.
const CALLS: &[(&str, &str, &str)] = &[
    ("GET", "/event-hooks", ""),
    ("GET", "/event-hooks/sources", ""),
    ("GET", "/event-hooks/sources/throttle", ""),
    ("GET", "/event-hooks/sources/throttle/limit-exceeded", ""),
    ("POST", "/event-hooks", r#"{"source":"throttle","event":"limit-exceeded","handler":"log"}"#),
    (
        "POST",
        "/event-hooks",
        r#"{"source":"log","event":"Bounce","handler":"webhook-custom","snooze":5,"on_change":true,"filter":"data.x == 1",
        "config":{"url":"https://hooks.example/x","method":"POST","secret":"hunter2","body":"{{ recipient }}",
        "headers":{"content-type":"text/plain","authorization":"Bearer hunter2"}}}"#,
    ),
    ("GET", "/event-hooks?size=1", ""),
    ("GET", "/event-hooks/<hook 1>", ""),
    ("PATCH", "/event-hooks/<hook 1>", r#"{"snooze":60}"#),
    ("PUT", "/event-hooks/<own>", r#"{"source":"crud","handler":"log"}"#),
    ("POST", "/event-hooks/<hook 2>/test", r#"{"recipient":"a@example.com"}"#),
    ("GET", "/event-hooks/<hook 1>/status", ""),
    ("GET", "/event-hooks/<hook 1>/attempts", ""),
    ("GET", "/event-hooks/<hook 1>/dead-letters", ""),
    ("GET", "/event-hooks/<hook 1>/dry-run?last=1", ""),
    ("POST", "/event-hooks/<hook 1>/redrive", ""),
    ("GET", "/event-hooks/events?source=crud", ""),
    ("DELETE", "/event-hooks/<hook 1>", ""),
];

/// The route that answers a call.
fn route(method: &str, path: &str) -> Option<&'static Route> {
    let path = path.split('?').next().unwrap();
    let fits = |route: &&Route| {
        let (have, want): (Vec<&str>, Vec<&str>) = (path.split('/').collect(), route.path.split('/').collect());
        let same = have.iter().zip(&want).all(|(have, want)| have == want || want.starts_with('{'));
        route.method == method && have.len() == want.len() && same
    };
    // What is spelled out comes before what fits anything.
    ROUTES.iter().filter(fits).min_by_key(|route| route.path.matches('{').count())
}

/// Has every field of an answer described, and every field that is always there be there.
fn told(route: &Route, prefix: &str, object: &Value) {
    let fields = route.gives();
    let Some(object) = object.as_object().filter(|_| !fields.is_empty()) else { return };
    let at = format!("{} {}: {prefix}", route.method, route.path);
    let below = |name: &str| fields.iter().any(|(field, ..)| field.starts_with(name));
    for (name, value) in object {
        let whole = format!("{prefix}{name}");
        let described = fields.iter().find(|(field, ..)| field.trim_end_matches('?') == whole);
        let (_, kind, _) = described.unwrap_or_else(|| panic!("{at}{name} is not described"));
        assert!(!value.is_null() || kind.ends_with(" or null"), "{at}{name} is null");
        if below(&format!("{whole}.")) {
            told(route, &format!("{whole}."), value);
        }
        for item in value.as_array().into_iter().flatten().filter(|_| below(&format!("{whole}[]."))) {
            told(route, &format!("{whole}[]."), item);
        }
    }
    let mine = fields.iter().filter_map(|(field, ..)| field.strip_prefix(prefix));
    for name in mine.filter(|name| !name.contains('.') && !name.ends_with('?')) {
        assert!(object.contains_key(name), "{at}{name} is not there");
    }
}

#[tokio::test]
async fn every_call_is_answered_as_it_is_described() {
    let world = World::new().await;
    let mut names = vec![("<own>".to_owned(), OWN.to_owned())];
    for (method, path, body) in CALLS {
        let real = names.iter().fold((*path).to_owned(), |text, (name, id)| text.replace(name, id));
        let (status, text) = world.ask_raw(method, &real, body).await;
        let answer: Value = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() };
        let route = route(method, path).unwrap();
        assert_eq!(status, route.success().0, "{method} {path}: {text}");
        match (route.method, route.path) {
            // Hooks of a page have the fields of a hook.
            ("GET", "/event-hooks") => {
                let one = ROUTES.iter().find(|route| route.path == "/event-hooks/{id}").unwrap();
                answer["data"].as_array().unwrap().iter().for_each(|hook| told(one, "", hook));
            }
            _ => told(route, "", &answer),
        }
        if status == 201 {
            let number = names.len();
            names.push((format!("<hook {number}>"), answer["id"].as_str().unwrap().to_owned()));
        }
    }
    world.end().await;
}

#[tokio::test]
async fn what_happened_and_what_was_tried_is_answered_as_it_is_described() {
    let world = World::new().await;
    let id = world.on_bounces(json!({})).await;
    world.earth.post.answers(&[500, 400]);
    world.earth.bounce("joe@example.com", None);
    world.earth.post.so_many(1).await;
    let paths = [
        format!("/event-hooks/{id}/attempts"),
        format!("/event-hooks/{id}/dry-run"),
        format!("/event-hooks/{id}/status"),
    ];
    for path in paths {
        let answer = world.until(&path, |answer| answer["data"] != json!([])).await;
        told(route("GET", &path).unwrap(), "", &answer);
    }
    world.end().await;
}
