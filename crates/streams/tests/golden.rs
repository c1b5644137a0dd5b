//! Every call with its answer, word for word: `golden/calls.txt`. `UPDATE_GOLDEN=1` writes it anew; what has changed then
//! is for a person to read. Ids and secrets stand as `<log 1>`, `<secret 1>`.

mod world;

use axum::body::{Body, to_bytes};
use http::{Request, header};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use tower::ServiceExt;
use waybill_streams::{Given, ROUTES, Route};
use world::World;

/// Calls, in an order in which each finds what it needs.
const CALLS: &[(&str, &str, &str)] = &[
    ("GET", "/", ""),
    ("GET", "/logs", ""),
    ("POST", "/logs", r#"{"metadata":"orders","compacting":true,"compact_seconds":60,"trim_count":100}"#),
    ("POST", "/logs", r#"{"compact_seconds":60}"#),
    ("GET", "/logs?metadata=orders", ""),
    ("GET", "/log/<log 2>", ""),
    ("GET", "/log/log_1", ""),
    ("PATCH", "/log/<log 2>", r#"{"trim_count":0,"metadata":"more orders"}"#),
    (
        "POST",
        "/messages/<log 2>",
        r#"{"encoding":"string","messages":[{"key":"a","value":"1"},{"time":5,"key":"a","value":null},{"value":""}]}"#,
    ),
    ("POST", "/message/<log 2>", r#"{"encoding":"base64","key":"Yg==","value":"/w=="}"#),
    ("POST", "/message/<log 2>", r#"{"encoding":"hex","value":"ff"}"#),
    ("GET", "/log/<log 2>/stats", ""),
    ("GET", "/messages/<log 2>?offset=0&len=3", ""),
    ("GET", "/messages/<log 2>?offset=-1&encoding=base64", ""),
    ("GET", "/messages/<log 2>?offset=5", ""),
    ("GET", "/message/<log 2>?encoding=base64", ""),
    ("GET", "/message/<log 2>", ""),
    ("GET", "/message/<log 2>?offset=0", ""),
    ("POST", "/message/<log 2>/key", r#"{"encoding":"string","key":"a"}"#),
    ("POST", "/message/<log 2>/key", r#"{"encoding":"string","key":"z"}"#),
    ("DELETE", "/messages/<log 2>", r#"{"trim_count":2}"#),
    ("GET", "/messages/<log 2>?encoding=base64", ""),
    ("POST", "/offsets", r#"{"log_id":"<log 2>","metadata":"mine"}"#),
    ("GET", "/offsets", ""),
    ("GET", "/offset/<off 1>", ""),
    ("PATCH", "/offset/<off 1>", r#"{"value":3,"value_metadata":"done"}"#),
    ("GET", "/messages/<log 2>?offset_id=<off 1>&encoding=base64", ""),
    ("DELETE", "/offset/<off 1>", ""),
    ("GET", "/offset/<off 1>", ""),
    ("POST", "/egress_webhooks", r#"{"log_id":"<log 2>","destination":"https://hooks.example/in","metadata":"hook"}"#),
    ("POST", "/egress_webhooks", r#"{"log_id":"<log 2>","destination":"ftp://hooks.example/"}"#),
    ("GET", "/egress_webhooks", ""),
    ("GET", "/egress_webhook/<ewh 1>", ""),
    ("PATCH", "/egress_webhook/<ewh 1>", r#"{"active":false,"metadata":"resting"}"#),
    ("PATCH", "/egress_webhook/<ewh 1>/secret", r#"{"expire_seconds":60}"#),
    ("GET", "/egress_webhook/<ewh 1>/status", ""),
    ("DELETE", "/egress_webhook/<ewh 1>", ""),
    ("GET", "/egress_webhook/<ewh 1>/status", ""),
    ("POST", "/logs", r#"{"metadata":"wanted"}"#),
    (
        "POST",
        "/filters",
        r#"{"source_id":"<log 2>","target_id":"<log 3>","expression":"key == 'b'","metadata":"bees","offset":-2}"#,
    ),
    ("POST", "/filters", r#"{"source_id":"<log 3>","target_id":"<log 2>","expression":"true"}"#),
    ("POST", "/filters", r#"{"source_id":"<log 2>","target_id":"<log 3>","expression":"kye == 'b'"}"#),
    ("POST", "/filters", r#"{"source_id":"<log 2>","target_id":"<log 3>","expression":"offset"}"#),
    ("GET", "/filters", ""),
    ("GET", "/filter/<trf 1>", ""),
    ("PATCH", "/filter/<trf 1>", r#"{"active":false,"expression":"key == 'c'"}"#),
    ("GET", "/filter/<trf 1>/status", ""),
    ("DELETE", "/filter/<trf 1>", ""),
    ("GET", "/filter/<trf 1>", ""),
    ("POST", "/ingress_webhooks", r#"{"log_id":"<log 3>","type":"gitHub","secret":"hunter2","metadata":"pushes"}"#),
    ("POST", "/ingress_webhooks", r#"{"log_id":"<log 3>","type":"github","secret":"hunter2"}"#),
    ("GET", "/ingress_webhooks", ""),
    ("GET", "/ingress_webhook/<iwh 1>", ""),
    ("PATCH", "/ingress_webhook/<iwh 1>", r#"{"secret":"hunter3","expire_seconds":60}"#),
    ("POST", "/ingress_webhook/<iwh 1>", r#"{"zen":"unsigned"}"#),
    ("DELETE", "/ingress_webhook/<iwh 1>", ""),
    ("DELETE", "/log/<log 2>", ""),
    ("PUT", "/logs", "{}"),
];

/// What chance has chosen, by the name that stands for it.
#[derive(Default)]
struct Names {
    real: BTreeMap<String, String>,
    counts: BTreeMap<&'static str, usize>,
}

impl Names {
    /// With every name replaced by what it stands for.
    fn real(&self, text: &str) -> String {
        self.real.iter().fold(text.to_owned(), |text, (name, real)| text.replace(name, real))
    }

    /// The other way round; what is new gets a name.
    fn named(&mut self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        const KINDS: [(&str, &str, usize); 7] = [
            ("log_", "log", 27),
            ("off_", "off", 27),
            ("ewh_", "ewh", 27),
            ("trf_", "trf", 27),
            ("iwh_", "iwh", 27),
            ("ewhsec_", "secret", 33),
            ("whsec_", "standard secret", 56),
        ];
        while let Some(c) = rest.chars().next() {
            let boundary = !out.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
            let found = KINDS.iter().filter(|_| boundary).find_map(|(prefix, name, length)| {
                let behind = rest.strip_prefix(prefix)?;
                let end = behind.find(|c: char| !c.is_ascii_alphanumeric() && !"+/=".contains(c));
                (end == Some(*length)).then(|| (*name, &rest[..prefix.len() + length]))
            });
            match found {
                Some((kind, real)) => {
                    out.push_str(&self.name(kind, real));
                    rest = &rest[real.len()..];
                }
                None => {
                    out.push(c);
                    rest = &rest[c.len_utf8()..];
                }
            }
        }
        out
    }

    fn name(&mut self, kind: &'static str, real: &str) -> String {
        if let Some((name, _)) = self.real.iter().find(|(_, known)| *known == real) {
            return name.clone();
        }
        let count = self.counts.entry(kind).or_default();
        *count += 1;
        let name = format!("<{kind} {count}>");
        self.real.insert(name.clone(), real.to_owned());
        name
    }
}

async fn answer(world: &World, method: &str, path: &str, body: &str) -> (u16, String) {
    let request = Request::builder().method(method).uri(path);
    let request = if body.is_empty() { request } else { request.header(header::CONTENT_TYPE, "application/json") };
    let answer = world.router.clone().oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
    let status = answer.status().as_u16();
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/json", "{method} {path}");
    let body = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// The route that answers a call.
fn route(method: &str, path: &str) -> Option<&'static Route> {
    let matches = |route: &&Route| {
        let (mut have, mut want) = (path.split('?').next().unwrap().split('/'), route.path.split('/'));
        loop {
            match (have.next(), want.next()) {
                (None, None) => return route.method == method,
                (Some(have), Some(want)) if have == want || (want == "{id}" && have.starts_with('<')) => {}
                _ => return false,
            }
        }
    };
    ROUTES.iter().find(matches)
}

/// Has every field of an answer described, with its type, and every field that is always there be there.
fn told(route: &Route, answer: &str) {
    let fields = route.gives();
    if fields.is_empty() {
        return;
    }
    let answer: Value = serde_json::from_str(answer).unwrap();
    let at = format!("{} {}", route.method, route.path);
    compare(&at, "", &answer, &fields);
}

fn compare(at: &str, prefix: &str, object: &Value, fields: &[Given]) {
    let object = object.as_object().unwrap_or_else(|| panic!("{at}: {prefix} is no object: {object}"));
    let field = |name: &str| fields.iter().find(|field| field.name == format!("{prefix}{name}"));
    for (name, value) in object {
        let field = field(name).unwrap_or_else(|| panic!("{at}: {prefix}{name} is not described"));
        let right = match field.kind {
            "text" => value.is_string(),
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            "list of tables" => value.is_array(),
            other => panic!("{at}: {other} is no type"),
        };
        assert!(right, "{at}: {prefix}{name} is no {}: {value}", field.kind);
        for item in value.as_array().into_iter().flatten() {
            compare(at, &format!("{prefix}{name}[]."), item, fields);
        }
    }
    let mine = fields.iter().filter_map(|field| Some((field, field.name.strip_prefix(prefix)?)));
    for (field, name) in mine.filter(|(field, name)| field.always && !name.contains('.')) {
        assert!(object.contains_key(name), "{at}: there is no {}", field.name);
    }
}

#[tokio::test]
async fn every_call_is_answered_as_it_is_written_down() {
    let world = World::new().await;
    let mut names = Names::default();
    let mut seen = String::new();
    for (method, path, body) in CALLS {
        let (status, text) = answer(&world, method, &names.real(path), &names.real(body)).await;
        if status == 200 {
            told(route(method, path).unwrap(), &text);
        }
        let text = names.named(&text);
        seen.push_str(format!("{method} {path} {body}").trim_end());
        seen.push_str(&format!("\n-> {status}\n{text}\n\n"));
    }
    for wanted in ROUTES {
        let asked = CALLS.iter().filter_map(|(method, path, _)| route(method, path));
        let found = asked.into_iter().any(|route| (route.method, route.path) == (wanted.method, wanted.path));
        assert!(found, "{} {} is not among the calls", wanted.method, wanted.path);
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/calls.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, &seen).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(seen, written, "differs from {}; UPDATE_GOLDEN=1 writes it anew", file.display());
}
