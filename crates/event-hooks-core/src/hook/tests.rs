use super::*;
use crate::{Catalogue, HashKey};
use serde_json::Map;

fn read(json: Value) -> Result<Draft, Violations> {
    let Value::Object(map) = json else { panic!("an object") };
    Draft::read(&Document(map), Encoding::Json, &Catalogue::new())
}

fn why(json: Value) -> String {
    read(json).expect_err("it is refused").to_string()
}

fn webhook(more: Value) -> Value {
    let mut json =
        json!({"source": "log", "event": "Bounce", "handler": "webhook", "config": {"url": "https://h.example/"}});
    let merged = Document(json.as_object_mut().map(std::mem::take).unwrap_or_default());
    Value::Object(merged.merged(Document(more.as_object().cloned().unwrap_or_default())).0)
}

fn hook(more: Value) -> Hook {
    Hook::new(stamp(1000), read(webhook(more)).unwrap())
}

fn stamp(secs: i64) -> Stamp {
    Stamp { id: Uuid::from_u128(7), now: Timestamp::from_secs(secs) }
}

#[test]
fn a_hook_needs_a_source_and_a_handler_and_may_be_for_every_event() {
    assert_eq!(why(json!({})), "2 schema violations (handler: required field missing; source: required field missing)");
    let draft = read(json!({"source": "log", "handler": "log", "event": null, "config": null})).unwrap();
    assert_eq!(draft.event, None);
}

#[test]
fn an_unknown_source_event_handler_or_field_is_told_with_what_is_accepted() {
    assert_eq!(
        why(json!({"source": "mail", "handler": "log"})),
        "schema violation (source: expected one of: crud, dao:crud, endpoint, log, queue, throttle)"
    );
    assert_eq!(
        why(json!({"source": "dao:crud", "event": "x", "handler": "log"})),
        "schema violation (event: expected one of: create, delete, update)"
    );
    assert_eq!(
        why(json!({"source": "log", "handler": "webhok"})),
        "schema violation (handler: expected one of: webhook, webhook-custom, log, lambda)"
    );
    assert!(
        why(json!({"source": "log", "handler": "log", "snoze": 1})).contains("snoze: unknown field; accepted are: ")
    );
    assert_eq!(
        why(json!({"source": "log", "handler": "log", "config": {"url": "x"}})),
        "schema violation (config.url: unknown field; none is accepted here)"
    );
}

#[test]
fn a_webhook_needs_a_url_and_its_violation_reads_as_the_contract_says() {
    let violations = read(json!({"source": "log", "handler": "webhook"})).unwrap_err();
    assert_eq!(
        violations.to_json(),
        json!({
            "message": "schema violation (config.url: required field missing)",
            "name": "schema violation",
            "fields": {"config": {"url": "required field missing"}},
        })
    );
}

#[test]
fn values_of_another_type_are_told_and_not_repeated() {
    let text = why(webhook(json!({
        "snooze": "soon", "on_change": 1, "filter": 7, "fields": "a", "batch": 0, "max_age": "long", "rate": "fast",
        "config": {"url": "ftp://h/", "headers": {"a b": "x"}, "secret": 12_345, "ssl_verify": "no"},
    })));
    for part in [
        "snooze: expected an integer",
        "on_change: expected a boolean",
        "filter: expected a string",
        "fields: expected an array of strings",
        "batch: value should be between 1 and 1000",
        "max_age: expected a duration",
        "rate: ",
        "config.url: has the scheme",
        "config.headers: ",
        "config.secret: expected a string",
        "config.ssl_verify: expected a boolean",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains("12345"), "{text}");
}

#[test]
fn a_form_s_texts_become_what_the_fields_hold_and_come_back_as_that() {
    let form = "source=log&event=Bounce&handler=webhook&snooze=60&on_change=true&fields=queue,response.code&\
                config.url=https%3A%2F%2Fh.example%2F&config.ssl_verify=false&batch=10";
    let document = Document::from_form(form.as_bytes()).unwrap();
    let draft = Draft::read(&document, Encoding::Form, &Catalogue::new()).unwrap();
    assert_eq!(draft.gate, GateRule { on_change: true, snooze: Some(Duration::from_secs(60)) });
    assert_eq!(draft.batch.map(|batch| (batch.events, batch.bytes)), Some((10, 1 << 20)));
    let hook = Hook::new(stamp(1), draft);
    let shown = hook.to_json();
    assert_eq!(shown["snooze"], 60);
    assert_eq!(shown["on_change"], true);
    assert_eq!(shown["config"]["ssl_verify"], false);
    assert_eq!(shown["fields"], json!(["queue", "response.code"]));
    // What was kept is JSON by now.
    assert_eq!(Hook::from_stored(&hook.to_stored(), &Catalogue::new()).unwrap().to_json(), shown);
}

#[test]
fn a_hook_is_shown_with_its_defaults_and_can_be_sent_back() {
    let shown = hook(json!({})).to_json();
    assert_eq!(shown["id"], "00000000-0000-0000-0000-000000000007");
    assert_eq!((&shown["created_at"], &shown["updated_at"]), (&json!(1000), &json!(1000)));
    assert_eq!((&shown["snooze"], &shown["on_change"]), (&Value::Null, &Value::Null));
    assert_eq!(
        shown["config"],
        json!({
            "url": "https://h.example/", "headers": {}, "secret": null, "signature_algorithm": "sha256",
            "ssl_verify": true, "timeout": 20, "secret_headers": null, "signature_header": null, "signatures": null,
            "compression": "none", "auth": null, "proxy": null, "tls": null,
        })
    );
    let again = Hook::new(stamp(1000), read(shown.clone()).unwrap());
    assert_eq!(again.to_json(), shown);
}

#[test]
fn the_defaults_of_webhook_custom_are_kong_s() {
    let config = json!({"url": "https://h.example/", "method": "POST"});
    let draft = read(json!({"source": "log", "handler": "webhook-custom", "config": config})).unwrap();
    let shown = Hook::new(stamp(1), draft).to_json();
    for (field, default) in [
        ("payload", Value::Null),
        ("payload_format", json!(true)),
        ("body", Value::Null),
        ("body_format", json!(true)),
        ("headers", Value::Null),
        ("headers_format", json!(false)),
        ("secret", Value::Null),
        ("ssl_verify", json!(true)),
    ] {
        assert_eq!(shown["config"][field], default, "{field}");
    }
}

#[test]
fn secrets_are_never_shown() {
    let headers =
        json!({"Authorization": "Bearer hunter2", "X-Api-Key": "hunter2", "Cookie": "hunter2", "x-team": "mail"});
    let hook = hook(json!({"config": {"secret": "hunter2", "headers": headers}}));
    let shown = hook.to_json();
    assert_eq!(shown["config"]["secret"], Value::Null);
    assert_eq!(
        shown["config"]["headers"],
        json!({"Authorization": null, "X-Api-Key": null, "Cookie": null, "x-team": "mail"})
    );
    for text in [shown.to_string(), format!("{:?}", hook.draft.document), crate::ping(&hook).to_string()] {
        assert!(!text.contains("hunter2"), "{text}");
    }
    assert!(String::from_utf8(hook.to_stored()).unwrap().contains("hunter2"), "whoever keeps it encrypts it");
}

#[test]
fn debug_of_a_hook_shows_no_secret() {
    let headers = json!({"x-a": "hunter2 {{ recipient }}"});
    let plain = json!({
        "url": "https://h.example/hunter2", "secret": "hunter2", "headers": {"x-pass": "hunter2"},
        "secret_headers": {"x-b": "hunter2"}, "auth": {"bearer": {"token": "hunter2"}},
    });
    let custom = json!({
        "source": "log", "handler": "webhook-custom",
        "config": {"url": "https://h.example/", "method": "POST", "headers": headers, "headers_format": true, "body": "hunter2"},
    });
    for text in [format!("{:?}", hook(json!({ "config": plain }))), format!("{:?}", read(custom).unwrap())] {
        assert!(!text.contains("hunter2"), "{text}");
    }
}

fn endpoint(hook: &Hook) -> waybill_webhook_core::EndpointConfig {
    hook.draft.target().expect("a target").endpoint(hook.secrets_before())
}

/// A `config` with every way to be somebody, and its parts in a form.
fn reached() -> Value {
    json!({
        "compression": "zstd", "secret": "hunter2-s",
        "auth": {"oauth2": {"token_url": "https://id.example/t", "client_id": "me", "client_secret": "hunter2-o",
                            "scope": "mail", "style": "body"}},
        "proxy": {"url": "http://proxy.example:3128", "username": "u", "password": "hunter2-p"},
        "tls": {"ca": "CA", "client_certificate": "CERT", "client_key": "hunter2-k"},
        "secret_headers": {"X-Pass": "hunter2-h"},
        "signature_header": {"header": "X-Hub-Signature-256", "value": "sha256={signature}"},
    })
}

#[test]
fn how_a_target_is_reached_is_read_whole_and_shown_without_what_is_secret() {
    let hook = hook(json!({ "config": reached() }));
    let endpoint = endpoint(&hook);
    assert!(
        matches!(&endpoint.auth, Some(waybill_webhook_core::Auth::Oauth2(oauth2)) if oauth2.client_secret.reveal() == "hunter2-o")
    );
    assert_eq!(
        endpoint.proxy.as_ref().and_then(|proxy| proxy.password.as_ref()).map(Secret::reveal),
        Some("hunter2-p")
    );
    assert_eq!(endpoint.tls.client_key.as_ref().map(Secret::reveal), Some("hunter2-k"));
    assert!(endpoint.tls.verify && endpoint.compression == waybill_webhook_core::Compression::Zstd);
    assert_eq!(endpoint.headers.get("x-pass").map(String::as_str), Some("hunter2-h"));
    assert_eq!(
        (&endpoint.sign.custom[0].signed, endpoint.sign.custom[0].secret.reveal()),
        (&"{body}".to_owned(), "hunter2-s")
    );
    let shown = hook.to_json();
    let config = &shown["config"];
    assert!(!shown.to_string().contains("hunter2"), "{shown}");
    assert_eq!(config["auth"]["oauth2"]["client_id"], "me");
    assert_eq!(config["auth"]["oauth2"]["client_secret"], Value::Null);
    assert_eq!(config["proxy"], json!({"url": "http://proxy.example:3128", "username": "u", "password": null}));
    assert_eq!(config["tls"], json!({"ca": "CA", "client_certificate": "CERT", "client_key": null}));
    assert_eq!(config["secret_headers"], json!({"X-Pass": null}));
    let again = Hook::from_stored(&hook.to_stored(), &Catalogue::new()).unwrap();
    assert_eq!((again.to_json(), again.to_stored()), (shown, hook.to_stored()));
}

#[test]
fn a_form_says_how_a_target_is_reached_with_dots() {
    let form = "source=log&handler=webhook&config.url=https%3A%2F%2Fh.example%2F&config.auth.basic.username=u\
                &config.auth.basic.password=true&config.proxy.url=http%3A%2F%2Fp.example%3A3128&config.compression=gzip\
                &config.secret_headers.x-pin=1234";
    let draft = Draft::read(&Document::from_form(form.as_bytes()).unwrap(), Encoding::Form, &Catalogue::new()).unwrap();
    let endpoint = endpoint(&Hook::new(stamp(1), draft));
    assert!(
        matches!(endpoint.auth, Some(waybill_webhook_core::Auth::Basic(basic)) if basic.password.reveal() == "true")
    );
    assert_eq!(endpoint.headers.get("x-pin").map(String::as_str), Some("1234"));
}

#[test]
fn what_is_wrong_with_how_a_target_is_reached_is_named_with_its_field() {
    for (config, part) in [
        (json!({"auth": {}}), "config.auth: expected one of: basic, bearer, oauth2"),
        (json!({"auth": "hunter2"}), "config.auth: expected a map"),
        (json!({"auth": {"digest": {}}}), "config.auth.digest: unknown field; accepted are: basic, bearer, oauth2"),
        (json!({"auth": {"bearer": {"token": "hunter2 x"}}}), "config.auth.bearer.token: a token is visible ASCII"),
        (json!({"auth": {"bearer": {"token": 7}}}), "config.auth.bearer.token: expected a string"),
        (
            json!({"auth": {"basic": {"username": "a:b", "password": "hunter2"}}}),
            "config.auth.basic.username: a user's name holds no colon",
        ),
        (
            json!({"auth": {"basic": {"username": "a", "password": "b"}, "bearer": {"token": "hunter2"}}}),
            "config.auth: expected one of",
        ),
        (
            json!({"auth": {"oauth2": {"client_id": "me", "client_secret": null}}}),
            "config.auth.oauth2.client_secret: required field missing",
        ),
        (
            json!({"auth": {"oauth2": {"token_url": "ftp://h/", "client_id": "me", "client_secret": "hunter2"}}}),
            "config.auth.oauth2.token_url: has the scheme \"ftp\"",
        ),
        (
            json!({"auth": {"bearer": {"token": "hunter2"}}, "headers": {"authorization": "x"}}),
            "config.auth: headers hold an Authorization already",
        ),
        (json!({"proxy": {"url": "https://p.example"}}), "config.proxy.url: a proxy is http://host:port"),
        (json!({"proxy": {"url": "http://p.example", "names": "proxy"}}), "config.proxy.names: unknown field"),
        (json!({"proxy": {"url": "http://p.example", "username": "u"}}), "config.proxy: username and password"),
        (json!({"tls": {"client_key": "hunter2"}}), "config.tls: client_certificate and client_key go together"),
        (json!({"tls": {"verify": false}}), "config.tls.verify: unknown field"),
        (json!({"compression": "br"}), "config.compression: expected one of: none, gzip, zstd"),
        (json!({"secret_headers": {"Host": "hunter2"}}), "config.headers: the header host cannot be set"),
        (json!({"secret_headers": {"x-a": "1"}, "headers": {"X-A": "2"}}), "config.headers: "),
        (json!({"signature_header": {"header": "x-a"}}), "config.signature_header: goes with secret"),
        (
            json!({"secret": "hunter2", "signature_header": {"header": "webhook-id"}}),
            "config.signature_header.header: ",
        ),
        (
            json!({"secret": "hunter2", "signature_header": {"header": "x-a", "value": "v1"}}),
            "config.signature_header.value: {signature} must appear",
        ),
    ] {
        let text = why(webhook(json!({ "config": config.clone() })));
        assert!(text.contains(part), "{config} gave {text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn a_patch_changes_one_secret_keeps_the_others_and_takes_out_what_is_null() {
    let old = hook(json!({ "config": reached() }));
    let patched = |patch: Value| {
        let document = old.patched(&Document(patch.as_object().cloned().unwrap_or_default())).unwrap();
        Draft::read(&document, Encoding::Json, &Catalogue::new())
            .map(|draft| old.updated(draft, Timestamp::from_secs(2000)))
    };
    let new =
        patched(json!({"config": {"auth": {"oauth2": {"scope": "other"}}, "tls": null, "proxy": {"password": "new"}}}));
    let new = endpoint(&new.unwrap());
    let Some(waybill_webhook_core::Auth::Oauth2(oauth2)) = new.auth else { panic!("still there") };
    assert_eq!((oauth2.scope.as_deref(), oauth2.client_secret.reveal()), (Some("other"), "hunter2-o"));
    assert_eq!(new.proxy.and_then(|proxy| proxy.password).map(|secret| secret.reveal().to_owned()), Some("new".into()));
    assert!(new.tls.ca.is_none() && new.headers.contains_key("x-pass"));
    let bearer = patched(
        json!({"config": {"auth": {"oauth2": null, "bearer": {"token": "t"}}, "secret_headers": {"X-Pass": null}}}),
    );
    let bearer = endpoint(&bearer.unwrap());
    assert!(matches!(bearer.auth, Some(waybill_webhook_core::Auth::Bearer(_))) && bearer.headers.is_empty());
}

#[test]
fn the_ping_document_is_kong_s() {
    let hook = hook(json!({"config": {"secret": "s"}}));
    let ping = crate::ping(&hook);
    assert_eq!(ping, json!({"source": "kong:event_hooks", "event": "ping", "event_hooks": hook.to_json()}));
}

#[test]
fn a_patch_keeps_the_secret_and_takes_out_what_is_null() {
    let old = hook(json!({"snooze": 5, "config": {"secret": "s1", "headers": {"x-a": "1", "x-b": "2"}}}));
    let patch = json!({"snooze": null, "config": {"headers": {"x-a": null}}});
    let document = old.patched(&Document(patch.as_object().cloned().unwrap_or_default())).unwrap();
    let draft = Draft::read(&document, Encoding::Json, &Catalogue::new()).unwrap();
    let new = old.updated(draft, Timestamp::from_secs(2000));
    let shown = new.to_json();
    assert_eq!((&shown["created_at"], &shown["updated_at"]), (&json!(1000), &json!(2000)));
    assert_eq!(shown["snooze"], Value::Null);
    assert_eq!(shown["config"]["headers"], json!({"x-b": "2"}));
    assert_eq!(new.draft.secret(SigningKey::Secret), Some(&Secret::new("s1")));
    assert!(new.secrets_before().is_empty());
}

const OLD: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";
const NEW: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

#[test]
fn a_replaced_secret_signs_on_for_the_overlap_and_is_dropped_at_once_where_that_is_nothing() {
    let old = hook(json!({"config": {"secret": OLD}}));
    let next = read(webhook(json!({"secret_overlap": "1h", "config": {"secret": NEW}}))).unwrap();
    let rotated = old.updated(next.clone(), Timestamp::from_secs(2000));
    let old_one = Replaced { key: SigningKey::Secret, secret: Secret::new(OLD), until: Timestamp::from_secs(5600) };
    assert_eq!(rotated.secrets_before(), [old_one]);
    let Handler::Webhook(handler) = &rotated.draft.handler else { panic!("a webhook") };
    let sign = handler.endpoint(rotated.secrets_before()).sign;
    let until: Vec<_> = sign.standard.iter().map(|dated| (dated.secret.reveal(), dated.until)).collect();
    assert_eq!(until, [(NEW, None), (OLD, Some(5600))]);
    assert_eq!(sign.kong.unwrap().secret.reveal(), NEW);
    assert!(handler.endpoint(rotated.secrets_before()).check().is_ok());

    let later = rotated.updated(next, Timestamp::from_secs(6000));
    assert!(later.secrets_before().is_empty(), "its time is over");
    let at_once = read(webhook(json!({"secret_overlap": 0, "config": {"secret": NEW}}))).unwrap();
    assert!(old.updated(at_once, Timestamp::from_secs(2000)).secrets_before().is_empty());
    let none = read(webhook(json!({}))).unwrap();
    assert!(old.updated(none, Timestamp::from_secs(2000)).secrets_before().is_empty(), "taken out, not replaced");
}

#[test]
fn the_signature_is_kong_s_and_its_algorithm_can_be_the_old_one() {
    let Handler::Webhook(handler) = hook(json!({"config": {"secret": "hunter2"}})).draft.handler else {
        panic!("a webhook")
    };
    let kong = handler.endpoint(&[]).sign.kong.unwrap();
    assert_eq!((kong.secret.reveal(), kong.algorithm.as_str()), ("hunter2", "sha256"));
    let config = json!({"config": {"secret": "hunter2", "signature_algorithm": "sha1"}});
    let Handler::Webhook(handler) = hook(config).draft.handler else { panic!("a webhook") };
    let endpoint = handler.endpoint(&[]);
    let signer = endpoint.sign.signer().unwrap();
    assert_eq!(signer.kong.unwrap().sign(b"foobar"), "sha1=47632029fcc7936dc59ff90b5bb736a44c74ab62");
    assert!(endpoint.sign.standard.is_empty());
}

#[test]
fn everything_survives_being_stored() {
    let old = hook(json!({
        "filter": "data.response.code >= 500", "fields": ["queue"], "hash": ["recipient"], "tenant": "t1",
        "format": "cloudevents", "batch": 5, "max_age": "7d", "rate": "10/s", "connections": 3, "snooze": 3, "config": {"secret": OLD},
    }));
    let next = read(webhook(json!({"config": {"secret": NEW}}))).unwrap();
    for hook in
        [old.clone(), old.updated(next, Timestamp::from_secs(2000)), old.disabled("410", Timestamp::from_secs(9))]
    {
        let again = Hook::from_stored(&hook.to_stored(), &Catalogue::new()).unwrap();
        assert_eq!(again.to_json(), hook.to_json());
        assert_eq!(again.secrets_before(), hook.secrets_before());
        assert_eq!(again.to_stored(), hook.to_stored());
    }
    let error = Hook::from_stored(b"{\"hunter2\"", &Catalogue::new()).unwrap_err().to_string();
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn a_hook_that_its_target_disabled_says_why_until_it_is_changed() {
    let hook = hook(json!({})).disabled("the target answered 410", Timestamp::from_secs(2000));
    let shown = hook.to_json();
    assert_eq!((&shown["enabled"], &shown["reason"]), (&json!(false), &json!("the target answered 410")));
    assert!(!hook.draft.enabled);
    let on = hook.patched(&Document(json!({"enabled": true}).as_object().cloned().unwrap_or_default())).unwrap();
    let draft = Draft::read(&on, Encoding::Json, &Catalogue::new()).unwrap();
    let shown = hook.updated(draft, Timestamp::from_secs(3000)).to_json();
    assert_eq!((&shown["enabled"], &shown["reason"]), (&json!(true), &Value::Null));
}

#[test]
fn a_hook_takes_events_of_its_source_event_and_tenant() {
    let data = Map::new();
    let event = |source, event, tenant| Event { id: "1", source, event, time: Timestamp::EPOCH, tenant, data: &data };
    let draft = read(webhook(json!({"tenant": "t1"}))).unwrap();
    assert!(draft.takes(&event("log", "Bounce", Some("t1"))));
    assert!(!draft.takes(&event("log", "Bounce", Some("t2"))));
    assert!(!draft.takes(&event("log", "Bounce", None)));
    assert!(!draft.takes(&event("log", "Delivery", Some("t1"))));
    assert!(!draft.takes(&event("crud", "Bounce", Some("t1"))));
    let every = read(json!({"source": "log", "handler": "log"})).unwrap();
    assert!(every.takes(&event("log", "Delivery", None)) && every.takes(&event("log", "Bounce", Some("t9"))));
}

#[test]
fn conditions_paths_and_formats_are_checked_when_a_hook_is_created() {
    for (more, part) in [
        (json!({"filter": "recipient == 'x'"}), "filter: \"recipient\" is unknown"),
        (json!({"filter": "("}), "filter: this is no CEL"),
        (json!({"fields": ["a..b"]}), "fields: \"a..b\" is no path"),
        (json!({"hash": ["a b"]}), "hash: \"a b\" is no path"),
        (json!({"format": "xml"}), "format: expected one of: flat, record, cloudevents"),
        (json!({"max_age": 0}), "max_age: must be longer than nothing"),
        (json!({"rate": "10"}), "rate: "),
        (json!({"connections": 0}), "connections: value should be between 1 and 100"),
        (json!({"connections": 101}), "connections: value should be between 1 and 100"),
        (json!({"connections": -1}), "connections: value should be between 1 and 100"),
        (json!({"connections": "4"}), "connections: expected an integer"),
        (json!({"snooze": -1}), "snooze: value should be between 0"),
        (json!({"config": {"secret": ""}}), "config.secret: length must be at least 1"),
        (
            json!({"config": {"signature_algorithm": "md5"}}),
            "config.signature_algorithm: expected one of: sha256, sha1",
        ),
        (json!({"config": {"headers": {"Host": "x"}}}), "config.headers: the header host cannot be set"),
        (json!({"config": {"headers": {"x-kong-signature": "x"}}}), "config.headers: "),
        (json!({"config": {"headers": {"x-a": "1\r\nX-Evil: 1"}}}), "config.headers: "),
        (json!({"config": {"url": "http://user:hunter2@h/"}}), "config.url: holds a user or password"),
    ] {
        let text = why(webhook(more.clone()));
        assert!(text.contains(part), "{more} gave {text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
    let log = json!({"source": "log", "handler": "log", "format": "flat", "batch": 2});
    assert_eq!(
        why(log),
        "2 schema violations (batch: goes with the handler webhook only; format: goes with the handler webhook only)"
    );
}

#[test]
fn a_lambda_needs_functions() {
    let lambda = |config: Value| json!({"source": "log", "handler": "lambda", "config": config});
    assert_eq!(why(lambda(json!({}))), "schema violation (config.functions: required field missing)");
    assert_eq!(why(lambda(json!({"functions": []}))), "schema violation (config.functions: length must be at least 1)");
    let form = "source=log&handler=lambda&config.functions[]=return%20function(a,b)%20end";
    let draft = Draft::read(&Document::from_form(form.as_bytes()).unwrap(), Encoding::Form, &Catalogue::new()).unwrap();
    let Handler::Lambda(lambda) = draft.handler else { panic!("a lambda") };
    assert_eq!(lambda.functions, ["return function(a,b) end"], "a comma is text");
}

#[test]
fn what_a_hook_keeps_from_its_target_is_kept_from_it() {
    let draft = read(webhook(json!({"fields": ["recipient", "queue"], "hash": ["recipient"]}))).unwrap();
    let data = json!({"recipient": "ada@example.com", "sender": "s@x", "queue": "example.com"});
    let shown = draft.shape.apply(data.as_object().unwrap(), &HashKey::derived(b"m", "h"));
    let text = Value::Object(shown).to_string();
    assert!(!text.contains("ada") && !text.contains("s@x") && text.contains("@example.com"), "{text}");
}

#[test]
fn bytes_and_the_wait_of_a_batch_go_with_its_number() {
    let draft = read(webhook(json!({"batch": 5, "batch_bytes": 4096, "batch_wait": "30s"}))).unwrap();
    let rule = BatchRule { events: 5, bytes: 4096, wait: Duration::from_secs(30) };
    assert_eq!(draft.batch, Some(rule));
    let wrong = why(webhook(json!({"batch_wait": 5})));
    assert!(wrong.contains("batch_wait: goes with batch"), "{wrong}");
    let wrong = why(webhook(json!({"batch": 5, "batch_bytes": 0, "batch_wait": "2h"})));
    assert!(wrong.contains("batch_bytes: value should be between 1 and") && wrong.contains("batch_wait"), "{wrong}");
}
