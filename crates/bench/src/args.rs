//! The command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Measures a daemon end to end: throughput, CPU, memory and latency, as ratios within one run.
#[derive(Clone, Debug, Parser)]
#[command(name = "cargo xtask bench", version)]
pub(crate) struct Args {
    /// The daemons to measure, one after the other on the same policies. Each must start as `kumod --policy FILE --user NAME`.
    #[arg(long = "compare", value_name = "BINARY", num_args = 1.., required = true)]
    pub(crate) binaries: Vec<PathBuf>,
    /// How often everything is measured; figures are medians.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=99))]
    pub(crate) runs: u32,
    /// How much is sent.
    #[arg(long, value_enum, default_value_t = Scale::Standard)]
    pub(crate) scale: Scale,
    /// Only these measurements.
    #[arg(long, value_name = "NAME", value_enum, num_args = 1..)]
    pub(crate) only: Vec<Subject>,
    /// Write all figures to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Draw the ratios and their bars into this SVG file.
    #[arg(long, value_name = "FILE")]
    pub(crate) plot: Option<PathBuf>,
    /// Keep the daemons' folders, with their logs.
    #[arg(long)]
    pub(crate) keep: bool,
    /// End with exit code 1 when a bar is missed.
    #[arg(long)]
    pub(crate) strict: bool,
}

/// How much is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scale {
    /// To see that it works: figures mean little.
    Quick,
    /// Minutes a run.
    Standard,
    /// The numbers that the bars are defined for: a million events.
    Full,
}

impl Scale {
    /// Mails of one throughput measurement.
    pub(crate) fn mails(self) -> u64 {
        match self {
            Scale::Quick => 1_000,
            Scale::Standard | Scale::Full => 20_000,
        }
    }

    /// Events that wait in a pre-filled journal.
    pub(crate) fn backlog(self) -> u64 {
        match self {
            Scale::Quick => 2_000,
            Scale::Standard => 100_000,
            Scale::Full => 1_000_000,
        }
    }

    /// Requests of the bare loop.
    pub(crate) fn bare_requests(self) -> u64 {
        match self {
            Scale::Quick => 5_000,
            Scale::Standard | Scale::Full => 200_000,
        }
    }

    /// Seconds over which an idle daemon is watched, and a paced sender sends.
    pub(crate) fn seconds(self) -> u64 {
        match self {
            Scale::Quick => 2,
            Scale::Standard | Scale::Full => 15,
        }
    }
}

/// One measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Subject {
    /// Mail accepted on a saturated machine, with hooks of several kinds against none.
    Accept,
    /// Events out of a pre-filled journal, against the bare loop.
    Drain,
    /// From an event to its arrival, at half load.
    Latency,
    /// What a backlog costs: memory, mail, restart.
    Backlog,
    /// Bytes written for an event.
    Bytes,
    /// A daemon that has nothing to do.
    Idle,
    /// A thousand event hooks against ten, and beside dead endpoints. Only Waybill has them.
    Hooks,
    /// Logs: publish, consume, wait, an egress webhook; each beside a bare loop. Only Waybill has them.
    Logs,
}

impl Args {
    /// Whether this is to be measured.
    pub(crate) fn wants(&self, subject: Subject) -> bool {
        self.only.is_empty() || self.only.contains(&subject)
    }
}
