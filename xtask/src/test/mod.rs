//! `cargo xtask test`: everything CI runs, in steps.
//!
//! Every step runs even when an earlier one failed, so that one run tells all there is to mend.

mod report;
mod skipped_list;
mod steps;

use std::time::Instant;

use anyhow::{Result, bail};

use crate::toolchain_env;
use crate::usage::Scope;
pub(crate) use report::Outcome;
use report::Report;

/// Runs all steps, then tells how each ended.
pub(crate) fn run(scope: Scope) -> Result<()> {
    println!("environment: {}", toolchain_env::described());
    let mut report = Report::default();
    for (name, step) in steps::of(scope) {
        println!("\n== {name}");
        let started = Instant::now();
        let outcome = step(scope).unwrap_or_else(|error| Outcome::Failed(format!("{error:#}")));
        let took = started.elapsed();
        println!("== {name}: {} in {:.1} s", outcome.word(), took.as_secs_f64());
        report.add(name, outcome, took);
    }
    println!("\n{report}");
    match report.failed().as_slice() {
        [] => Ok(()),
        failed => bail!("failed: {}", failed.join(", ")),
    }
}
