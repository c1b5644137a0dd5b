//! Bytes written for an event.

use anyhow::Result;

use super::Setting;
use crate::daemon::Daemon;
use crate::endpoint::Receiver;
use crate::load::smtp_source;
use crate::policy::{Kind, Policy, Tuning};
use crate::process::wait_until;
use crate::report::{Bar, Figure};

pub(crate) fn measure(setting: &Setting<'_>) -> Result<Vec<Figure>> {
    let receiver = Receiver::start()?;
    let off = written(setting, &Policy::without_hooks(), None)?;
    let on = Policy::with_hooks(1, Kind::Json, &receiver.url(), Tuning::OutOfTheBox);
    let on = written(setting, &on, Some(&receiver))?;
    let events = receiver.count()?;
    let for_an_event = on.saturating_sub(off) as f64 / events as f64;
    let record = receiver.bytes()? as f64 / events as f64;
    Ok(vec![
        Figure::plain("bytes of a record", "B", record),
        Figure::ratio("bytes written for an event against its record", Bar::AtMost(3.0), for_an_event / record),
    ])
}

/// What the daemon hands to the disk for the mails, stopped so that nothing is left in memory.
fn written(setting: &Setting<'_>, policy: &Policy, receiver: Option<&Receiver>) -> Result<u64> {
    let daemon = Daemon::start(setting.binary, policy, setting.keep)?;
    let before = daemon.cost()?;
    let mails = setting.scale.mails();
    smtp_source(daemon.smtp, mails)?;
    if let Some(receiver) = receiver {
        wait_until("every event arrives", std::time::Duration::from_secs(900), || {
            Ok(receiver.count()? >= mails && daemon.lag()? == 0.0)
        })?;
    }
    // Everything that is going to be written has been handed over once the page cache is clean.
    nix::unistd::sync();
    let written = daemon.cost()?.since(&before).written;
    daemon.stop()?;
    Ok(written)
}
