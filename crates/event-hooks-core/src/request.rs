//! What is sent when a hook fires.

mod encode;
#[cfg(test)]
mod tests;

use crate::format::flat;
use crate::handler::{Content, Custom, Payload, Webhook};
use crate::template::{Escape, Template, TemplateError};
use crate::{Event, Format, Hook};
use http::{HeaderName, Method};
use serde_json::{Map, Value, json};
use waybill_webhook_core::{HeaderError, check_value};

/// A request, but for what the endpoint itself adds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Request {
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// What is added to the URL's query.
    pub query: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// An event for which no request can be made. It would fail the same way again.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RenderError {
    /// A template.
    #[error("{field}: {error}")]
    Template {
        /// Which, dotted.
        field: String,
        /// Why.
        error: TemplateError,
    },
    /// A header that was made from a template.
    #[error("{0}")]
    Header(#[from] HeaderError),
    /// The content type that came out of a template.
    #[error("a payload cannot be encoded as {0:?}")]
    Content(String),
    /// There is no request to make.
    #[error("the handler {0} sends no requests")]
    Handler(&'static str),
}

/// Bytes of everything that one event's templates give.
const LONGEST: usize = 1024 * 1024;

impl Webhook {
    /// The request for events that were shaped already: one, or where the hook wants batches a list of them.
    pub fn request(&self, events: &[Event<'_>], format: Format, batched: bool, origin: &str) -> Request {
        let mut bodies: Vec<Value> = events.iter().map(|event| format.body(event, origin)).collect();
        let body = match (batched, bodies.len()) {
            (false, 1) => bodies.remove(0),
            _ => Value::Array(bodies),
        };
        let mut request = Request { body: body.to_string().into_bytes(), ..Request::default() };
        // A structured CloudEvent is one by its content type.
        if self.header("content-type").is_none() || format == Format::CloudEvents {
            request.headers.push(("content-type".to_owned(), format.content_type(batched).to_owned()));
        }
        request
    }

    /// The request for a document of ours.
    pub fn document(&self, document: &Value) -> Request {
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        Request { headers, query: Vec::new(), body: document.to_string().into_bytes() }
    }
}

impl Custom {
    /// The request for an event that was shaped already.
    ///
    /// # Errors
    /// When a template cannot be rendered for it.
    pub fn request(&self, event: &Event<'_>) -> Result<Request, RenderError> {
        let fields = Value::Object(flat(event));
        let mut render = Render { fields: &fields, room: LONGEST };
        let mut request = Request::default();
        for (name, template) in &self.headers {
            let value = render.text(&format!("headers.{name}"), template, Escape::None)?;
            let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| HeaderError::Name(name.clone()))?;
            check_value(&parsed, &value)?;
            request.headers.push((name.clone(), value));
        }
        let content_type = request.headers.iter().find(|(name, _)| name == "content-type");
        let content_type = content_type.map(|(_, value)| value.as_str()).or_else(|| self.target.header("content-type"));
        let content = content_type.map(Content::of);
        if let Some(body) = &self.body {
            let escape = if content == Some(Content::Json) { Escape::Json } else { Escape::None };
            request.body = render.text("body", body, escape)?.into_bytes();
            return Ok(request);
        }
        let Some(payload) = &self.payload else { return Ok(request) };
        let payload = render.payload("payload", payload)?;
        if *self.target.method() == Method::GET {
            request.query = encode::pairs(&payload);
            return Ok(request);
        }
        match content {
            Some(Content::Json) => request.body = payload.to_string().into_bytes(),
            Some(Content::Form) => request.body = encode::form(&payload),
            Some(Content::Multipart) | None => {
                let (content_type, body) = encode::multipart(&payload);
                request.body = body;
                request.headers.retain(|(name, _)| name != "content-type");
                request.headers.push(("content-type".to_owned(), content_type));
            }
            Some(Content::Other) => return Err(RenderError::Content(content_type.unwrap_or_default().to_owned())),
        }
        Ok(request)
    }
}

struct Render<'a> {
    fields: &'a Value,
    /// What may still come out.
    room: usize,
}

impl Render<'_> {
    fn text(&mut self, field: &str, template: &Template, escape: Escape) -> Result<String, RenderError> {
        let text = template.render(self.fields, escape, self.room);
        let text = text.map_err(|error| RenderError::Template { field: field.to_owned(), error })?;
        self.room -= text.len().min(self.room);
        Ok(text)
    }

    fn payload(&mut self, field: &str, payload: &Payload) -> Result<Value, RenderError> {
        Ok(match payload {
            Payload::Text(template) => Value::String(self.text(field, template, Escape::None)?),
            Payload::Value(value) => value.clone(),
            Payload::List(items) => {
                let items = items.iter().enumerate();
                let rendered: Result<_, _> =
                    items.map(|(index, item)| self.payload(&format!("{field}.{index}"), item)).collect();
                Value::Array(rendered?)
            }
            Payload::Map(fields) => {
                let mut map = Map::new();
                for (name, inner) in fields {
                    map.insert(name.clone(), self.payload(&format!("{field}.{name}"), inner)?);
                }
                Value::Object(map)
            }
        })
    }
}

/// What a `webhook` is sent when it was created, and on `/ping`.
pub fn ping(hook: &Hook) -> Value {
    json!({"source": "kong:event_hooks", "event": "ping", "event_hooks": hook.to_json()})
}
