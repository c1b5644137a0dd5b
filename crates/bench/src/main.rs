//! `waybill-bench`: what a daemon costs, end to end, beside the limits of the machine it runs on.
//!
//! The load is postfix's smtp-source, the endpoint nginx or a receiver of a hundred lines, and the limit a bare loop on hyper: none
//! of it is code of the daemon that is measured. Every figure that matters is a ratio of two measurements of one run, because
//! machines are noisy and differ. `cargo xtask bench` builds what is needed and starts this.
//!
//! `waybill-bench soak` asks another question of the same parts: whether all that was promised holds under load and `kill -9`.
//! `cargo xtask soak` starts it. `waybill-bench count` (`cargo xtask count`) counts instructions instead of taking the time.

#![allow(
    clippy::disallowed_methods,
    reason = "the rules are a daemon's: here the clock is the subject, waiting has nobody to hold up, and tasks end with the process"
)]

mod args;
mod bare;
mod cost;
mod count;
mod daemon;
mod endpoint;
mod histogram;
mod load;
mod machine;
mod measure;
mod plot;
mod policy;
mod preflight;
mod process;
mod report;
mod scratch;
mod soak;
mod stats;
mod wrk;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use args::Args;

/// The first words of the other questions.
const SOAK: &str = "soak";
const COUNT: &str = "count";

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    let (name, done) = match words.first().and_then(|word| word.to_str()) {
        Some(SOAK) => (SOAK, soak::run(&soak::Args::parse_from(words))),
        Some(COUNT) => (COUNT, count::run(&count::Args::parse_from(words))),
        _ => ("bench", run(&Args::parse())),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{name}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Exit code 1 when a bar was missed and `--strict` asked for that.
fn run(args: &Args) -> Result<ExitCode> {
    preflight::check(args)?;
    let report = measure::all(args)?;
    report.print();
    if let Some(file) = &args.json {
        report.write_json(file)?;
    }
    if let Some(file) = &args.plot {
        plot::write(&report, file)?;
    }
    let missed = report.rows.iter().any(|row| row.met() == Some(false));
    Ok(if args.strict && missed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
