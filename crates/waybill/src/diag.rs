mod hourly;

use anyhow::Result;
use clap::ValueEnum;
use hourly::HourlyFiles;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, reload};
use waybill_runtime::{SystemClock, say};

/// How diagnostic lines look.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Format {
    /// Several lines for each event, for reading
    Pretty,
    /// One line with everything
    Full,
    /// One shorter line
    Compact,
    /// One JSON object a line
    Json,
}

/// The variable that says what is shown.
const VARIABLE: &str = "KUMOD_LOG";
/// What is shown unless it says otherwise.
const DEFAULT: &str = "info";

/// The filter in force. A process has one subscriber of diagnostics, so this is no daemon's own.
static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Diagnostics go to stderr or to files in `dir`, without colours: tools read them.
///
/// # Errors
/// When no file can be written in `dir`.
pub(crate) fn start(format: Format, default: Option<&str>, dir: Option<&Path>) -> Result<()> {
    let writer = match dir {
        None => BoxMakeWriter::new(std::io::stderr),
        Some(dir) => BoxMakeWriter::new(HourlyFiles::open(dir, Arc::new(SystemClock))?),
    };
    let default = default.unwrap_or(DEFAULT);
    let filter = match std::env::var(VARIABLE).ok().filter(|wish| !wish.is_empty()).map(EnvFilter::try_new) {
        None => EnvFilter::new(default),
        Some(Ok(filter)) => filter,
        Some(Err(error)) => {
            say(format_args!("{VARIABLE} is no filter of diagnostics ({error}): showing {default}"));
            EnvFilter::new(default)
        }
    };
    let (filter, handle) = reload::Layer::new(filter);
    // What cannot be written is nobody's to read: saying so on stderr would end the process where stderr is closed.
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(false).log_internal_errors(false);
    let registry = tracing_subscriber::registry().with(filter);
    // A second start in one process (tests) keeps the first.
    let started = match format {
        Format::Pretty => registry.with(lines.pretty()).try_init(),
        Format::Full => registry.with(lines).try_init(),
        Format::Compact => registry.with(lines.compact()).try_init(),
        Format::Json => registry.with(lines.json()).try_init(),
    };
    if started.is_ok() {
        let _ = FILTER.set(handle);
    }
    Ok(())
}

/// Chooses anew what is shown.
///
/// # Errors
/// When the filter cannot be read.
pub(crate) fn set_filter(filter: &str) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter).map_err(|error| error.to_string())?;
    let handle = FILTER.get().ok_or_else(|| "diagnostics were set up by somebody else".to_owned())?;
    handle.reload(filter).map_err(|error| error.to_string())
}
