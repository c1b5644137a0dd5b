//! Events out of a pre-filled journal, against the bare loop that posts the same bodies.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::Setting;
use super::limits::{BATCH, micros};
use crate::bare::Bare;
use crate::daemon::Daemon;
use crate::endpoint::Nginx;
use crate::load::smtp_source;
use crate::policy::{Kind, Policy, Tuning};
use crate::process::wait_until;
use crate::report::{Bar, Figure};

const DRAINED_WITHIN: Duration = Duration::from_secs(1800);
/// Mails that go out at a time while the journal is filled.
const PORTION: u64 = 10_000;

/// What one kind of hook reached.
struct Drained {
    events_per_second: f64,
    cpu_per_event: Duration,
    peak: u64,
}

pub(crate) fn measure(setting: &Setting<'_>) -> Result<Vec<Figure>> {
    let mut nginx = Nginx::start()?;
    let singles = drained(setting, Kind::Json, &mut nginx)?;
    let batches = drained(setting, Kind::Batches(BATCH), &mut nginx)?;
    let limits = &setting.limits;
    let bare_per_event = limits.batches.cpu / BATCH;
    Ok(vec![
        Figure::plain("drain", "events/s", singles.events_per_second),
        Figure::ratio("drain against the bare loop", Bar::AtLeast(0.55), against(&singles, &limits.singles)),
        Figure::new(
            "drain, CPU of an event above the bare loop's",
            "µs",
            Bar::AtMost(18.0),
            micros(singles.cpu_per_event) - micros(limits.singles.cpu),
        ),
        Figure::plain("drain, memory", "MiB", super::accept::mebibytes(singles.peak)),
        Figure::plain("drain in batches of 100", "events/s", batches.events_per_second),
        Figure::ratio(
            "drain in batches of 100 against bare single requests",
            Bar::AtLeast(1.5),
            against(&batches, &limits.singles),
        ),
        Figure::new(
            "drain in batches, CPU of an event above the bare loop's",
            "µs",
            Bar::AtMost(8.0),
            micros(batches.cpu_per_event) - micros(bare_per_event),
        ),
    ])
}

fn against(drained: &Drained, bare: &Bare) -> f64 {
    drained.events_per_second / bare.per_second
}

fn drained(setting: &Setting<'_>, kind: Kind, nginx: &mut Nginx) -> Result<Drained> {
    let policy = Policy::with_hooks(1, kind, &nginx.url(), Tuning::Tuned);
    let daemon = Daemon::start(setting.binary, &policy, setting.keep)?;
    daemon.client(&["hooks", "pause", "hook1"]).context("hold the hook back while the journal is filled")?;
    fill(&daemon, setting.scale.backlog())?;
    let events = daemon.lag()?;
    let before = daemon.cost()?;
    let first = nginx.requests()?;
    let started = Instant::now();
    daemon.client(&["hooks", "resume", "hook1"])?;
    match kind {
        // nginx counts to the last one; the daemon's gauge may be half a second old.
        Kind::Json => {
            wait_until("every event is out", DRAINED_WITHIN, || Ok((nginx.requests()? - first) as f64 >= events))?
        }
        Kind::Batches(_) => wait_until("every event is out", DRAINED_WITHIN, || Ok(daemon.lag()? == 0.0))?,
    }
    let elapsed = started.elapsed();
    let cost = daemon.cost()?.since(&before);
    daemon.stop()?;
    Ok(Drained {
        events_per_second: events / elapsed.as_secs_f64(),
        cpu_per_event: cost.cpu.div_f64(events),
        peak: cost.peak,
    })
}

/// Sends mail until so many events wait.
pub(super) fn fill(daemon: &Daemon, events: u64) -> Result<()> {
    let mut seen = -1.0;
    while daemon.lag()? < events as f64 {
        smtp_source(daemon.smtp, PORTION.min(events))?;
        let lag = daemon.lag()?;
        anyhow::ensure!(lag > seen, "mail was sent, and the hook's lag stays at {lag}");
        seen = lag;
    }
    Ok(())
}
