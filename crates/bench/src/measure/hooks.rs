//! Many event hooks, of which each event concerns one; and some whose endpoints are dead, or say nothing, beside others.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::Setting;
use crate::daemon::Daemon;
use crate::endpoint::{Nginx, Receiver, Silent, unused};
use crate::load::{paced, smtp_source};
use crate::process::wait_until;
use crate::report::{Bar, Figure};
use crate::scratch::Scratch;

const DELIVERED_WITHIN: Duration = Duration::from_secs(900);
const FEW: u64 = 10;
const MANY: u64 = 1000;
/// Hooks of one tenant.
const OF_A_TENANT: u64 = 10;

pub(crate) fn measure(setting: &Setting<'_>) -> Result<Vec<Figure>> {
    let mut nginx = Nginx::start()?;
    let few = deliveries(setting, FEW, &mut nginx)?;
    let many = deliveries(setting, MANY, &mut nginx)?;
    let (healthy, beside_dead) = (age(setting, Dead::None, few)?, age(setting, Dead::OneTenant, few)?);
    let beside_silent = age(setting, Dead::HalfSilent, few)?;
    let millis = |age: Duration| age.as_secs_f64() * 1e3;
    Ok(vec![
        Figure::plain("10 event hooks, an event for one of them", "events/s", few),
        Figure::plain("1,000 event hooks, an event for one of them", "events/s", many),
        Figure::ratio("1,000 event hooks against 10", Bar::AtLeast(0.5), many / few),
        Figure::plain("1,000 event hooks, p99 from event_time", "ms", millis(healthy)),
        Figure::ratio(
            "the same with the endpoints of one tenant of 100 dead",
            Bar::AtMost(2.0),
            beside_dead.as_secs_f64() / healthy.as_secs_f64(),
        ),
        Figure::ratio(
            "the same with 500 endpoints that take connections and say nothing",
            Bar::AtMost(2.0),
            beside_silent.as_secs_f64() / healthy.as_secs_f64(),
        ),
    ])
}

/// Whose endpoints answer nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dead {
    None,
    /// The first ten hooks are of one tenant.
    OneTenant,
    /// Each of the first 500 hooks has an endpoint of its own that takes connections and says nothing.
    HalfSilent,
}

const SILENT: u64 = MANY / 2;

/// A daemon with so many hooks, each on one value of a field that each mail has one of.
fn daemon(setting: &Setting<'_>, hooks: u64, url: impl Fn(u64) -> String, handler: &[&str]) -> Result<Daemon> {
    let scratch = Scratch::create(setting.keep)?;
    let folder = scratch.path().display();
    let script = format!(
        "local kumo = require 'kumo'
kumo.on('init', function()
  kumo.define_spool {{ name = 'data', path = '{folder}/spool/data', min_free_space = '1%' }}
  kumo.define_spool {{ name = 'meta', path = '{folder}/spool/meta', min_free_space = '1%' }}
  kumo.define_journal {{ meta = {{ 'customer' }} }}
  kumo.configure_webhooks {{ allow_targets = {{ '127.0.0.0/8' }} }}
  kumo.start_esmtp_listener {{ listen = '127.0.0.1:0', relay_hosts = {{ '127.0.0.1' }} }}
  kumo.start_http_listener {{ listen = '127.0.0.1:0' }}
end)

kumo.on('smtp_server_message_received', function(msg)
  local customer = math.random(0, {last})
  msg:set_meta('customer', tostring(customer))
  msg:set_meta('tenant', 't' .. customer // {OF_A_TENANT})
  msg:set_meta('queue', 'null')
end)
",
        last = hooks - 1
    );
    let daemon = Daemon::start_script(setting.binary, scratch, &script)?;
    for hook in 0..hooks {
        let (url, filter) = (url(hook), format!("data.meta.customer == '{hook}'"));
        let tenant = format!("tenant=t{}", hook / OF_A_TENANT);
        let words = ["event-hooks", "create", "--source", "log", "--event", "Reception", "--url", &url];
        let words = [&words[..], &["--filter", &filter, "--set", &tenant], handler].concat();
        daemon.client(&words).with_context(|| format!("make event hook {hook}"))?;
    }
    Ok(daemon)
}

/// Deliveries a second, from the first mail to the last delivery.
fn deliveries(setting: &Setting<'_>, hooks: u64, nginx: &mut Nginx) -> Result<f64> {
    let url = nginx.url();
    let handler = ["--handler", "webhook-custom", "--set", "config.method=POST", "--set", "config.body={{ id }}"];
    let daemon = daemon(setting, hooks, |_| url.clone(), &handler)?;
    let (first, mails) = (nginx.requests()?, setting.scale.mails());
    let started = Instant::now();
    smtp_source(daemon.smtp, mails)?;
    wait_until("every event is delivered", DELIVERED_WITHIN, || Ok(nginx.requests()? - first >= mails))?;
    let elapsed = started.elapsed();
    daemon.stop()?;
    Ok(mails as f64 / elapsed.as_secs_f64())
}

/// The age at arrival that 99 of 100 events of living endpoints did not exceed, at half of what ten hooks can do.
fn age(setting: &Setting<'_>, dead: Dead, rate: f64) -> Result<Duration> {
    let receiver = Receiver::start()?;
    let nobody = format!("http://{}/log", unused()?);
    let silent = match dead {
        Dead::HalfSilent => (0..SILENT).map(|_| Silent::start()).collect::<Result<Vec<_>>>()?,
        Dead::None | Dead::OneTenant => Vec::new(),
    };
    let silent_urls = silent.iter().map(Silent::url).collect::<Result<Vec<_>>>()?;
    let url = |hook: u64| match dead {
        Dead::OneTenant if hook < OF_A_TENANT => nobody.clone(),
        _ => silent_urls.get(usize::try_from(hook).unwrap_or(usize::MAX)).cloned().unwrap_or_else(|| receiver.url()),
    };
    let daemon = daemon(setting, MANY, url, &["--handler", "webhook"])?;
    let sent = paced(daemon.smtp, rate / 2.0, Duration::from_secs(setting.scale.seconds()))?;
    // Chance gives the dead a hundredth; three times that is left out of the wait. And the silent ones half, give or take.
    let living = match dead {
        Dead::None => sent,
        Dead::OneTenant => sent - sent * 3 * OF_A_TENANT / MANY,
        Dead::HalfSilent => sent - sent * SILENT / MANY - sent * 3 / 100,
    };
    wait_until("the living endpoints have their events", DELIVERED_WITHIN, || Ok(receiver.count()? >= living))?;
    daemon.stop()?;
    receiver.age(0.99)
}
