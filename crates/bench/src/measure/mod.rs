//! The measurements, each a row or more of the report.

mod accept;
mod backlog;
mod bytes;
mod drain;
mod hooks;
mod idle;
mod latency;
mod limits;
mod logs;

use std::path::Path;

use anyhow::{Context, Result};

use crate::args::{Args, Scale, Subject};
use crate::report::{Figure, Report};
use limits::Limits;

pub(crate) use limits::BATCH;

/// What a measurement needs to know.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting<'a> {
    pub(crate) binary: &'a Path,
    pub(crate) scale: Scale,
    pub(crate) keep: bool,
    /// What the machine can do in this run.
    pub(crate) limits: Limits,
}

type Measure = fn(&Setting<'_>) -> Result<Vec<Figure>>;

const ALL: [(Subject, Measure); 8] = [
    (Subject::Idle, idle::measure),
    (Subject::Accept, accept::measure),
    (Subject::Drain, drain::measure),
    (Subject::Latency, latency::measure),
    (Subject::Bytes, bytes::measure),
    (Subject::Backlog, backlog::measure),
    (Subject::Hooks, hooks::measure),
    (Subject::Logs, logs::measure),
];

/// Every wanted measurement of every daemon, run by run, so that what disturbs the machine disturbs all alike.
pub(crate) fn all(args: &Args) -> Result<Report> {
    let mut report = Report::new(args.runs, format!("{:?}", args.scale).to_lowercase());
    for run in 1..=args.runs {
        println!("run {run} of {}", args.runs);
        let limits = Limits::measure(args.scale).context("measure the bare limits")?;
        report.add("the machine", limits.figures());
        for binary in &args.binaries {
            let setting = Setting { binary, scale: args.scale, keep: args.keep, limits };
            let name = binary.display().to_string();
            for (subject, measure) in ALL.iter().filter(|(subject, _)| args.wants(*subject)) {
                println!("  {name}: {subject:?}");
                let figures = measure(&setting).with_context(|| format!("{subject:?} of {name}, run {run}"))?;
                for figure in &figures {
                    println!("    {:60} {:12.3} {}", figure.name, figure.value, figure.unit);
                }
                report.add(&name, figures);
            }
        }
    }
    Ok(report)
}
