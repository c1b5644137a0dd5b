//! `waybill dump-reference`: everything that this program knows by name, as JSON. `cargo xtask docs` makes and checks
//! `docs/reference` by it, so that a page is about what is there and what is there has a page.

mod commands;
mod functions;
mod options;
mod shape;

pub(crate) use options::{Key, fields};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::process::ExitCode;
use waybill_http_api::Metrics;

/// Prints the reference. Nothing is opened, and no daemon is needed.
pub(crate) fn dump(program: clap::Command) -> Result<ExitCode> {
    crate::serve::print([&everything(program)?])
}

fn everything(program: clap::Command) -> Result<Value> {
    let metrics = Metrics::new()?.described();
    let mut routes: Vec<Value> = crate::serve::HOOK_ROUTES
        .iter()
        .map(|route| {
            let fields = (route.fields)();
            json!({ "method": route.method, "path": route.path, "summary": route.summary, "fields": fields })
        })
        .collect();
    routes.extend(crate::serve::stream_routes());
    routes.extend(crate::serve::event_hook_routes());
    Ok(json!({
        "options": options::all()?,
        "functions": functions::all().context("walk the kumo table")?,
        "events": waybill_lua::EVENTS,
        "commands": commands::all(program),
        "openapi": waybill_http_api::openapi(),
        "routes": routes,
        "metrics": metrics,
    }))
}
