//! Event hooks, without sending anything: which events there are ([`Catalogue`]), who subscribes to what ([`Hook`]),
//! when a hook fires ([`Gate`], [`Filter`]), and what it sends then ([`Request`], [`log_line`]).
//!
//! The API is the one that Kong's users know (contract/kong-event-hooks.md). Pure: the time is an argument. It refuses to
//! know where hooks are kept, how events arrive and who sends; crate `event-hooks` does.
//!
//! ```
//! use waybill_event_hooks_core::{Catalogue, Document, Draft, Encoding};
//! let form = "source=log&event=Bounce&handler=webhook&config.url=https%3A%2F%2Fhooks.example%2F1";
//! let document = Document::from_form(form.as_bytes()).unwrap();
//! let draft = Draft::read(&document, Encoding::Form, &Catalogue::new()).unwrap();
//! assert_eq!(draft.event.as_deref(), Some("Bounce"));
//!
//! let nothing = Draft::read(&Document::default(), Encoding::Json, &Catalogue::new()).unwrap_err();
//! assert_eq!(nothing.to_string(), "2 schema violations (handler: required field missing; source: required field missing)");
//! ```

mod batch;
mod catalogue;
mod digest;
mod document;
mod event;
mod filter;
mod format;
mod gate;
mod handler;
mod hook;
mod index;
mod log_line;
mod path;
mod request;
mod shape;
mod signal;
mod template;
mod violation;

pub use batch::{BatchRule, Form};
pub use catalogue::{Catalogue, EventInfo, PublishError};
pub use digest::Digest;
pub use document::{Document, DocumentError};
pub use event::Event;
pub use filter::Filter;
pub use format::Format;
pub use gate::{Gate, GateRule, Quiet};
pub use handler::{Custom, Handler, Lambda, Webhook, field_of};
pub use hook::{Dormant, Draft, Encoding, Hook, Replaced, SigningKey, Stamp};
pub use index::{Index, Interest};
pub use log_line::log_line;
pub use request::{RenderError, Request, ping};
pub use shape::{HashKey, Shape};
pub use signal::Signal;
pub use template::{Escape, Template, TemplateError};
pub use violation::{Violation, Violations};
pub use waybill_filter::FilterError;
