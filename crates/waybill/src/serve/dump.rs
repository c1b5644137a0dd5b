use crate::args::ServeOptions;
use anyhow::Result;
use serde_json::Value;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;
use waybill_http_api::{Metrics, caches};

/// Whether the command line asks for what the program knows of itself.
pub(crate) fn asked_for(options: &ServeOptions) -> bool {
    options.dump_openapi_spec || options.dump_lruttl_caches || options.dump_metric_metadata
}

/// Prints it, each as one JSON text. No policy, no user and no state are looked at.
pub(crate) fn run(options: &ServeOptions) -> Result<ExitCode> {
    let mut wanted: Vec<Value> = Vec::new();
    if options.dump_openapi_spec {
        wanted.push(crate::reference::description().json().clone());
    }
    if options.dump_lruttl_caches {
        wanted.push(serde_json::to_value(caches())?);
    }
    if options.dump_metric_metadata {
        wanted.push(serde_json::to_value(Metrics::new()?.described())?);
    }
    print(&wanted)
}

/// Prints each as one JSON text.
///
/// # Errors
/// When standard output cannot be written.
pub(crate) fn print<'a>(values: impl IntoIterator<Item = &'a Value>) -> Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    for value in values {
        match writeln!(out, "{value:#}") {
            // A reader that has seen enough (`| head`) is no error.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => break,
            written => written?,
        }
    }
    Ok(ExitCode::SUCCESS)
}
