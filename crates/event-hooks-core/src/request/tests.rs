use super::*;
use crate::handler::Handler;
use crate::{Catalogue, Document, Draft, Encoding, Stamp};
use uuid::Uuid;
use waybill_types::Timestamp;

fn draft(handler: &str, config: Value) -> Draft {
    let json = json!({"source": "log", "handler": handler, "config": config});
    let document = Document::from(json.as_object().cloned().unwrap_or_default());
    Draft::read(&document, Encoding::Json, &Catalogue::new()).unwrap_or_else(|violations| panic!("{violations}"))
}

fn refused(config: Value) -> String {
    let json = json!({"source": "log", "handler": "webhook-custom", "config": config});
    let document = Document::from(json.as_object().cloned().unwrap_or_default());
    Draft::read(&document, Encoding::Json, &Catalogue::new()).expect_err("it is refused").to_string()
}

fn with_event<T>(data: &Value, run: impl FnOnce(&Event<'_>) -> T) -> T {
    let data = data.as_object().unwrap();
    run(&Event { id: "e1", source: "log", event: "Bounce", time: Timestamp::EPOCH, tenant: None, data })
}

fn custom(mut config: Value, data: &Value) -> Result<Request, RenderError> {
    config["url"] = "https://h.example/".into();
    let Handler::Custom(custom) = draft("webhook-custom", config).handler else { panic!("a custom one") };
    with_event(data, |event| custom.request(event))
}

fn body(request: &Request) -> &str {
    std::str::from_utf8(&request.body).unwrap()
}

fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

#[test]
fn a_webhook_posts_one_flat_object_with_source_and_event() {
    let Handler::Webhook(webhook) = draft("webhook", json!({"url": "https://h.example/"})).handler else {
        panic!("a webhook")
    };
    assert_eq!(webhook.method(), Method::POST);
    let request =
        with_event(&json!({"recipient": "a@b"}), |event| webhook.request(&[*event], Format::Flat, false, "n"));
    let sent: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(sent, json!({"recipient": "a@b", "source": "log", "event": "Bounce"}));
    assert_eq!(header(&request, "content-type"), Some("application/json"));
}

#[test]
fn a_batch_is_a_list_even_of_one() {
    let Handler::Webhook(webhook) = draft("webhook", json!({"url": "https://h.example/"})).handler else {
        panic!("a webhook")
    };
    let sent = |events: usize, format| {
        let request = with_event(&json!({"a": 1}), |event| webhook.request(&vec![*event; events], format, true, "n"));
        (serde_json::from_slice::<Value>(&request.body).unwrap(), request)
    };
    assert_eq!(sent(1, Format::Record).0, json!([{"a": 1}]));
    assert_eq!(sent(2, Format::Record).0, json!([{"a": 1}, {"a": 1}]));
    let (_, request) = sent(2, Format::CloudEvents);
    assert_eq!(header(&request, "content-type"), Some("application/cloudevents-batch+json"));
}

#[test]
fn a_content_type_of_the_operator_s_own_stays() {
    let config = json!({"url": "https://h.example/", "headers": {"Content-Type": "application/vnd.x+json"}});
    let Handler::Webhook(webhook) = draft("webhook", config).handler else { panic!("a webhook") };
    let request = with_event(&json!({}), |event| webhook.request(&[*event], Format::Flat, false, "n"));
    assert_eq!(header(&request, "content-type"), None, "the endpoint adds its own");
    assert_eq!(webhook.header("content-type"), Some("application/vnd.x+json"));
}

#[test]
fn the_seed_s_slack_message_is_rendered_and_escaped() {
    let config = json!({
        "method": "POST",
        "headers": {"content-type": "application/json"},
        "payload": {"text": "Bounce of '{{ recipient }}': {{ response.content }} (on {{ nodeid }}) "},
    });
    let data = json!({"recipient": "\"ada\"@example.com", "response": {"content": "no\r\nsuch"}, "nodeid": "n1"});
    let request = custom(config, &data).unwrap();
    let sent: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(sent["text"], "Bounce of '\"ada\"@example.com': no\r\nsuch (on n1) ");
}

#[test]
fn nested_payload_values_are_templated_one_by_one_and_names_and_numbers_are_not() {
    let config = json!({
        "method": "PUT", "headers": {"content-type": "application/json"},
        "payload": {"{{ a }}": [{"b": "{{ a }}!"}, 7, true, null], "m": {"c": "{{ event }} of {{ source }}"}},
    });
    let request = custom(config, &json!({"a": "x"})).unwrap();
    let sent: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(sent, json!({"{{ a }}": [{"b": "x!"}, 7, true, null], "m": {"c": "Bounce of log"}}));
}

#[test]
fn without_payload_format_the_payload_is_sent_as_it_is() {
    let config = json!({
        "method": "POST", "headers": {"content-type": "application/json"}, "payload_format": false,
        "payload": {"text": "{{ a }}", "open": "{{"},
    });
    let request = custom(config, &json!({"a": "x"})).unwrap();
    assert_eq!(body(&request), r#"{"open":"{{","text":"{{ a }}"}"#);
}

#[test]
fn the_content_type_decides_the_encoding_and_multipart_is_the_default() {
    let payload = json!({"a": "x y&z", "m": {"n": ["1", "{{ q }}"]}});
    let data = json!({"q": "ü=\r\n"});
    let form = json!({
        "method": "POST", "headers": {"Content-Type": "application/x-www-form-urlencoded"}, "payload": payload,
    });
    let request = custom(form, &data).unwrap();
    assert_eq!(body(&request), "a=x+y%26z&m.n%5B%5D=1&m.n%5B%5D=%C3%BC%3D%0D%0A");
    for config in [
        json!({"method": "POST", "payload": payload}),
        json!({"method": "POST", "headers": {"content-type": "multipart/form-data"}, "payload": payload}),
    ] {
        let request = custom(config, &data).unwrap();
        let content_type = header(&request, "content-type").unwrap();
        let read = Document::from_multipart(content_type, &request.body).unwrap().into_object();
        assert_eq!(Value::Object(read), json!({"a": "x y&z", "m": {"n": ["1", "ü=\r\n"]}}));
    }
}

#[test]
fn a_multipart_body_is_the_same_in_every_attempt_and_nothing_breaks_out_of_it() {
    let config = json!({"method": "POST", "payload": {"a\"\r\nb": "{{ v }}"}});
    let data = json!({"v": "--waybill\r\n--x--\r\nContent-Disposition: form-data; name=\"evil\"\r\n\r\n1"});
    let request = custom(config.clone(), &data).unwrap();
    assert_eq!(custom(config, &data).unwrap(), request);
    let content_type = header(&request, "content-type").unwrap();
    let read = Document::from_multipart(content_type, &request.body).unwrap().into_object();
    assert_eq!(read.len(), 1);
    assert_eq!(read["a%22%0D%0Ab"], data["v"]);
}

#[test]
fn with_get_the_payload_becomes_the_query_and_there_is_no_body() {
    let request = custom(json!({"method": "GET", "payload": {"q": "{{ a }}&b=1"}}), &json!({"a": "x"})).unwrap();
    assert_eq!(request.query, [("q".to_owned(), "x&b=1".to_owned())]);
    assert!(request.body.is_empty());
    assert!(
        refused(json!({"url": "https://h/", "method": "GET", "body": "x"})).contains("config.body: a GET has no body")
    );
}

#[test]
fn a_body_is_one_template_and_wins_over_the_payload() {
    let config = json!({"method": "POST", "body": "to={{ a }}", "payload": {"x": "y"}, "headers": {"content-type": "text/plain"}});
    assert_eq!(body(&custom(config, &json!({"a": "\"q\""})).unwrap()), "to=\"q\"");
    let raw = json!({"method": "POST", "body": "{{ a", "body_format": false});
    assert_eq!(body(&custom(raw, &json!({})).unwrap()), "{{ a");
}

#[test]
fn within_a_json_body_values_are_escaped_and_raw_ones_are_not() {
    let config = json!({
        "method": "POST", "headers": {"content-type": "application/json"},
        "body": "{\"text\": \"{{ a }}\", \"response\": {* response *}}",
    });
    let data = json!({"a": "\",\"admin\":true,\"x\":\"", "response": {"code": 550}});
    let sent: Value = serde_json::from_slice(&custom(config, &data).unwrap().body).unwrap();
    assert_eq!(sent, json!({"text": data["a"], "response": {"code": 550}}));
}

#[test]
fn headers_are_templates_only_with_headers_format_and_cannot_split_a_request() {
    let config =
        |format: bool| json!({"method": "POST", "headers": {"X-Subject": "{{ a }}"}, "headers_format": format});
    let fixed = custom(config(false), &json!({"a": "x"})).unwrap();
    assert_eq!(header(&fixed, "x-subject"), None, "the endpoint carries it as it is");
    let request = custom(config(true), &json!({"a": "x"})).unwrap();
    assert_eq!(header(&request, "x-subject"), Some("x"));
    for evil in ["x\r\nX-Evil: 1", "x\ny", "x\0", "é"] {
        let error = custom(config(true), &json!({"a": evil})).unwrap_err();
        assert!(matches!(error, RenderError::Header(HeaderError::Value(..))), "{evil:?}: {error}");
        assert!(!error.to_string().contains("Evil"));
    }
    let url = "https://h.example/";
    for name in ["Host", "Content-Length", "webhook-id", "x-kong-signature", "a b"] {
        for format in [true, false] {
            let config = json!({"url": url, "method": "POST", "headers": {name: "x"}, "headers_format": format});
            assert!(refused(config).contains("config.headers: "), "{name}");
        }
    }
}

#[test]
fn a_template_that_does_not_end_is_refused_with_its_field() {
    let url = "https://h.example/";
    for (config, field) in [
        (json!({"url": url, "method": "POST", "payload": {"a": [{"b": "{{ x"}]}}), "config.payload.a.0.b: the tag"),
        (json!({"url": url, "method": "POST", "body": "{* x"}), "config.body: the tag"),
        (
            json!({"url": url, "method": "POST", "headers": {"x-a": "{{"}, "headers_format": true}),
            "config.headers.x-a: the tag",
        ),
        (json!({"url": url, "method": "TRACE"}), "config.method: expected one of: GET, POST, PUT, PATCH, DELETE"),
        (json!({"url": url}), "config.method: required field missing"),
    ] {
        let text = refused(config);
        assert!(text.contains(field), "{field} in {text}");
    }
}

#[test]
fn an_error_in_an_attempt_names_field_and_path() {
    let config = json!({"method": "POST", "payload": {"t": ["{{ a.b }}"]}});
    let error = custom(config, &json!({"a": 1})).unwrap_err();
    assert_eq!(error.to_string(), r#"payload.t.0: "a.b" leads through "a", which is a number and has no fields"#);
}

#[test]
fn what_comes_out_of_all_templates_together_has_an_end() {
    let many: Vec<&str> = vec!["{{ a }}"; 200];
    let config = json!({"method": "POST", "payload": {"t": many}});
    let error = custom(config, &json!({"a": "x".repeat(10_000)})).unwrap_err();
    assert!(matches!(error, RenderError::Template { error: TemplateError::Output(_), .. }), "{error}");
}

#[test]
fn a_payload_that_nobody_can_encode_is_refused_or_an_error() {
    let url = "https://h.example/";
    let config = json!({"url": url, "method": "POST", "payload": {}, "headers": {"content-type": "text/xml"}});
    assert!(refused(config).contains("config.headers.content-type: a payload is encoded as application/json"));
    let config = json!({
        "method": "POST", "payload": {}, "headers": {"content-type": "{{ t }}"}, "headers_format": true,
    });
    assert_eq!(custom(config, &json!({"t": "text/xml"})), Err(RenderError::Content("text/xml".into())));
}

#[test]
fn the_ping_is_sent_as_a_document() {
    let draft = draft("webhook", json!({"url": "https://h.example/"}));
    let Handler::Webhook(webhook) = draft.handler.clone() else { panic!("a webhook") };
    let hook = Hook::new(Stamp { id: Uuid::nil(), now: Timestamp::EPOCH }, draft);
    let request = webhook.document(&ping(&hook));
    let sent: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(sent["source"], "kong:event_hooks");
    assert_eq!(sent["event_hooks"]["id"], Uuid::nil().to_string());
}
