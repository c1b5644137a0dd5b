//! What the machine can do, measured without any daemon.

use std::time::Duration;

use anyhow::{Result, bail};
use bytes::Bytes;

use crate::args::Scale;
use crate::bare::{self, Bare};
use crate::endpoint::Nginx;
use crate::report::{Bar, Figure};
use crate::wrk;

/// Connections of the bare loop, and of a hook.
pub(crate) const CONNECTIONS: usize = 10;
/// Events of a batch.
pub(crate) const BATCH: u32 = 100;

/// An event as it is posted.
const EVENT: &str = include_str!("event.json");

/// The bare loop's rates.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) singles: Bare,
    /// A request each for [`BATCH`] events.
    pub(crate) batches: Bare,
    wrk: f64,
}

impl Limits {
    pub(crate) fn measure(scale: Scale) -> Result<Limits> {
        let nginx = Nginx::start()?;
        let body = Bytes::from_static(EVENT.as_bytes());
        let requests = scale.bare_requests();
        let singles = bare::run(nginx.address(), body.clone(), CONNECTIONS, requests)?;
        let wrk = wrk::run(nginx.address(), &body, CONNECTIONS, scale.seconds().min(5))?;
        // At the quick scale nobody believes a figure, so a busy machine may as well be looked at.
        if scale != Scale::Quick && singles.per_second < wrk * wrk::LEAST_SHARE {
            bail!(
                "the run is invalid: the bare loop reached {:.0} requests a second, less than {} of wrk's {wrk:.0}; \
                 is something else busy on this machine?",
                singles.per_second,
                wrk::LEAST_SHARE
            );
        }
        let batch = Bytes::from(format!("[{}]", vec![EVENT.trim_end(); BATCH as usize].join(",")));
        let batches = bare::run(nginx.address(), batch, CONNECTIONS, requests.div_ceil(u64::from(BATCH)).max(200))?;
        Ok(Limits { singles, batches, wrk })
    }

    pub(crate) fn figures(&self) -> Vec<Figure> {
        vec![
            Figure::plain("bare loop", "req/s", self.singles.per_second),
            Figure::plain("bare loop, CPU of a request", "µs", micros(self.singles.cpu)),
            Figure::plain("bare loop, batches of 100", "req/s", self.batches.per_second),
            Figure::ratio("bare loop against wrk", Bar::AtLeast(wrk::LEAST_SHARE), self.singles.per_second / self.wrk),
        ]
    }
}

/// Microseconds, as figures show them.
pub(crate) fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
