use super::Webhook;
use super::webhook::read_target;
use crate::hook::Section;
use crate::template::{Template, TemplateError};
use http::Method;
use serde_json::Value;
use waybill_webhook_core::check_name;

/// The handler `webhook-custom`.
#[derive(Clone, Debug)]
pub struct Custom {
    /// Whom to call, with the headers that are no templates.
    pub(crate) target: Webhook,
    /// Headers that are templates, names in lower case.
    pub(crate) headers: Vec<(String, Template)>,
    pub(crate) payload: Option<Payload>,
    pub(crate) body: Option<Template>,
}

/// A value of the payload, its texts templates. Names are none.
#[derive(Clone, Debug)]
pub(crate) enum Payload {
    Text(Template),
    /// A number, a boolean, a null.
    Value(Value),
    List(Vec<Payload>),
    Map(Vec<(String, Payload)>),
}

/// How a payload is encoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Content {
    Json,
    Form,
    Multipart,
    /// None that a payload can be encoded in.
    Other,
}

impl Content {
    /// By the value of `Content-Type`.
    pub(crate) fn of(value: &str) -> Content {
        let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "application/x-www-form-urlencoded" => Content::Form,
            "multipart/form-data" => Content::Multipart,
            "application/json" => Content::Json,
            other if other.starts_with("application/") && other.ends_with("+json") => Content::Json,
            _ => Content::Other,
        }
    }
}

const METHODS: &[(&str, &Method)] = &[
    ("GET", &Method::GET),
    ("POST", &Method::POST),
    ("PUT", &Method::PUT),
    ("PATCH", &Method::PATCH),
    ("DELETE", &Method::DELETE),
];

pub(super) fn read(config: &mut Section<'_>) -> Option<Custom> {
    let method = config.required("method", |config| config.one_of("method", METHODS));
    let payload = config.object("payload");
    let payload_format = config.boolean("payload_format").unwrap_or(true);
    let body = config.string("body");
    let body_format = config.boolean("body_format").unwrap_or(true);
    let headers = config.texts("headers").unwrap_or_default();
    let headers_format = config.boolean("headers_format").unwrap_or(false);

    let payload = payload.and_then(|map| self::payload(config, "payload", Value::Object(map), payload_format));
    let body = body.and_then(|body| template(config, "body", &body, body_format));
    let mut templated = Vec::new();
    let mut fixed = headers;
    if headers_format {
        for (name, value) in std::mem::take(&mut fixed) {
            if let Err(error) = check_name(&name) {
                config.wrong("headers", error.to_string());
                continue;
            }
            if let Some(template) = template(config, &format!("headers.{name}"), &value, true) {
                templated.push((name.to_ascii_lowercase(), template));
            }
        }
    }
    let method = method.cloned().unwrap_or(Method::POST);
    if method == Method::GET && body.is_some() {
        config.wrong("body", "a GET has no body: use payload, which becomes the query");
    }
    let target = read_target(config, method, fixed)?;
    let content = target.header("content-type").map(Content::of);
    if payload.is_some() && body.is_none() && content == Some(Content::Other) && *target.method() != Method::GET {
        config.wrong(
            "headers.content-type",
            "a payload is encoded as application/json, application/x-www-form-urlencoded or multipart/form-data; use \
             body for anything else",
        );
    }
    Some(Custom { target, headers: templated, payload, body })
}

fn payload(config: &mut Section<'_>, field: &str, value: Value, format: bool) -> Option<Payload> {
    Some(match value {
        Value::String(text) => Payload::Text(template(config, field, &text, format)?),
        Value::Array(items) => {
            let mut list = Vec::with_capacity(items.len());
            for (index, item) in items.into_iter().enumerate() {
                list.push(payload(config, &format!("{field}.{index}"), item, format)?);
            }
            Payload::List(list)
        }
        Value::Object(map) => {
            let mut fields = Vec::with_capacity(map.len());
            for (name, inner) in map {
                let inner = payload(config, &format!("{field}.{name}"), inner, format)?;
                fields.push((name, inner));
            }
            Payload::Map(fields)
        }
        value => Payload::Value(value),
    })
}

fn template(config: &mut Section<'_>, field: &str, text: &str, format: bool) -> Option<Template> {
    let parsed: Result<Template, TemplateError> =
        if format { Template::parse(text) } else { Ok(Template::literal(text)) };
    parsed.map_err(|error| config.wrong(field, error.to_string())).ok()
}

impl Custom {
    /// Whom to call, with the headers that are no templates.
    pub fn target(&self) -> &Webhook {
        &self.target
    }
}
