//! A daemon that has nothing to do.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::Setting;
use super::accept::mebibytes;
use crate::daemon::Daemon;
use crate::endpoint::Nginx;
use crate::policy::{Kind, Policy, Tuning};
use crate::report::{Bar, Figure};

pub(crate) fn measure(setting: &Setting<'_>) -> Result<Vec<Figure>> {
    let nginx = Nginx::start()?;
    let policy = Policy::with_hooks(1, Kind::Json, &nginx.url(), Tuning::OutOfTheBox);
    let daemon = Daemon::start(setting.binary, &policy, setting.keep)?;
    let ready_after = daemon.ready_after;
    // What is measured is a span of time in which nothing happens: here waiting is the subject.
    std::thread::sleep(Duration::from_secs(2));
    let before = daemon.cost()?;
    let started = Instant::now();
    std::thread::sleep(Duration::from_secs(setting.scale.seconds()));
    let cost = daemon.cost()?.since(&before);
    let share = cost.cpu.as_secs_f64() / started.elapsed().as_secs_f64() * 100.0;
    daemon.stop()?;
    Ok(vec![
        Figure::plain("start to ready", "ms", ready_after.as_secs_f64() * 1e3),
        Figure::new("idle, share of a core", "%", Bar::AtMost(0.5), share),
        Figure::new("idle, memory", "MiB", Bar::AtMost(60.0), mebibytes(cost.resident)),
    ])
}
