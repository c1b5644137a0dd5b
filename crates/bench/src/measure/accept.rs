//! Mail accepted on a saturated machine: what hooks take away from it.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::Setting;
use super::limits::{BATCH, micros};
use crate::cost::Cost;
use crate::daemon::Daemon;
use crate::endpoint::{Nginx, Silent, unused};
use crate::load::smtp_source;
use crate::policy::{Kind, Policy, Tuning};
use crate::process::wait_until;
use crate::report::{Bar, Figure};

/// The least share of the bare rate at which events have to leave meanwhile.
const LEAST_EVENTS: f64 = 0.05;
const DRAINED_WITHIN: Duration = Duration::from_secs(900);

/// What one policy reached.
struct Accepted {
    mails_per_second: f64,
    /// Requests that reached the endpoint while mail came in.
    requests_per_second: f64,
    cost: Cost,
}

pub(crate) fn measure(setting: &Setting<'_>) -> Result<Vec<Figure>> {
    let mut nginx = Nginx::start()?;
    let url = nginx.url();
    let silent = Silent::start()?;
    let down = format!("http://{}/log", unused()?);
    let mails = setting.scale.mails();

    let off = accepted(setting, &Policy::without_hooks(), None)?;
    let one = accepted(setting, &Policy::with_hooks(1, Kind::Json, &url, Tuning::Tuned), Some(&mut nginx))?;
    let five = accepted(setting, &Policy::with_hooks(5, Kind::Json, &url, Tuning::Tuned), Some(&mut nginx))?;
    let hangs = accepted(setting, &Policy::with_hooks(1, Kind::Json, &silent.url()?, Tuning::Tuned), None)?;
    let dead = accepted(setting, &Policy::with_hooks(1, Kind::Json, &down, Tuning::Tuned), None)?;

    let against_off = |other: &Accepted| other.mails_per_second / off.mails_per_second;
    let bare = setting.limits.singles.per_second;
    let for_mail =
        |other: &Accepted| micros(other.cost.cpu_of_mail.saturating_sub(off.cost.cpu_of_mail)) / mails as f64;
    let mut figures = vec![
        Figure::plain("mail without hooks", "mails/s", off.mails_per_second),
        Figure::plain("mail without hooks, CPU of a mail", "µs", micros(off.cost.cpu) / mails as f64),
        Figure::ratio("mail with one hook against none", Bar::AtLeast(0.85), against_off(&one)),
        Figure::ratio(
            "events leaving meanwhile, against the bare loop",
            Bar::AtLeast(LEAST_EVENTS),
            one.requests_per_second / bare,
        ),
        Figure::new("CPU of the mail threads for an event", "µs", Bar::AtMost(15.0), for_mail(&one)),
        Figure::ratio("mail with five hooks against none", Bar::AtLeast(0.75), against_off(&five)),
        Figure::ratio("mail with a hook that hangs against none", Bar::AtLeast(0.95), against_off(&hangs)),
        Figure::ratio("mail with a hook that is down against none", Bar::AtLeast(0.95), against_off(&dead)),
        Figure::plain("memory with one hook, peak", "MiB", mebibytes(one.cost.peak)),
    ];
    figures.extend(steady(setting, &url, &off)?);
    figures.extend(out_of_the_box(setting, &mut nginx)?);
    Ok(figures)
}

fn accepted(setting: &Setting<'_>, policy: &Policy, nginx: Option<&mut Nginx>) -> Result<Accepted> {
    let daemon = Daemon::start(setting.binary, policy, setting.keep)?;
    let mails = setting.scale.mails();
    // What only the first mails cost is no cost of hooks.
    smtp_source(daemon.smtp, mails.div_ceil(20))?;
    let before = daemon.cost()?;
    let (elapsed, requests) = match nginx {
        None => (smtp_source(daemon.smtp, mails)?, 0),
        Some(nginx) => {
            let first = nginx.requests()?;
            let elapsed = smtp_source(daemon.smtp, mails)?;
            (elapsed, nginx.requests()? - first)
        }
    };
    let cost = daemon.cost()?.since(&before);
    daemon.stop()?;
    let seconds = elapsed.as_secs_f64();
    Ok(Accepted { mails_per_second: mails as f64 / seconds, requests_per_second: requests as f64 / seconds, cost })
}

/// Batches of a hundred, counted until the last event is out: what the machine keeps up with for ever.
fn steady(setting: &Setting<'_>, url: &str, off: &Accepted) -> Result<Vec<Figure>> {
    let policy = Policy::with_hooks(1, Kind::Batches(BATCH), url, Tuning::Tuned);
    let rate = until_drained(setting, &policy)?;
    let ratio = rate / off.mails_per_second;
    Ok(vec![Figure::ratio("mail in steady state with batches of 100 against no hook", Bar::AtLeast(0.8), ratio)])
}

/// The same without any option of queue or path.
fn out_of_the_box(setting: &Setting<'_>, nginx: &mut Nginx) -> Result<Vec<Figure>> {
    let url = nginx.url();
    let plain = until_drained(setting, &Policy::with_hooks(1, Kind::Json, &url, Tuning::OutOfTheBox))?;
    let tuned = until_drained(setting, &Policy::with_hooks(1, Kind::Json, &url, Tuning::Tuned))?;
    Ok(vec![
        Figure::plain("mail in steady state, one hook", "mails/s", tuned),
        Figure::ratio("the same out of the box", Bar::AtLeast(0.9), plain / tuned),
    ])
}

/// Mails a second from the first mail to the last event.
fn until_drained(setting: &Setting<'_>, policy: &Policy) -> Result<f64> {
    let daemon = Daemon::start(setting.binary, policy, setting.keep)?;
    let mails = setting.scale.mails();
    smtp_source(daemon.smtp, mails.div_ceil(20))?;
    wait_until("the warming up is drained", DRAINED_WITHIN, || Ok(daemon.lag()? == 0.0))?;
    let started = Instant::now();
    smtp_source(daemon.smtp, mails)?;
    wait_until("every event is out", DRAINED_WITHIN, || Ok(daemon.lag()? == 0.0))?;
    let elapsed = started.elapsed();
    daemon.stop()?;
    Ok(mails as f64 / elapsed.as_secs_f64())
}

/// Mebibytes, as figures show them.
pub(super) fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1u32 << 20)
}
