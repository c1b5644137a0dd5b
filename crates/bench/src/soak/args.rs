//! The command line.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Parser;

/// Wears a daemon out: full load, kill -9 every few seconds, and in the end everything is compared.
#[derive(Clone, Debug, Parser)]
#[command(name = "cargo xtask soak", version)]
pub(crate) struct Args {
    /// For how long, without what settling takes afterwards. Two thirds of it the daemon is killed every few seconds, the rest it is
    /// left alone.
    #[arg(long, default_value_t = 5.0, value_parser = minutes)]
    pub(crate) minutes: f64,
    /// What chance does; another one each time by default. It is printed.
    #[arg(long)]
    seed: Option<u64>,
    /// The daemon.
    #[arg(long, value_name = "BINARY")]
    pub(crate) daemon: PathBuf,
    /// Draw the daemon's memory into this SVG file.
    #[arg(long, value_name = "FILE")]
    pub(crate) plot: Option<PathBuf>,
    /// Keep the folder also of a run that was as promised.
    #[arg(long)]
    pub(crate) keep: bool,
}

impl Args {
    pub(crate) fn seed(&self) -> u64 {
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // Short enough to be typed.
        self.seed.unwrap_or_else(|| u64::from(now().subsec_nanos()))
    }
}

fn minutes(text: &str) -> Result<f64, String> {
    let minutes: f64 = text.parse().map_err(|_| format!("not a number: {text}"))?;
    if (0.1..=100_000.0).contains(&minutes) { Ok(minutes) } else { Err("from 0.1 to 100000".to_owned()) }
}
