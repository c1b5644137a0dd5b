//! What events cost that cannot be delivered: memory, mail, the next start.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::Setting;
use super::accept::mebibytes;
use super::drain::fill;
use crate::daemon::Daemon;
use crate::endpoint::{Nginx, unused};
use crate::load::smtp_source;
use crate::policy::{Kind, Policy, Tuning};
use crate::process::wait_until;
use crate::report::{Bar, Figure};

pub(crate) fn measure(setting: &Setting<'_>) -> Result<Vec<Figure>> {
    let address = unused()?;
    let url = format!("http://{address}/log");
    let policy = Policy::with_hooks(1, Kind::Json, &url, Tuning::OutOfTheBox);
    let daemon = Daemon::start(setting.binary, &policy, setting.keep)?;
    let mails = setting.scale.mails();
    smtp_source(daemon.smtp, mails.div_ceil(20))?;
    let idle = daemon.cost()?.resident;
    let without = smtp_source(daemon.smtp, mails)?;
    fill(&daemon, setting.scale.backlog())?;
    let full = daemon.cost()?.resident;
    let with = smtp_source(daemon.smtp, mails)?;
    let waiting = daemon.lag()?;

    let mut nginx = Nginx::start_at(address)?;
    let started = Instant::now();
    let daemon = daemon.restart()?;
    let stopped_and_ready = started.elapsed();
    let since_start = daemon.ready_after;
    let delivered = Instant::now();
    wait_until("an event is delivered after the restart", Duration::from_secs(300), || Ok(nginx.requests()? > 0))?;
    let first = since_start + delivered.elapsed();
    daemon.stop()?;
    Ok(vec![
        Figure::plain("backlog", "events", waiting),
        Figure::new("backlog, memory above idle", "MiB", Bar::AtMost(64.0), mebibytes(full.saturating_sub(idle))),
        Figure::ratio(
            "mail with a backlog against mail without",
            Bar::AtLeast(0.95),
            without.as_secs_f64() / with.as_secs_f64(),
        ),
        Figure::plain("stop and start with a backlog", "s", stopped_and_ready.as_secs_f64()),
        Figure::new("start to first delivery with a backlog", "s", Bar::AtMost(2.0), first.as_secs_f64()),
    ])
}
