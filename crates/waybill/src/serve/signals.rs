use anyhow::{Context, Result};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that end the daemon. SIGHUP is one of them: it means stop, not reload.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    pub(crate) fn new() -> Result<Self> {
        let listen = |kind| signal(kind).context("listen for signals");
        Ok(Signals {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    /// Waits for the first one that comes later than `pause` from now; those before count for nothing.
    pub(crate) async fn next_after(&mut self, pause: Duration) -> &'static str {
        let end = tokio::time::Instant::now() + pause;
        loop {
            let signal = self.next().await;
            if tokio::time::Instant::now() >= end {
                return signal;
            }
        }
    }

    /// Waits for the next one. Cancel safe.
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.hangup.recv() => "SIGHUP",
        }
    }
}
