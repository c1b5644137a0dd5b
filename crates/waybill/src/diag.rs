use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

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

/// What is shown unless `KUMOD_LOG` says otherwise.
const DEFAULT: &str = "info";

/// Diagnostics go to stderr, without colours: tools read them.
pub(crate) fn start(format: Format, default: Option<&str>) {
    let filter = EnvFilter::try_from_env("KUMOD_LOG").unwrap_or_else(|_| EnvFilter::new(default.unwrap_or(DEFAULT)));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false);
    // A second start in one process (tests) keeps the first.
    let _ = match format {
        Format::Pretty => builder.pretty().try_init(),
        Format::Full => builder.try_init(),
        Format::Compact => builder.compact().try_init(),
        Format::Json => builder.json().try_init(),
    };
}
