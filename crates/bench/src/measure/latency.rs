//! From an event to its arrival, while the daemon has half of what it can do.

use std::time::Duration;

use anyhow::Result;

use super::Setting;
use crate::daemon::Daemon;
use crate::endpoint::Receiver;
use crate::load::{paced, smtp_source};
use crate::policy::{Kind, Policy, Tuning};
use crate::process::wait_until;
use crate::report::{Bar, Figure};

const DRAINED_WITHIN: Duration = Duration::from_secs(900);

pub(crate) fn measure(setting: &Setting<'_>) -> Result<Vec<Figure>> {
    let receiver = Receiver::start()?;
    let policy = Policy::with_hooks(1, Kind::Json, &receiver.url(), Tuning::OutOfTheBox);
    let daemon = Daemon::start(setting.binary, &policy, setting.keep)?;
    let mails = setting.scale.mails();
    let started = std::time::Instant::now();
    smtp_source(daemon.smtp, mails)?;
    wait_until("the first mails' events arrive", DRAINED_WITHIN, || Ok(daemon.lag()? == 0.0))?;
    // Half of what it does in steady state, events included.
    let rate = mails as f64 / started.elapsed().as_secs_f64() / 2.0;
    receiver.forget()?;
    let sent = paced(daemon.smtp, rate, Duration::from_secs(setting.scale.seconds()))?;
    wait_until("every event arrives", DRAINED_WITHIN, || Ok(receiver.count()? >= sent))?;
    daemon.stop()?;
    let millis = |share| anyhow::Ok(receiver.age(share)?.as_secs_f64() * 1e3);
    Ok(vec![
        Figure::plain("latency: mails sent", "mails/s", rate),
        // The bars are from the event's commit; two syncs lie between its time and that.
        Figure::new("latency from event_time, p50", "ms", Bar::None, millis(0.5)?),
        Figure::new("latency from event_time, p99", "ms", Bar::None, millis(0.99)?),
    ])
}
