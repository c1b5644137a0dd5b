//! The daemon as a child process: start, readiness, a clean stop.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ChildStderr, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::news::{self, News, Newsroom, Reporter};
use super::readiness::{self, Notice};

const READY_WITHIN: Duration = Duration::from_secs(60);
const STOPPED_WITHIN: Duration = Duration::from_secs(60);
/// After the daemon's end, for its stderr to close: a process that it left behind may hold it open.
const LAST_WORDS_WITHIN: Duration = Duration::from_secs(1);

/// A running daemon; killed when this value goes away before it has stopped.
pub(super) struct Daemon {
    pid: u32,
    log: PathBuf,
    /// Set once the process has been waited for: from then on its number may be somebody else's.
    gone: Arc<AtomicBool>,
}

impl Daemon {
    /// Starts the command. Its stderr goes to `log`, and what matters of it to the newsroom.
    pub(super) fn start(mut command: Command, log: &Path, reporter: Reporter) -> Result<Daemon> {
        let file = File::create(log).with_context(|| format!("create {}", log.display()))?;
        let program = command.get_program().to_owned();
        command.stdin(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("start {}", program.display()))?;
        let daemon = Daemon { pid: child.id(), log: log.to_owned(), gone: Arc::default() };
        let stderr = child.stderr.take().context("the daemon has no stderr")?;
        let (all_read, last_line) = sync_channel(1);
        let lines = reporter.clone();
        let gone = Arc::clone(&daemon.gone);
        thread::Builder::new().name("demo-stderr".to_owned()).spawn(move || {
            listen(stderr, file, &lines);
            let _ = all_read.send(());
        })?;
        thread::Builder::new().name("demo-daemon".to_owned()).spawn(move || {
            if let Ok(status) = child.wait() {
                gone.store(true, Ordering::Release);
                // Whoever hears of the end should find the last words in the log.
                let _ = last_line.recv_timeout(LAST_WORDS_WITHIN);
                reporter.tell(News::Stopped(status));
            }
        })?;
        Ok(daemon)
    }

    /// The process id.
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits for `initialization complete` and returns the address of the SMTP listener.
    pub(super) fn wait_until_ready(&self, newsroom: &Newsroom) -> Result<SocketAddr> {
        let deadline = news::deadline(READY_WITHIN);
        let mut smtp = None;
        loop {
            match newsroom.next(deadline) {
                Some(News::Notice(Notice::Listening { protocol, address })) if protocol == "smtp" => {
                    smtp = Some(address)
                }
                Some(News::Notice(Notice::Initialized)) => {
                    return smtp.with_context(|| format!("the policy opened no smtp listener\n{}", self.last_words()));
                }
                Some(News::Stopped(status)) => {
                    bail!("the daemon stopped before it was ready: {status}\n{}", self.last_words());
                }
                Some(_) => {}
                None => bail!("not ready after {} seconds\n{}", READY_WITHIN.as_secs(), self.last_words()),
            }
        }
    }

    /// Asks it to stop, as a service manager would, and insists on exit code 0.
    pub(super) fn stop(&self, newsroom: &Newsroom) -> Result<()> {
        signal(self.pid, "TERM")?;
        match self.wait_for_end(newsroom) {
            Some(status) if status.success() => Ok(()),
            Some(status) => bail!("the daemon stopped badly: {status}\n{}", self.last_words()),
            None => bail!("still running {} seconds after SIGTERM\n{}", STOPPED_WITHIN.as_secs(), self.last_words()),
        }
    }

    fn wait_for_end(&self, newsroom: &Newsroom) -> Option<ExitStatus> {
        let deadline = news::deadline(STOPPED_WITHIN);
        while let Some(news) = newsroom.next(deadline) {
            match news {
                News::Stopped(status) => return Some(status),
                News::Event(arrival) => println!("{arrival}"),
                News::Notice(_) | News::Trouble(_) => {}
            }
        }
        None
    }

    /// The end of the log, for an error message.
    fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if !self.gone.load(Ordering::Acquire) {
            let _ = signal(self.pid, "KILL");
        }
    }
}

/// Copies the daemon's stderr to the log and tells what matters, until it is closed.
fn listen(stderr: ChildStderr, mut log: File, reporter: &Reporter) {
    for line in BufReader::new(stderr).split(b'\n') {
        let Ok(line) = line else { return };
        let line = String::from_utf8_lossy(&line);
        // A full disk must not stop the daemon by way of a stderr that nobody reads.
        let _ = writeln!(log, "{line}");
        if let Some(notice) = readiness::notice(&line) {
            reporter.tell(News::Notice(notice));
        }
    }
}

/// Sends a signal. The shell's own `kill` is there on every system, and std has none.
fn signal(pid: u32, name: &str) -> Result<()> {
    let status = Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status().context("run kill")?;
    if !status.success() {
        bail!("kill -{name} {pid}: {status}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A daemon of two lines of shell.
    fn start(script: &str, name: &str) -> (Newsroom, Daemon) {
        let newsroom = Newsroom::open();
        let log = std::env::temp_dir().join(format!("xtask-daemon-{}-{name}.log", std::process::id()));
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let daemon = Daemon::start(command, &log, newsroom.reporter()).unwrap();
        (newsroom, daemon)
    }

    #[test]
    fn a_daemon_that_gets_ready_can_be_stopped() {
        let script = "trap 'exit 0' TERM; echo smtp listener on 127.0.0.1:9 >&2; echo initialization complete >&2; \
                      while :; do sleep 0.05; done";
        let (newsroom, daemon) = start(script, "ready");
        assert_eq!(daemon.wait_until_ready(&newsroom).unwrap(), ([127, 0, 0, 1], 9).into());
        daemon.stop(&newsroom).unwrap();
        assert!(daemon.gone.load(Ordering::Acquire));
        std::fs::remove_file(&daemon.log).unwrap();
    }

    #[test]
    fn a_daemon_that_fails_is_quoted() {
        let (newsroom, daemon) = start("echo the port is taken >&2; exit 3", "fails");
        let error = daemon.wait_until_ready(&newsroom).unwrap_err().to_string();
        assert!(error.contains("before it was ready") && error.contains("the port is taken"), "{error}");
        std::fs::remove_file(&daemon.log).unwrap();
    }

    #[test]
    fn a_daemon_without_smtp_listener_is_no_use() {
        let (newsroom, daemon) = start("echo initialization complete >&2; while :; do sleep 0.05; done", "deaf");
        assert!(daemon.wait_until_ready(&newsroom).unwrap_err().to_string().contains("no smtp listener"));
        std::fs::remove_file(&daemon.log).unwrap();
    }
}
