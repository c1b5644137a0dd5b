//! The JSON of `POST /api/inject/v1` (contract/kumomta.md section 7.3).
//!
//! The order of fields matters: an error about an unknown key lists them.

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;
use utoipa::ToSchema;

/// One request: a content for many recipients.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    pub(crate) envelope_sender: String,
    pub(crate) recipients: Vec<Recipient>,
    /// A whole message as a text, or an object of parts.
    #[schema(value_type = Parts)]
    pub(crate) content: Content,
    #[serde(default)]
    #[schema(value_type = Object)]
    pub(crate) substitutions: Map<String, Value>,
    #[serde(default)]
    pub(crate) deferred_spool: bool,
    #[serde(default)]
    pub(crate) deferred_generation: bool,
    #[serde(default)]
    pub(crate) trace_headers: TraceHeaders,
    #[serde(default)]
    pub(crate) template_dialect: Dialect,
}

/// Whom it goes to, and what is special for them.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recipient {
    pub(crate) email: String,
    #[serde(default)]
    pub(crate) name: Option<String>,
    #[serde(default)]
    #[schema(value_type = Object)]
    pub(crate) substitutions: Map<String, Value>,
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub(crate) metadata: Option<Map<String, Value>>,
}

/// The language of templates.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, ToSchema)]
pub(crate) enum Dialect {
    /// As MiniJinja speaks it.
    #[default]
    Jinja,
    /// None: the text is taken as it is.
    Static,
    /// As the handlebars crate speaks it.
    Handlebars,
}

/// Which headers we add so that a message can be traced back.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TraceHeaders {
    pub(crate) received_header: bool,
    pub(crate) supplemental_header: bool,
    pub(crate) header_name: String,
    pub(crate) include_meta_names: Vec<String>,
}

impl Default for TraceHeaders {
    fn default() -> Self {
        TraceHeaders {
            received_header: false,
            supplemental_header: true,
            header_name: "X-KumoRef".to_owned(),
            include_meta_names: Vec::new(),
        }
    }
}

/// What is sent.
#[derive(Debug)]
pub(crate) enum Content {
    /// A whole message (RFC 5322).
    Text(String),
    /// Parts to build one of.
    Parts(Box<Parts>),
}

/// The parts of a message.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Parts {
    pub(crate) text_body: Option<String>,
    pub(crate) html_body: Option<String>,
    pub(crate) amp_html_body: Option<String>,
    pub(crate) attachments: Vec<Attachment>,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) from: Option<Mailbox>,
    pub(crate) subject: Option<String>,
    pub(crate) reply_to: Option<Mailbox>,
}

/// An address with a name.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mailbox {
    pub(crate) email: String,
    #[serde(default)]
    pub(crate) name: Option<String>,
}

/// A file that goes with the message; never a template.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Attachment {
    pub(crate) data: String,
    pub(crate) content_type: String,
    #[serde(default)]
    pub(crate) content_id: Option<String>,
    #[serde(default)]
    pub(crate) file_name: Option<String>,
    /// Whether `data` is base64; else it is text.
    #[serde(default)]
    pub(crate) base64: bool,
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // By hand: `untagged` would say that "no variant matched" and hide which key is wrong.
        struct TextOrParts;
        impl<'de> Visitor<'de> for TextOrParts {
            type Value = Content;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a message as a string, or an object with text_body or html_body")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Content, E> {
                Ok(Content::Text(text.to_owned()))
            }

            fn visit_string<E: Error>(self, text: String) -> Result<Content, E> {
                Ok(Content::Text(text))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Content, A::Error> {
                Parts::deserialize(MapAccessDeserializer::new(map)).map(|parts| Content::Parts(Box::new(parts)))
            }
        }
        deserializer.deserialize_any(TextOrParts)
    }
}

/// What the answer says: 200 even when every recipient failed.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct Report {
    pub(crate) success_count: usize,
    pub(crate) fail_count: usize,
    pub(crate) failed_recipients: Vec<String>,
    pub(crate) errors: Vec<String>,
}

impl Report {
    /// Notes that a recipient failed.
    pub(crate) fn fail(&mut self, recipient: String, why: &str) {
        self.fail_count += 1;
        self.errors.push(format!("{recipient}: {why}"));
        self.failed_recipients.push(recipient);
    }
}
