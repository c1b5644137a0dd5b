//! Every endpoint that the API describes, asked wrongly in every way that the description allows to think of.

use crate::described::{Objects, description, with_hook};
use crate::harness::daemon::program;
use crate::harness::{Daemon, Home, Mail, Policy, Receiver, http, wait_until};
use serde_json::{Map, Value, json};
use std::net::SocketAddr;

/// A field that no endpoint knows.
const NOBODY: &str = "colour_of_the_bikeshed";
/// The last one is nobody's.
const METHODS: [&str; 7] = ["get", "post", "put", "delete", "patch", "options", "brew"];
/// Where anything may stand in the query, and why.
const ANY_QUERY: [(&str, &str); 5] = [
    ("/metrics", "a scrape job has parameters of its own"),
    ("/api/check-liveness/v1", "probes and caches put something into it"),
    ("/api-docs/openapi.json", "browsers and caches do"),
    ("/rapidoc", "browsers and caches do"),
    ("/ingress_webhook/{id}", "the URL is its sender's, and the body is what is signed"),
];
/// Types of bodies that are not JSON's.
const WRONG_TYPES: [&str; 3] = ["text/plain", "application/xml", "nonsense"];
/// What no id is, in a path.
const ABSURD: [&str; 9] = [
    "%00",
    "%ff%fe",
    "..%2f..%2fetc%2fpasswd",
    "-1",
    "18446744073709551616",
    "log_",
    "%22%3B%20drop",
    "%E2%98%83",
    "00000000-0000-0000-0000-000000000000",
];
/// What no whole number is, in a query.
const NO_NUMBERS: [&str; 6] = ["colour", "-1.5", "%00", "", "1e400", "99999999999999999999999999"];
/// Tables within tables of a body are walked so deep.
const DEPTH: usize = 4;

/// The daemon's own description, and what was wrong with its answers.
struct Walk {
    server: SocketAddr,
    description: Value,
    objects: Option<Objects>,
    asked: usize,
    faults: Vec<String>,
}

impl Walk {
    /// Asks, and wants a refusal of this status that has these words.
    fn refused(&mut self, method: &str, path: &str, body: &str, status: &[u16], words: &[&str]) {
        self.refused_with(&[], method, path, body, status, words);
    }

    /// The same with headers.
    fn refused_with(
        &mut self,
        headers: &[(&str, &str)],
        method: &str,
        path: &str,
        body: &str,
        status: &[u16],
        words: &[&str],
    ) {
        self.asked += 1;
        let method = method.to_uppercase();
        let path = &self.objects.as_ref().map_or_else(|| path.to_owned(), |objects| objects.fill(path));
        let shown: String = body.chars().take(200).collect();
        let (got, text) = match http::ask_with(self.server, &method, path, headers, body) {
            Ok(answer) => answer,
            Err(error) => {
                self.faults.push(format!("{method} {path} {headers:?} {shown}: no answer: {error}"));
                return;
            }
        };
        let right = status.contains(&got) && !text.trim().is_empty() && words.iter().all(|word| text.contains(word));
        if !right {
            self.faults
                .push(format!("{method} {path} {headers:?} {shown}: {got} {text:?}, not {status:?} with {words:?}"));
        }
    }

    /// The schema itself where it is referred to.
    fn resolve(&self, schema: &Value) -> Value {
        let schema = match schema["$ref"].as_str() {
            Some(link) => self.description.pointer(link.trim_start_matches('#')).cloned().unwrap_or_default(),
            None => schema.clone(),
        };
        let several = ["oneOf", "anyOf", "allOf"].into_iter().find_map(|word| schema[word].as_array().cloned());
        match several.into_iter().flatten().find(|one| one["type"] != "null") {
            Some(one) => self.resolve(&one),
            None => schema,
        }
    }

    fn path(&mut self, path: &str, methods: &Map<String, Value>) {
        for method in METHODS.into_iter().filter(|method| !methods.contains_key(*method)) {
            // Not permitted by any list, or not there.
            self.refused(method, path, "{}", &[401, 405], &[]);
        }
        for (method, about) in methods {
            let schema = self.resolve(&about["requestBody"]["content"]["application/json"]["schema"]);
            if schema.is_object() {
                self.body(method, path, &schema);
            }
            for parameter in about["parameters"].as_array().into_iter().flatten().filter(|one| one["in"] == "query") {
                self.query(method, path, parameter, about);
            }
            if !ANY_QUERY.iter().any(|(open, _)| *open == path && !(path.contains('{') && method != "post")) {
                self.refused(method, &format!("{path}?{NOBODY}=1"), "", &[400], &[NOBODY, "expected"]);
            }
            self.absurd_ids(method, path);
        }
    }

    /// What no id is, where the path has one.
    fn absurd_ids(&mut self, method: &str, path: &str) {
        let Some((before, rest)) = path.split_once('{') else { return };
        let (_, behind) = rest.split_once('}').expect("the other brace");
        let long = "x".repeat(5_000);
        for id in ABSURD.iter().copied().chain([long.as_str()]) {
            // Of an event hook PUT makes one with this id, and says first what its body lacks.
            self.refused(method, &format!("{before}{id}{behind}"), "", &[400, 404], &[]);
        }
    }

    fn body(&mut self, method: &str, path: &str, schema: &Value) {
        if !(path.starts_with("/api/") || path.starts_with("/token")) || path.starts_with("/api/hooks") {
            return self.body_of_ours(method, path, schema);
        }
        let deep = "[".repeat(10_000);
        for text in ["", "{", "{\"a\"", "nonsense", "{}}", "\u{0}"] {
            // What came before it broke may be wrong already.
            self.refused(method, path, text, &[400, 422], &["JSON", "line 1"]);
        }
        // A list, to serde, is a table whose members have no names.
        for text in ["1", "\"text\"", "null", "[]", "[\"text\"]", "[null]", &deep] {
            self.refused(method, path, text, &[422], &["expected"]);
        }
        let good = self.good(schema);
        for kind in WRONG_TYPES {
            let headers = [("Content-Type", kind)];
            self.refused_with(&headers, method, path, &good.to_string(), &[415], &["application/json"]);
        }
        let strange = with(&good, NOBODY, json!(1));
        self.refused(method, path, &strange.to_string(), &[422], &[NOBODY, "expected"]);
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let mut less = good.clone();
            less.as_object_mut().expect("an object").remove(name);
            self.refused(method, path, &less.to_string(), &[422], &["missing field", name]);
        }
        self.members((method, path), schema, &[400, 422], &|part| good_with(&good, part), DEPTH);
    }

    /// Wrong values of each member, of their members and so on. `put` makes a body of what is given to it.
    fn members(
        &mut self,
        (method, path): (&str, &str),
        schema: &Value,
        status: &[u16],
        put: &dyn Fn(Map<String, Value>) -> Value,
        depth: usize,
    ) {
        for (name, about) in schema["properties"].as_object().cloned().unwrap_or_default() {
            let about = self.resolve(&about);
            let one = |value: Value| put(Map::from_iter([(name.clone(), value)])).to_string();
            for wrong in wrong_values(&about) {
                self.refused(method, path, &one(wrong), status, &[&name, "expected"]);
            }
            let item = self.resolve(&about["items"]);
            let (inner, is_list) = if item.is_object() { (item, true) } else { (about, false) };
            if !inner["properties"].is_object() || depth == 0 {
                continue;
            }
            let good = self.good(&inner);
            let below = |part: Map<String, Value>| {
                let value = good_with(&good, part);
                put(Map::from_iter([(name.clone(), if is_list { json!([value]) } else { value })]))
            };
            if inner["additionalProperties"] == false {
                let strange = below(Map::from_iter([(NOBODY.to_owned(), json!(1))])).to_string();
                self.refused(method, path, &strange, status, &[&name, NOBODY, "expected"]);
            }
            self.members((method, path), &inner, status, &below, depth - 1);
        }
    }

    /// In the APIs that are not KumoMTA's: there an empty body may say all that there is to say.
    fn body_of_ours(&mut self, method: &str, path: &str, schema: &Value) {
        let deep = "[".repeat(10_000);
        for text in ["{", "{\"a\"", "nonsense", "{}}", "\u{0}", "1", "\"text\"", "[]", "[\"text\"]", "[null]", &deep] {
            self.refused(method, path, text, &[400], &[]);
        }
        for kind in WRONG_TYPES {
            let headers = [("Content-Type", kind)];
            self.refused_with(&headers, method, path, "{}", &[400, 415], &["application/json"]);
        }
        let properties = schema["properties"].as_object().cloned().unwrap_or_default();
        if properties.is_empty() {
            return;
        }
        self.refused(method, path, &json!({ NOBODY: 1 }).to_string(), &[400], &[NOBODY]);
        let good = match schema["required"].to_string().contains("handler") {
            true => json!({ "source": "crud", "handler": "log" }),
            false => json!({}),
        };
        self.members((method, path), schema, &[400], &|part| good_with(&good, part), DEPTH);
    }

    /// Something that has the required members, so that what is wrong with it is what the test put there.
    fn good(&self, schema: &Value) -> Value {
        let mut good = Map::new();
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let about = self.resolve(&schema["properties"][name]);
            let value = match about["type"].as_str() {
                Some("array") => json!([]),
                Some("object") if name == "content" => json!("Subject: x\r\n\r\ny"),
                Some("object") => json!({}),
                Some("boolean") => json!(false),
                Some("integer") => json!(1),
                _ if name == "id" => json!("1c9695c6-71e7-4e48-b54f-5531e6875160"),
                _ => json!("a@example.com"),
            };
            good.insert(name.to_owned(), value);
        }
        good.into()
    }

    fn query(&mut self, method: &str, path: &str, parameter: &Value, about: &Value) {
        let name = parameter["name"].as_str().expect("a name");
        let required = |parameter: &&Value| parameter["required"] == true;
        let others = about["parameters"].as_array().into_iter().flatten().filter(required);
        let others = others.filter(|other| other["in"] == "query");
        let others: Vec<&str> =
            others.filter_map(|other| other["name"].as_str()).filter(|other| *other != name).collect();
        let others: String = others.iter().map(|other| format!("{other}=x&")).collect();
        if required(&parameter) {
            self.refused(method, &format!("{path}?{others}"), "", &[400], &["missing field", name]);
        }
        let schema = parameter["schema"].to_string();
        if ["boolean", "integer"].iter().any(|kind| schema.contains(&format!("\"{kind}\""))) {
            for wrong in NO_NUMBERS {
                self.refused(method, &format!("{path}?{others}{name}={wrong}"), "", &[400], &[name]);
            }
        }
    }
}

/// The members of a part over those that are good.
fn good_with(good: &Value, part: Map<String, Value>) -> Value {
    let mut object = good.as_object().cloned().unwrap_or_default();
    object.extend(part);
    object.into()
}

fn with(object: &Value, name: &str, value: Value) -> Value {
    let mut object = object.as_object().cloned().unwrap_or_default();
    object.insert(name.to_owned(), value);
    object.into()
}

/// Values that are none of this schema's.
fn wrong_values(schema: &Value) -> Vec<Value> {
    let kinds = schema["type"].to_string();
    let is = |kind: &str| kinds.contains(&format!("\"{kind}\""));
    match () {
        () if schema["enum"].is_array() => vec![json!(NOBODY), json!(true), json!([[]]), json!("")],
        // A duration may be a number, and a content a text.
        () if is("string") => vec![json!(true), json!({ NOBODY: 1 }), json!([[]])],
        () if is("boolean") => vec![json!("yes"), json!(1), json!([])],
        () if is("array") => {
            vec![json!("text"), json!(1), json!({ NOBODY: 1 }), json!([[[1]]]), json!([["a@example.com"]])]
        }
        () if is("integer") => vec![json!("text"), json!(-1.5), json!([]), json!(1e300), json!(true)],
        () if is("number") => vec![json!("text"), json!([]), json!(true)],
        // To serde a list is an object whose members have no names.
        () if is("object") => vec![json!(1), json!(true), json!([]), json!(["text"])],
        () => vec![],
    }
}

#[test]
fn every_endpoint_refuses_what_it_does_not_take_with_a_reason_and_the_daemon_lives_on() {
    let (home, receiver) = (Home::new(), Receiver::start());
    let daemon = Daemon::start(&home, &with_hook(&receiver));
    let objects = Some(Objects::made(daemon.http(), &receiver));
    let description = description(&daemon);
    let paths = description["paths"].as_object().cloned().expect("paths");
    assert!(paths.len() >= 60, "{} paths", paths.len());
    let mut walk = Walk { server: daemon.http(), description, objects, asked: 0, faults: Vec::new() };
    for (path, methods) in &paths {
        walk.path(path, methods.as_object().expect("methods"));
    }
    println!("{} requests", walk.asked);
    assert!(walk.faults.is_empty(), "{} of {}:\n{}", walk.faults.len(), walk.asked, walk.faults.join("\n"));
    assert!(walk.asked > 1_500, "only {} requests", walk.asked);
    assert!(!daemon.stderr().contains("panicked"), "{}", daemon.stderr());
    daemon.connect().send(&Mail::to("rcpt@example.com"));
    wait_until("mail is delivered as before", || (home.maildir("example.com").len() == 1).then_some(()));
    daemon.stop();
}

/// What the description does not tell: what goes with what.
#[test]
fn the_endpoints_of_hooks_refuse_what_they_do_not_take_with_a_reason() {
    let (home, receiver) = (Home::new(), Receiver::start());
    let daemon = Daemon::start(&home, &with_hook(&receiver));
    let mut walk =
        Walk { server: daemon.http(), description: Value::Null, objects: None, asked: 0, faults: Vec::new() };
    for (method, path) in [("POST", "webhook/pause"), ("POST", "webhook/resume"), ("DELETE", "webhook")] {
        let path = format!("/api/hooks/v1/{path}");
        let strange = json!({ NOBODY: 1 }).to_string();
        walk.refused(method, &path, &strange, &[400], &[NOBODY, "expected no body"]);
        walk.refused(method, &path, "[1]", &[400], &["expected"]);
        walk.refused(method, &path, "nonsense", &[400], &["line 1"]);
        walk.refused(method, &format!("{path}?{NOBODY}=1"), "", &[400], &[NOBODY, "expected no query"]);
    }
    let strange = json!({ NOBODY: 1 }).to_string();
    walk.refused("POST", "/api/admin/bump-config-epoch", &strange, &[400], &[NOBODY, "expected no body"]);
    for (path, method) in
        [("", "DELETE"), ("/pause", "POST"), ("/resume", "POST"), ("/replay", "POST"), ("/redrive", "POST")]
    {
        walk.refused(method, &format!("/api/hooks/v1/none{path}"), "{}", &[404], &["none", "webhook"]);
        walk.refused("PUT", &format!("/api/hooks/v1/webhook{path}"), "{}", &[401, 405], &[]);
    }
    walk.refused("GET", "/api/hooks/v1/webhook/dead-letters?limit=many", "", &[400], &["limit"]);
    walk.refused("GET", "/api/hooks/v1/webhook/dead-letters?after=x", "", &[400], &["after", "expected"]);
    walk.refused("GET", &format!("/api/hooks/v1/webhook/dead-letters?{NOBODY}=1"), "", &[400], &[NOBODY, "expected"]);
    for action in ["replay", "redrive"] {
        let path = format!("/api/hooks/v1/webhook/{action}");
        for text in ["{", "nonsense", "{}}", "\u{0}"] {
            walk.refused("POST", &path, text, &[400], &["line 1"]);
        }
        walk.refused("POST", &path, "1", &[400], &["expected"]);
        walk.refused("POST", &path, &json!({ NOBODY: 1 }).to_string(), &[400], &[NOBODY, "expected"]);
    }
    for (field, value) in [
        ("from", json!("text")),
        ("from", json!(-1)),
        ("since", json!(1)),
        ("since", json!("soon")),
        ("last", json!([])),
        ("until", json!({})),
        ("before", json!(true)),
        ("kinds", json!("Bounce")),
        ("kinds", json!(["Colour"])),
    ] {
        let body = with(&json!({}), field, value).to_string();
        walk.refused("POST", "/api/hooks/v1/webhook/replay", &body, &[400], &[field, "expected"]);
    }
    for (field, value) in [("offset", json!("text")), ("reason", json!(1)), ("reason", json!("colour"))] {
        let body = with(&json!({}), field, value).to_string();
        walk.refused("POST", "/api/hooks/v1/webhook/redrive", &body, &[400], &[field]);
    }
    assert!(walk.faults.is_empty(), "{} of {}:\n{}", walk.faults.len(), walk.asked, walk.faults.join("\n"));
    daemon.connect().send(&Mail::to("rcpt@example.com"));
    receiver.wait_for(2);
    daemon.stop();
}

/// Two events that fail, each in its own way.
const BROKEN: &str = "
kumo.on('get_egress_path_config', function(domain)
  if domain == 'broken.example.com' then
    error('no idea about ' .. domain)
  elseif domain == 'odd.example.com' then
    return 'a text'
  elseif domain == 'list.example.com' then
    return { 5 }
  end
end)";

#[test]
fn the_way_out_that_a_policy_cannot_tell_is_refused_with_file_and_line() {
    let home = Home::new();
    let policy = Policy::new(BROKEN);
    let line = |place: &str| {
        let text = policy.text(&home);
        text.lines().position(|line| line.contains(place)).expect("the place is in the policy") + 1
    };
    let (raised, registered) = (line("error('no idea"), line("kumo.on('get_egress_path_config'"));
    let unusable = format!("policy.lua:{registered}) returned what cannot be used: ");
    let daemon = Daemon::start(&home, &policy);
    for (domain, status, words) in [
        (
            "broken.example.com",
            500,
            vec![format!("policy.lua:{raised}"), "no idea about broken.example.com".to_owned()],
        ),
        ("odd.example.com", 500, vec![format!("{unusable}expected a configuration, got a string")]),
        ("list.example.com", 500, vec![format!("{unusable}invalid type: sequence, expected a table with names")]),
        ("fine.example.com", 200, vec!["\"queue_name\"".to_owned()]),
    ] {
        let path = format!("/api/admin/resolve-egress-path/v1?domain={domain}");
        let (got, text) = http::ask(daemon.http(), "GET", &path, "").expect("an answer");
        assert!(got == status && words.iter().all(|word| text.contains(word)), "{domain}: {got} {text}");
        assert!(status == 200 || text.starts_with("Error: "), "{domain}: {text}");
    }
    daemon.stop();
}

#[test]
fn a_command_line_that_makes_no_sense_ends_with_2_and_what_would() {
    for (line, words) in [
        (&["serve", "--colour"][..], &["unexpected argument '--colour'", "Usage: waybill serve"][..]),
        (&["serve", "--policy"], &["a value is required for '--policy <FILE>'"]),
        (&["hooks", "status"], &["<NAME>", "Usage: waybill hooks status"]),
        (&["ctl", "bounce", "--reason", "x"], &["nothing says which queues", "--everything"]),
        (&["ctl", "--endpoint", "ftp://x", "bounce-list"], &["expected http://HOST:PORT"]),
    ] {
        let output = program().args(line).output().expect("run the command");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{line:?}: {said}");
        assert!(words.iter().all(|word| said.contains(word)), "{line:?}: {said}");
    }
}
