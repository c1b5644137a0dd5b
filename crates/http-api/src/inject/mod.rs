//! `POST /api/inject/v1`: a content, rendered for each recipient, given to the intake.

mod deliver;
mod generator;
mod handlebars;
mod handler;
mod parts;
mod request;
mod script;
mod templates;
mod text;
mod trace;

pub use generator::InjectionGenerator;
pub(crate) use handler::{Inject, InjectDoc, expect_json, inject};
pub use script::{ScriptInjection, ScriptRequest};
