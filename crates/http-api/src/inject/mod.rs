//! `POST /api/inject/v1`: a content, rendered for each recipient, given to the intake.

mod deliver;
mod handler;
mod parts;
mod request;
mod templates;
mod text;
mod trace;

pub(crate) use handler::{Inject, inject};
