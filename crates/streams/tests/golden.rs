//! Every call with its answer, word for word: `golden/calls.txt`. `UPDATE_GOLDEN=1` writes it anew; what has changed then
//! is for a person to read. Ids and secrets stand as `<log 1>`, `<secret 1>`.

mod world;

use axum::body::{Body, to_bytes};
use http::{Request, header};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use tower::ServiceExt;
use waybill_spool::MemoryStore;
use waybill_streams::{Given, Late, ROUTES, Route, router};
use waybill_streams_core::{Code, Limits};
use world::{Open, World};

/// What is refused above is short then.
fn limits() -> Limits {
    Limits {
        key: 16,
        value: 64,
        publish_messages: 4,
        metadata: 64,
        logs: 2,
        offsets: 1,
        egress_webhooks: 3,
        filters: 2,
        ingress_webhooks: 7,
        ..Limits::default()
    }
}

/// Codes that no call below is answered with, and the test that sees them.
const ELSEWHERE: &[(Code, &str)] = &[
    (Code::PathNotFound, "errors_are_json_on_stderr_and_the_listener_answers_as_klev_does (scenarios)"),
    (Code::AuthorizationHeaderMissing, "whoever_asks_is_on_this_machine_or_shows_a_token_for_it (waybill)"),
    (Code::AuthorizationHeaderInvalid, "a_wrong_token_is_401_for_everyone (authorizer)"),
    (Code::TokenNotFound, "every_request_of_the_transcript_is_answered_as_it_says (http-api)"),
    (Code::TokenAclNotAllowed, "every_request_of_the_transcript_is_answered_as_it_says (http-api)"),
    (Code::AclSubjectInvalid, "what_is_no_permission_names_its_code_and_what_there_is (tokens)"),
    (Code::AclActionInvalid, "what_is_no_permission_names_its_code_and_what_there_is (tokens)"),
    (Code::ServerError, "before_the_store_is_open_every_call_says_so (here)"),
    (Code::IngressWebhookPathInvalid, "none: the path of an ingress webhook is ours to choose"),
];

/// Path and name of fields that no call below is answered with, and the test that sees them.
const FIELDS_ELSEWHERE: &[(&str, &str, &str)] = &[
    ("/egress_webhook/{id}/status", "deliver_error", "a_failure_keeps_the_message_and_nothing_overtakes_it"),
    ("/egress_webhook/{id}/status", "parked_offset", "one_parked_message_is_skipped_for_good_and_its_key_goes_on"),
    ("/egress_webhook/{id}/status", "held_up", "with_as_many_rows_as_may_be_the_cursor_stops (streams-core)"),
    ("/filter/{id}/status", "deliver_error", "what_matches_is_copied_with_its_time_key_and_value"),
    (
        "/filter/{id}/status",
        "next_deliver_time",
        "a_target_that_cannot_be_written_is_tried_again_and_nothing_is_passed_over (streams-core)",
    ),
    ("/filter/{id}/status", "late", "a_view_tells_how_each_mail_ended_and_what_comes_late_does_not_change_it"),
];

/// Calls, in an order in which each finds what it needs. Words behind a method are headers, `name:value`; a body comes with
/// `content-type:application/json` unless they name another type, or none. Signatures are those of [`NOW`](world::NOW).
const CALLS: &[(&str, &str, &str)] = &[
    ("GET", "/", ""),
    ("GET", "/logs", ""),
    (
        "POST",
        "/logs",
        r#"{"metadata":"orders","compacting":true,"trim_seconds":86400,"trim_size":1048576,"trim_count":100,"compact_seconds":60,"expire_seconds":3600}"#,
    ),
    ("POST", "/logs", r#"{"compact_seconds":60}"#),
    ("POST", "/logs", r#"{"tenant":""}"#),
    ("POST", "/logs", r#"{"metadata":"0123456789012345678901234567890123456789012345678901234567890123456789"}"#),
    ("POST", "/logs", r#"{"metadata":"#),
    ("POST", "/logs", r#"{"colour":"blue"}"#),
    ("POST content-type:", "/logs", "{}"),
    ("POST content-type:text/plain", "/logs", "{}"),
    ("GET", "/logs?metadata=orders", ""),
    ("GET", "/log/<log 2>", ""),
    ("GET", "/log/log_1", ""),
    ("GET", "/log/1", ""),
    ("GET", "/log/off_000000000000000000000000000", ""),
    ("GET", "/log/log_00000000000000000000000000-", ""),
    ("GET", "/log/log_000000000000000000000000000", ""),
    ("GET", "/offset/log_000000000000000000000000000", ""),
    ("GET", "/egress_webhook/ewh_1", ""),
    ("GET", "/filter/1", ""),
    ("GET", "/ingress_webhook/iwh_00000000000000000000000000-", ""),
    (
        "PATCH",
        "/log/<log 2>",
        r#"{"metadata":"more orders","trim_seconds":0,"trim_size":0,"trim_count":0,"compact_seconds":90,"expire_seconds":0}"#,
    ),
    ("PATCH", "/log/<log 2>", r#"{"compacting":false}"#),
    (
        "POST",
        "/messages/<log 2>",
        r#"{"encoding":"string","messages":[{"key":"a","value":"1"},{"time":5,"key":"a","value":null},{"value":""}]}"#,
    ),
    ("POST", "/message/<log 2>", r#"{"encoding":"base64","key":"Yg==","value":"/w=="}"#),
    ("POST", "/message/<log 2>", r#"{"encoding":"hex","value":"ff"}"#),
    ("POST", "/message/<log 2>", r#"{"key":"0123456789abcdefg"}"#),
    (
        "POST",
        "/message/<log 2>",
        r#"{"value":"0123456789012345678901234567890123456789012345678901234567890123456789"}"#,
    ),
    ("POST", "/messages/<log 2>", r#"{"messages":[{},{},{},{},{}]}"#),
    ("POST", "/message/<log 1>", r#"{"value":"forged"}"#),
    ("GET", "/log/<log 2>/stats", ""),
    ("GET", "/messages/<log 2>?offset=0&len=3", ""),
    ("GET", "/messages/<log 2>?offset=-1&encoding=base64", ""),
    ("GET", "/messages/<log 2>?offset=5", ""),
    ("GET", "/messages/<log 2>?time=5&len=1&encoding=base64", ""),
    ("GET", "/messages/<log 2>?time=noon", ""),
    ("GET", "/messages/<log 2>?offset=-4", ""),
    ("GET", "/messages/<log 2>?offset=x", ""),
    ("GET", "/messages/<log 2>?offset_id=x", ""),
    ("GET", "/messages/<log 2>?len=0", ""),
    ("GET", "/messages/<log 2>?len=1001", ""),
    ("GET", "/messages/<log 2>?poll=x", ""),
    ("GET", "/messages/<log 2>?poll=30001", ""),
    ("GET", "/messages/<log 2>?encoding=hex", ""),
    ("GET", "/messages/<log 2>?encoding=string", ""),
    ("GET", "/message/<log 2>?encoding=base64", ""),
    ("GET", "/message/<log 2>", ""),
    ("GET", "/message/<log 2>?offset=0", ""),
    ("POST", "/message/<log 2>/key", r#"{"encoding":"string","key":"a"}"#),
    ("POST", "/message/<log 2>/key", r#"{"encoding":"base64","key":"Yg=="}"#),
    ("POST", "/message/<log 2>/key", r#"{"encoding":"string","key":"z"}"#),
    ("DELETE", "/messages/<log 2>", r#"{"trim_count":2}"#),
    (
        "DELETE",
        "/messages/<log 2>?trim_seconds=60&trim_size=1024&trim_count=2&compact_seconds=60&expire_seconds=60",
        "",
    ),
    ("DELETE", "/messages/<log 2>?trim_count=all", ""),
    ("GET", "/message/<log 2>?offset=0", ""),
    ("GET", "/messages/<log 2>?encoding=base64", ""),
    ("POST", "/offsets", r#"{"log_id":"log_000000000000000000000000000"}"#),
    ("POST", "/offsets", r#"{"log_id":"<log 2>","metadata":"mine"}"#),
    ("POST", "/offsets", r#"{"log_id":"<log 2>"}"#),
    ("GET", "/messages/<log 1>?offset_id=<off 1>", ""),
    ("GET", "/offsets", ""),
    ("GET", "/offset/<off 1>", ""),
    ("PATCH", "/offset/<off 1>", r#"{"metadata":"ours","value":3,"value_metadata":"done"}"#),
    ("GET", "/messages/<log 2>?offset_id=<off 1>&encoding=base64", ""),
    ("DELETE", "/offset/<off 1>", ""),
    ("GET", "/offset/<off 1>", ""),
    ("POST", "/egress_webhooks", r#"{"log_id":"<log 2>","destination":"https://hooks.example/in","metadata":"hook"}"#),
    ("POST", "/egress_webhooks", r#"{"log_id":"<log 2>","destination":"ftp://hooks.example/"}"#),
    ("POST", "/egress_webhooks", r#"{"destination":"https://hooks.example/in"}"#),
    ("POST", "/egress_webhooks", r#"{"log_id":"<log 2>","destination":"https://hooks.example/in","payload":"all"}"#),
    (
        "PATCH",
        "/egress_webhook/<ewh 1>",
        r#"{"metadata":"0123456789012345678901234567890123456789012345678901234567890123456789"}"#,
    ),
    ("GET", "/egress_webhooks", ""),
    ("GET", "/egress_webhook/<ewh 1>", ""),
    (
        "PATCH",
        "/egress_webhook/<ewh 1>",
        r#"{"active":false,"metadata":"resting","destination":"https://hooks.example/later"}"#,
    ),
    ("PATCH", "/egress_webhook/<ewh 1>", r#"{"skip":9}"#),
    ("PATCH", "/egress_webhook/<ewh 1>", r#"{"skip":9,"next_time":0}"#),
    ("PATCH", "/egress_webhook/<ewh 1>", r#"{"next_time":9000000000000000}"#),
    ("PATCH", "/egress_webhook/<ewh 1>/secret", r#"{"expire_seconds":60}"#),
    ("GET", "/egress_webhook/<ewh 1>/status", ""),
    (
        "POST",
        "/egress_webhooks",
        r#"{"log_id":"<log 2>","destination":"https://hooks.example/in","payload":"value","mode":"parallel_by_key","metadata":"bykey"}"#,
    ),
    ("GET", "/egress_webhooks?metadata=bykey", ""),
    ("GET", "/egress_webhook/<ewh 2>", ""),
    ("PATCH", "/egress_webhook/<ewh 2>/secret", r#"{"expire_seconds":0}"#),
    ("GET", "/egress_webhook/<ewh 2>/status", ""),
    (
        "POST",
        "/egress_webhooks",
        r#"{"log_id":"<log 2>","destination":"https://hooks.example/in","payload":"key","offset":-2}"#,
    ),
    ("GET", "/egress_webhook/<ewh 3>/status", ""),
    ("POST", "/egress_webhooks", r#"{"log_id":"<log 2>","destination":"https://hooks.example/in"}"#),
    ("DELETE", "/egress_webhook/<ewh 1>", ""),
    ("GET", "/egress_webhook/<ewh 1>/status", ""),
    ("POST", "/logs", r#"{"metadata":"wanted","tenant":"acme"}"#),
    ("GET", "/logs?metadata=wanted", ""),
    ("GET", "/log/<log 3>", ""),
    ("POST", "/logs", r#"{"metadata":"one too many"}"#),
    ("POST", "/message/<log 3>/key", r#"{"key":"a"}"#),
    ("POST idempotency-key:order-1", "/message/<log 3>", r#"{"value":"once"}"#),
    ("POST idempotency-key:order-1", "/message/<log 3>", r#"{"value":"once"}"#),
    ("POST idempotency-key:order-1", "/message/<log 3>", r#"{"value":"twice"}"#),
    ("POST idempotency-key:order-1 idempotency-key:order-2", "/message/<log 3>", r#"{"value":"once"}"#),
    (
        "POST",
        "/filters",
        r#"{"source_id":"<log 2>","target_id":"<log 3>","expression":"key == 'b'","metadata":"bees","offset":-2}"#,
    ),
    ("GET", "/filters", ""),
    ("POST", "/filters", r#"{"source_id":"<log 3>","target_id":"<log 2>","expression":"true"}"#),
    ("POST", "/filters", r#"{"source_id":"<log 2>","target_id":"<log 3>","expression":"kye == 'b'"}"#),
    ("POST", "/filters", r#"{"source_id":"<log 2>","target_id":"<log 3>","expression":"offset"}"#),
    ("POST", "/filters", r#"{"source_id":"<log 2>","target_id":"<log 3>","mode":"last_state"}"#),
    ("POST", "/filters", r#"{"source_id":"<log 3>","target_id":"<log 2>","mode":"latest"}"#),
    (
        "PATCH",
        "/filter/<trf 1>",
        r#"{"metadata":"0123456789012345678901234567890123456789012345678901234567890123456789"}"#,
    ),
    ("POST", "/filters", r#"{"source_id":"<log 1>","target_id":"<log 2>","mode":"last_state","metadata":"last"}"#),
    ("GET", "/filters?metadata=last", ""),
    ("GET", "/filter/<trf 2>", ""),
    ("GET", "/filter/<trf 2>/status", ""),
    ("POST", "/filters", r#"{"source_id":"<log 1>","target_id":"<log 2>","expression":"true"}"#),
    ("GET", "/filters?metadata=bees", ""),
    ("GET", "/filter/<trf 1>", ""),
    ("PATCH", "/filter/<trf 1>", r#"{"active":false,"expression":"key == 'c'"}"#),
    ("GET", "/filter/<trf 1>/status", ""),
    ("DELETE", "/filter/<trf 1>", ""),
    ("GET", "/filter/<trf 1>", ""),
    ("POST", "/ingress_webhooks", r#"{"log_id":"<log 3>","type":"gitHub","secret":"hunter2","metadata":"pushes"}"#),
    ("GET", "/ingress_webhooks", ""),
    ("POST", "/ingress_webhooks", r#"{"log_id":"<log 3>","type":"github","secret":"hunter2"}"#),
    ("POST", "/ingress_webhooks", r#"{"log_id":"<log 3>","type":"gitHub"}"#),
    ("POST", "/ingress_webhooks", r#"{"log_id":"<log 1>","type":"slack","secret":"hunter2"}"#),
    (
        "PATCH",
        "/ingress_webhook/<iwh 1>",
        r#"{"metadata":"0123456789012345678901234567890123456789012345678901234567890123456789"}"#,
    ),
    (
        "POST",
        "/ingress_webhooks",
        r#"{"log_id":"<log 3>","type":"klev-message","secret":"ewhsec_4WWS5n4YcVrX8FhtxTKG3ctFHud3amGsr"}"#,
    ),
    (
        "POST",
        "/ingress_webhooks",
        r#"{"log_id":"<log 3>","type":"klev-key","secret":"ewhsec_4WWS5n4YcVrX8FhtxTKG3ctFHud3amGsr"}"#,
    ),
    (
        "POST",
        "/ingress_webhooks",
        r#"{"log_id":"<log 3>","type":"klev-value","secret":"ewhsec_4WWS5n4YcVrX8FhtxTKG3ctFHud3amGsr"}"#,
    ),
    ("POST", "/ingress_webhooks", r#"{"log_id":"<log 3>","type":"slack","secret":"hunter2"}"#),
    ("POST", "/ingress_webhooks", r#"{"log_id":"<log 3>","type":"stripe","secret":"hunter2"}"#),
    (
        "POST",
        "/ingress_webhooks",
        r#"{"log_id":"<log 3>","type":"standard","secret":"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}"#,
    ),
    ("POST", "/ingress_webhooks", r#"{"log_id":"<log 3>","type":"slack","secret":"hunter2"}"#),
    ("GET", "/ingress_webhooks?metadata=pushes", ""),
    ("GET", "/ingress_webhook/<iwh 1>", ""),
    ("POST", "/ingress_webhook/<iwh 1>", r#"{"zen":"unsigned"}"#),
    (
        "POST x-github-event:push \
         x-hub-signature-256:sha256=265ea48f2e0ca2f43dd4b02ae905258d63acd5688a0dbe154525b0c42d15b9a9",
        "/ingress_webhook/<iwh 1>",
        r#"{"zen":"forged"}"#,
    ),
    (
        "POST x-github-event:push \
         x-hub-signature-256:sha256=265ea48f2e0ca2f43dd4b02ae905258d63acd5688a0dbe154525b0c42d15b9a9",
        "/ingress_webhook/<iwh 1>",
        r#"{"zen":"signed"}"#,
    ),
    (
        "POST x-github-event:push x-waybill-hops:8 \
         x-hub-signature-256:sha256=265ea48f2e0ca2f43dd4b02ae905258d63acd5688a0dbe154525b0c42d15b9a9",
        "/ingress_webhook/<iwh 1>",
        r#"{"zen":"signed"}"#,
    ),
    (
        "POST x-klev-signature:t=1700000000;v1=33876761f42c77ff1c321499748b6c54a8d9370086fd1688a5dc7bffd707ac8b",
        "/ingress_webhook/<iwh 2>",
        r#"{"encoding":"base64","offset":3,"time":77,"key":"aw==","value":"/w=="}"#,
    ),
    (
        "POST x-klev-signature:t=1700000000;v1=815c9b712d5ff9c7b2927cc6c2392b5015e866b41b25fa2d48481004d820ee63",
        "/ingress_webhook/<iwh 2>",
        "hello",
    ),
    (
        "POST x-klev-signature:t=1700000000;v1=0dc991839a2d0c4d6cabfb837587b6b33228af457424f9e7c1bd434ff112c74d",
        "/ingress_webhook/<iwh 3>",
        "key",
    ),
    (
        "POST x-klev-signature:t=1700000000;v1=b7cd2d2bf5297ae4f0557d3feb71e6abb049c00b3314abb4dffb5e905848bfed",
        "/ingress_webhook/<iwh 4>",
        "value",
    ),
    (
        "POST x-slack-request-timestamp:1700000000 \
         x-slack-signature:v0=cf77f2d54e0893d03c3aac6e4eb9adb4be3707ba256233455992c647a41ab3ed",
        "/ingress_webhook/<iwh 5>",
        r#"{"type":"url_verification","challenge":"3eZbrw1a"}"#,
    ),
    (
        "POST x-slack-request-timestamp:1700000000 \
         x-slack-signature:v0=a63dc36b0f73b15b5779946ab562d8d98fec33144ab2e322e27b1434519ebf24",
        "/ingress_webhook/<iwh 5>",
        r#"{"event_id":"Ev1"}"#,
    ),
    (
        "POST stripe-signature:t=1700000000,v1=e1db51c0e9885385eaa636c8b1a55823795f08fb9b99c1ba0931e5959a0320f7",
        "/ingress_webhook/<iwh 6>",
        r#"{"id":"evt_1"}"#,
    ),
    (
        "POST webhook-id:msg_1 webhook-timestamp:1700000000 \
         webhook-signature:v1,hVsFLpmw4Ib/Xm0eZLt3KqYBZdt0U8gdGeuz0EsGv78=",
        "/ingress_webhook/<iwh 7>",
        r#"{"a":1}"#,
    ),
    ("GET", "/messages/<log 3>?encoding=base64", ""),
    ("PATCH", "/ingress_webhook/<iwh 1>", r#"{"secret":"hunter3","expire_seconds":60}"#),
    ("DELETE", "/ingress_webhook/<iwh 1>", ""),
    ("GET", "/ingress_webhook/<iwh 1>", ""),
    ("DELETE", "/log/<log 2>", ""),
    ("PUT", "/logs", "{}"),
];

/// The id of nothing.
const NOTHING: &str = "000000000000000000000000000";

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
                // What was never made was not chosen by chance either.
                let chosen = !behind.starts_with(NOTHING);
                (chosen && end == Some(*length)).then(|| (*name, &rest[..prefix.len() + length]))
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

/// Status, headers and body of an answer. What goes without saying is left out: that it is JSON, and its length.
async fn answer(world: &World, call: &str, path: &str, body: &str) -> (u16, String, String) {
    let mut words = call.split(' ');
    let request = Request::builder().method(words.next().unwrap()).uri(path);
    let mut headers: Vec<(&str, &str)> = words.map(|word| word.split_once(':').unwrap()).collect();
    if !body.is_empty() && headers.iter().all(|(name, _)| *name != "content-type") {
        headers.push(("content-type", "application/json"));
    }
    let headers = headers.into_iter().filter(|(_, value)| !value.is_empty());
    let request = headers.fold(request, |request, (name, value)| request.header(name, value));
    let answer = world.router.clone().oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
    let (head, body) = answer.into_parts();
    assert!(head.headers.contains_key(header::CONTENT_TYPE), "{call} {path}");
    let headers = head.headers.iter().map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap()));
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let usual = ["content-type: application/json\n".to_owned(), format!("content-length: {}\n", body.len())];
    let headers = headers.filter(|line| !usual.contains(line)).collect();
    (head.status.as_u16(), headers, String::from_utf8(body.to_vec()).unwrap())
}

/// What goes on by itself comes to its end.
async fn settle() {
    for _ in 0..256 {
        tokio::task::yield_now().await;
    }
}

/// The route that answers a call.
fn route(call: &str, path: &str) -> Option<&'static Route> {
    let method = call.split(' ').next()?;
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

/// Has every field of an answer described, with its type, and every field that is always there be there. Notes those that are.
fn told(route: &'static Route, answer: &str, seen: &mut BTreeSet<(&'static str, String)>) {
    let fields = route.gives();
    if fields.is_empty() {
        return;
    }
    let answer: Value = serde_json::from_str(answer).unwrap();
    let at = format!("{} {}", route.method, route.path);
    let mut note = |name: String| {
        seen.insert((route.path, name));
    };
    compare(&at, "", &answer, &fields, &mut note);
}

fn compare(at: &str, prefix: &str, object: &Value, fields: &[Given], note: &mut dyn FnMut(String)) {
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
        note(field.name.clone());
        for item in value.as_array().into_iter().flatten() {
            compare(at, &format!("{prefix}{name}[]."), item, fields, note);
        }
    }
    let mine = fields.iter().filter_map(|field| Some((field, field.name.strip_prefix(prefix)?)));
    for (field, name) in mine.filter(|(field, name)| field.always && !name.contains('.')) {
        assert!(object.contains_key(name), "{at}: there is no {}", field.name);
    }
}

#[tokio::test]
async fn every_call_is_answered_as_it_is_written_down() {
    let world = World::over(Arc::new(MemoryStore::new()), limits(), Arc::new(Open)).await;
    let mut names = Names::default();
    let mut seen = String::new();
    let mut codes = BTreeSet::new();
    let mut fields = BTreeSet::new();
    for (call, path, body) in CALLS {
        settle().await;
        let (status, headers, text) = answer(&world, call, &names.real(path), &names.real(body)).await;
        if status == 200 {
            told(route(call, path).unwrap(), &text, &mut fields);
        } else {
            let refusal: Value = serde_json::from_str(&text).unwrap();
            codes.insert(refusal["code"].as_str().unwrap().to_owned());
        }
        let text = names.named(&text);
        seen.push_str(format!("{call} {path} {body}").trim_end());
        seen.push_str(&format!("\n-> {status}\n{headers}{text}\n\n"));
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/calls.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, &seen).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(seen, written, "differs from {}; UPDATE_GOLDEN=1 writes it anew", file.display());
    let mut missing = Vec::new();
    for wanted in ROUTES {
        let mut asked = CALLS.iter().filter_map(|(call, path, _)| route(call, path));
        if !asked.any(|route| (route.method, route.path) == (wanted.method, wanted.path)) {
            missing.push(format!("no call of {} {}", wanted.method, wanted.path));
        }
        for field in wanted.gives() {
            let mut elsewhere = FIELDS_ELSEWHERE.iter();
            let elsewhere = elsewhere.any(|(path, name, _)| (*path, *name) == (wanted.path, &field.name));
            if fields.contains(&(wanted.path, field.name.clone())) == elsewhere {
                missing.push(format!("{}: {}, said to be elsewhere: {elsewhere}", wanted.path, field.name));
            }
        }
    }
    for code in Code::ALL {
        let elsewhere = ELSEWHERE.iter().any(|(known, _)| known == code);
        if codes.contains(code.text()) == elsewhere {
            missing.push(format!("{code}, said to be elsewhere: {elsewhere}"));
        }
    }
    missing.dedup();
    assert!(missing.is_empty(), "{missing:#?}");
}

#[tokio::test]
async fn before_the_store_is_open_every_call_says_so() {
    let router = router(Late::default(), Arc::new(Open));
    for route in ROUTES {
        let path = route.path.replace("{id}", "log_000000000000000000000000000");
        let id_of = |prefix: &str| path.replace("log_0", &format!("{prefix}_0"));
        let path = match route.path.split('/').nth(1).unwrap() {
            "offset" => id_of("off"),
            "egress_webhook" => id_of("ewh"),
            "ingress_webhook" => id_of("iwh"),
            "filter" => id_of("trf"),
            _ => path,
        };
        let request = Request::builder().method(route.method).uri(&path).body(Body::empty()).unwrap();
        let answer = router.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.status().as_u16(), 503, "{} {path}", route.method);
        let body = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        assert_eq!(body, r#"{"code":"server-error","message":"waiting for spool startup"}"#, "{path}");
    }
}
