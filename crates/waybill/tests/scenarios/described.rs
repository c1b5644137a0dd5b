//! What the API says of itself, held against what it does: each `GET` that is described is asked, and orders as well, and
//! what comes back is what the description says.

use crate::harness::daemon::program;
use crate::harness::policy::OPEN;
use crate::harness::{Daemon, Home, Policy, Receiver, http};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// What needs mail that waits, names that resolve or a websocket: other scenarios ask for it.
const ELSEWHERE: [&str; 7] = [
    "/api/admin/inspect-message/v1",
    "/api/admin/inspect-ready-q/v1",
    "/api/admin/inspect-sched-q/v1",
    "/api/admin/resolve-egress-path/v1",
    "/api/admin/trace-smtp-client/v1",
    "/api/admin/trace-smtp-server/v1",
    "/event-hooks/{id}/ping",
];

/// One of each thing that a path may be about.
pub(crate) struct Objects(BTreeMap<&'static str, String>);

impl Objects {
    /// Makes them.
    pub(crate) fn made(server: SocketAddr, receiver: &Receiver) -> Self {
        let make = |path: &str, id: &str, body: Value| {
            let (status, text) = http::ask(server, "POST", path, &body.to_string()).expect("an answer");
            assert!(status == 200 || status == 201, "{path} {body}: {status} {text}");
            let made: Value = serde_json::from_str(&text).expect("JSON");
            made[id].as_str().unwrap_or_default().to_owned()
        };
        let log = make("/logs", "log_id", json!({ "compacting": true, "metadata": "of a scenario" }));
        let other = make("/logs", "log_id", json!({}));
        make(&format!("/message/{log}"), "", json!({ "key": "k", "value": "v" }));
        let filter = json!({ "source_id": log, "target_id": other, "expression": "false" });
        let egress = json!({ "log_id": other, "destination": receiver.url() });
        let ingress = json!({ "log_id": other, "type": "gitHub", "secret": "hunter2" });
        Objects(BTreeMap::from([
            ("/offset", make("/offsets", "offset_id", json!({ "log_id": log }))),
            ("/filter", make("/filters", "filter_id", filter)),
            ("/egress_webhook", make("/egress_webhooks", "webhook_id", egress)),
            ("/ingress_webhook", make("/ingress_webhooks", "webhook_id", ingress)),
            ("/token", make("/tokens", "token_id", json!({ "acl": ["logs:list"] }))),
            ("/event-hooks", make("/event-hooks", "id", json!({ "source": "crud", "handler": "log" }))),
            ("/log", log.clone()),
            ("/message", log.clone()),
            ("/messages", log),
        ]))
    }

    /// The path with one of them where it has a name in braces.
    pub(crate) fn fill(&self, path: &str) -> String {
        let known = |root: &str| self.0.get(root).cloned().unwrap_or_else(|| panic!("nothing for {path}"));
        let path = path.replace("{name}", "webhook").replace("{source}", "log").replace("{event}", "Bounce");
        match path.split_once("/{id}") {
            Some((root, rest)) => format!("{root}/{}{rest}", known(root)),
            None => path,
        }
    }
}

/// A policy with a hook, and who hears it.
pub(crate) fn with_hook(receiver: &Receiver) -> Policy {
    let hook =
        format!("require('policy-extras.log_hooks'):new_json {{ name = 'webhook', url = '{}' }}", receiver.url());
    Policy::new(hook).init(OPEN)
}

/// The description that the daemon serves.
pub(crate) fn description(daemon: &Daemon) -> Value {
    let (status, text) = http::ask(daemon.http(), "GET", "/api-docs/openapi.json", "").expect("a description");
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).expect("JSON")
}

/// Answers, compared with their schemas.
struct Comparison {
    server: SocketAddr,
    description: Value,
    /// Answers that had a schema.
    compared: usize,
    faults: Vec<String>,
}

impl Comparison {
    /// Asks, and compares what comes back with what is said about that status.
    fn ask(&mut self, method: &str, path: &str, real: &str, body: &str) {
        let (status, text) = http::ask(self.server, &method.to_uppercase(), real, body).expect("an answer");
        let answers = self.description["paths"][path][method]["responses"].clone();
        let answer = &answers[status.to_string()];
        if !(200..300).contains(&status) || answer.is_null() {
            self.faults.push(format!("{method} {real} {body}: {status} {text}"));
            return;
        }
        let schema = answer["content"]["application/json"]["schema"].clone();
        if schema.is_null() {
            return;
        }
        self.compared += 1;
        match serde_json::from_str::<Value>(&text) {
            Ok(value) => self.fits(&schema, &value, &format!("{method} {path}: ")),
            Err(error) => self.faults.push(format!("{method} {real}: {error}: {text}")),
        }
    }

    fn fits(&mut self, schema: &Value, value: &Value, at: &str) {
        let schema = match schema["$ref"].as_str() {
            Some(link) => self.description.pointer(link.trim_start_matches('#')).cloned().unwrap_or_default(),
            None => schema.clone(),
        };
        // Null stands where the schema says that it may.
        if value.is_null() {
            let may_be = |schema: &Value| schema["type"].to_string().contains("null");
            let mut words = ["oneOf", "anyOf"].into_iter().filter_map(|word| schema[word].as_array()).flatten();
            if !may_be(&schema) && !words.any(may_be) {
                self.faults.push(format!("{at} is null"));
            }
            return;
        }
        let several = ["oneOf", "anyOf", "allOf"].into_iter().find_map(|word| schema[word].as_array().cloned());
        if let Some(one) = several.iter().flatten().find(|one| one["type"] != "null") {
            return self.fits(one, value, at);
        }
        let kinds = schema["type"].to_string();
        let right = match value {
            Value::Null => true,
            Value::Bool(_) => kinds.contains("boolean"),
            Value::Number(number) => kinds.contains("number") || (kinds.contains("integer") && !number.is_f64()),
            Value::String(_) => kinds.contains("string"),
            Value::Array(_) => kinds.contains("array"),
            Value::Object(_) => kinds.contains("object"),
        };
        if !right && kinds != "null" {
            self.faults.push(format!("{at} {value} is no {kinds}"));
        }
        for item in value.as_array().into_iter().flatten() {
            self.fits(&schema["items"], item, &format!("{at}[]"));
        }
        let (Some(known), Some(fields)) = (schema["properties"].as_object(), value.as_object()) else { return };
        for (name, field) in fields {
            match known.get(name) {
                Some(schema) => self.fits(schema, field, &format!("{at}.{name}")),
                None => self.faults.push(format!("{at}.{name} is not described")),
            }
        }
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !fields.contains_key(name) {
                self.faults.push(format!("{at}.{name} is not there"));
            }
        }
    }
}

#[test]
fn every_answer_is_what_the_description_says_of_it() {
    let (home, receiver) = (Home::new(), Receiver::start());
    let daemon = Daemon::start(&home, &with_hook(&receiver));
    let objects = Objects::made(daemon.http(), &receiver);
    let description = description(&daemon);
    let mut comparison =
        Comparison { server: daemon.http(), description: description.clone(), compared: 0, faults: Vec::new() };
    let paths = description["paths"].as_object().cloned().expect("paths");
    for (path, methods) in paths.iter().filter(|(path, _)| !ELSEWHERE.contains(&path.as_str())) {
        if methods.get("get").is_some() {
            comparison.ask("get", path, &objects.fill(path), "");
        }
    }
    let hook = json!({ "source": "crud", "handler": "log", "filter": "event == 'create'" }).to_string();
    let order = json!({ "reason": "a scenario", "domain": "nowhere.example", "duration": "1s" }).to_string();
    for (method, path, body) in [
        ("post", "/event-hooks", hook.as_str()),
        ("patch", "/event-hooks/{id}", r#"{"on_change":true}"#),
        ("put", "/event-hooks/{id}", &hook),
        ("post", "/event-hooks/{id}/test", r#"{"operation":"create"}"#),
        ("post", "/event-hooks/{id}/redrive", ""),
        ("delete", "/event-hooks/{id}", ""),
        ("patch", "/token/{id}", r#"{"metadata":"x"}"#),
        ("delete", "/token/{id}", ""),
        ("post", "/tokens", "{}"),
        ("post", "/api/hooks/v1/{name}/pause", ""),
        ("post", "/api/hooks/v1/{name}/resume", "{}"),
        ("post", "/api/hooks/v1/{name}/redrive", ""),
        ("post", "/api/admin/bounce/v1", &order),
        ("post", "/api/admin/suspend/v1", &order),
        ("post", "/api/admin/bump-config-epoch", ""),
        ("post", "/message/{id}/key", r#"{"key":"k"}"#),
        ("patch", "/egress_webhook/{id}/secret", r#"{"expire_seconds":1}"#),
        ("delete", "/messages/{id}?trim_count=5", ""),
    ] {
        let described = path.split('?').next().expect("a path");
        comparison.ask(method, described, &objects.fill(path), body);
    }
    assert!(comparison.faults.is_empty(), "{}", comparison.faults.join("\n"));
    assert!(comparison.compared > 35, "only {} answers have a schema", comparison.compared);
    daemon.stop();
}

#[test]
fn the_description_is_the_same_on_the_command_line_and_the_page_that_shows_it_is_there() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &Policy::new(""));
    let output = program().args(["serve", "--dump-openapi-spec"]).output().expect("run the command");
    let printed: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(printed, description(&daemon));
    let (status, page) = http::ask(daemon.http(), "GET", "/rapidoc", "").expect("a page");
    assert!(status == 200 && page.contains("/api-docs/openapi.json"), "{status} {page}");
    daemon.stop();
}
