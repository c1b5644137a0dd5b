//! `waybill dump-reference`: everything that this program knows by name, as JSON. `cargo xtask docs` makes and checks
//! `docs/reference` by it, so that a page is about what is there and what is there has a page.

mod commands;
mod functions;
mod options;
mod paths;
mod shape;

pub(crate) use options::{Key, fields};
pub(crate) use paths::{Field, Operation};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::process::ExitCode;
use waybill_http_api::{Description, Metrics};

/// Prints the reference. Nothing is opened, and no daemon is needed.
pub(crate) fn dump(program: clap::Command) -> Result<ExitCode> {
    crate::serve::print([&everything(program)?])
}

/// What the HTTP API says of itself: every crate's routes, joined.
pub(crate) fn description() -> Description {
    Description::own().with(paths::document(crate::serve::operations()))
}

fn everything(program: clap::Command) -> Result<Value> {
    let metrics = Metrics::new()?.described();
    Ok(json!({
        "options": options::all()?,
        "functions": functions::all().context("walk the kumo table")?,
        "events": waybill_lua::EVENTS,
        "commands": commands::all(program),
        "openapi": description().json(),
        "metrics": metrics,
    }))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use waybill_http_api::Description;

    #[test]
    fn what_every_crate_serves_is_described_and_nothing_else() {
        let description = super::description();
        let described: BTreeSet<_> =
            description.operations().map(|(method, path, _)| (method.to_uppercase(), path.to_owned())).collect();
        let streams = waybill_streams::ROUTES.iter().map(|route| (route.method, route.path));
        let event_hooks = waybill_event_hooks::ROUTES.iter().map(|route| (route.method, route.path));
        let others: BTreeSet<_> =
            streams.chain(event_hooks).map(|(method, path)| (method.to_owned(), path.to_owned())).collect();
        assert!(others.is_subset(&described), "{:?}", others.difference(&described));
        let of_hooks = described.iter().filter(|(_, path)| path.starts_with("/api/hooks/")).count();
        assert_eq!(described.len(), Description::own().operations().count() + others.len() + of_hooks);
    }
}
