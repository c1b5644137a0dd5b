//! The command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::policy;

/// Counts the daemon's instructions for an event of a drain. They do not depend on who else uses the machine.
#[derive(Clone, Debug, Parser)]
#[command(name = "cargo xtask count", version)]
pub(crate) struct Args {
    /// The daemon.
    #[arg(long, value_name = "BINARY")]
    pub(crate) daemon: PathBuf,
    /// How the hook sends.
    #[arg(long, value_enum, default_value_t = Kind::Batches)]
    pub(crate) kind: Kind,
    /// Events that are counted, once as many have warmed everything up.
    #[arg(long, default_value_t = 3_000, value_parser = clap::value_parser!(u64).range(100..=100_000))]
    pub(crate) events: u64,
    /// Where the profile goes, for `callgrind_annotate`; it is not kept without.
    #[arg(long, value_name = "FILE")]
    pub(crate) profile: Option<PathBuf>,
}

/// A kind of hook, as `bench --only drain` has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// `new_json`, an event a request.
    Json,
    /// A `send_batch` of Lua's own, 100 events a request.
    Batches,
}

impl Kind {
    pub(crate) fn of_policy(self, size: u32) -> policy::Kind {
        match self {
            Kind::Json => policy::Kind::Json,
            Kind::Batches => policy::Kind::Batches(size),
        }
    }
}
