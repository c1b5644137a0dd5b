//! `count`: what an event of a drain costs in instructions of the whole daemon, by valgrind's callgrind.
//!
//! Nothing is counted but the drain: the journal is filled before, and a drain ahead of that has opened the sessions and read
//! the policy. What the daemon does meanwhile beside its hooks is in the figure; while no mail comes that is next to nothing.

mod args;
mod callgrind;

pub(crate) use args::Args;
pub(crate) use callgrind::Callgrind;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::daemon::Daemon;
use crate::endpoint::Nginx;
use crate::load::smtp_source;
use crate::measure::BATCH;
use crate::policy::{Policy, Tuning};
use crate::preflight;
use crate::process::{LOOK_EVERY, wait_until};
use crate::scratch::Scratch;

/// Under callgrind the daemon is some fifty times slower.
const WITHIN: Duration = Duration::from_secs(1800);
/// No request for so long, and the drain is through. Asking the daemon would be counted.
const STILL: Duration = Duration::from_secs(5);

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    preflight::check_count(&args.daemon, args.profile.as_deref())?;
    let mut nginx = Nginx::start()?;
    let policy = Policy::with_hooks(1, args.kind.of_policy(BATCH), &nginx.url(), Tuning::Tuned);
    let scratch = Scratch::create(false)?;
    let callgrind = Callgrind::of(&scratch, args.profile.as_deref());
    let script = policy.lua(scratch.path());
    let daemon = Daemon::start_counted(&args.daemon, scratch, &script, &callgrind)?;
    for is_counted in [false, true] {
        daemon.client(&["hooks", "pause", "hook1"])?;
        smtp_source(daemon.smtp, args.events)?;
        wait_until("the events wait", WITHIN, || Ok(daemon.lag()? >= args.events as f64))?;
        if is_counted {
            callgrind.switch(daemon.pid(), "on")?;
        }
        daemon.client(&["hooks", "resume", "hook1"])?;
        drained(&mut nginx)?;
        if is_counted {
            callgrind.switch(daemon.pid(), "off")?;
        }
        wait_until("every event is out", STILL * 2, || Ok(daemon.lag()? == 0.0))?;
    }
    let _folder = daemon.stop()?;
    println!("{:.0} instructions for an event", callgrind.total()? as f64 / args.events as f64);
    Ok(ExitCode::SUCCESS)
}

/// Waits until requests have come and come no more.
fn drained(nginx: &mut Nginx) -> Result<()> {
    let (first, started) = (nginx.requests()?, Instant::now());
    let (mut last, mut since) = (first, started);
    while last == first || since.elapsed() < STILL {
        ensure!(started.elapsed() < WITHIN, "not within {} s: the drain is through", WITHIN.as_secs());
        std::thread::sleep(LOOK_EVERY);
        let now = nginx.requests()?;
        if now > last {
            (last, since) = (now, Instant::now());
        }
    }
    Ok(())
}
