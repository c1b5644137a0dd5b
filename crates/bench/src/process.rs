//! A child process that does not outlive us.

use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How often a condition is looked at that nothing tells about.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A running program; killed when this value goes away.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    name: String,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Result<Running> {
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn().with_context(|| format!("start {name}"))?;
        Ok(Running { child, name })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// An error if it has ended, which nobody asked for.
    pub(crate) fn must_run(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} has ended: {status}", self.name),
        }
    }

    /// SIGTERM, then waits.
    pub(crate) fn stop(mut self, within: Duration) -> Result<ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        let deadline = Instant::now() + within;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(LOOK_EVERY);
        }
        bail!("{} still runs {} s after SIGTERM", self.name, within.as_secs())
    }

    /// SIGKILL, then waits for its end.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.must_run()?;
        self.signal(Signal::SIGKILL)?;
        self.child.wait().with_context(|| format!("wait for {}", self.name))?;
        Ok(())
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.child.id())?);
        kill(pid, signal).with_context(|| format!("send {signal} to {}", self.name))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // It is going away with us; there is nobody left to tell.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Looks until the condition holds.
pub(crate) fn wait_until(what: &str, within: Duration, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + within;
    while !holds()? {
        if Instant::now() > deadline {
            bail!("not within {} s: {what}", within.as_secs());
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(())
}
