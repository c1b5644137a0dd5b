//! The daemon that is measured, as a child process.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::cost::Cost;
use crate::count::Callgrind;
use crate::policy::Policy;
use crate::process::{LOOK_EVERY, Running};
use crate::scratch::Scratch;

const READY_WITHIN: Duration = Duration::from_secs(120);
const STOPPED_WITHIN: Duration = Duration::from_secs(180);
/// Ours, and no other daemon's.
const LAG: &str = "waybill_hook_lag_events";
/// A hook has none before it has counted for the first time.
const LAG_TOLD_WITHIN: Duration = Duration::from_secs(10);
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// A running daemon with its folder.
#[derive(Debug)]
pub(crate) struct Daemon {
    process: Running,
    scratch: Scratch,
    program: PathBuf,
    pub(crate) smtp: SocketAddr,
    pub(crate) http: SocketAddr,
    /// How often it was started before, in this folder.
    starts: u32,
    /// From the start of the process to `initialization complete`.
    pub(crate) ready_after: Duration,
}

impl Daemon {
    /// Starts it with this policy in a folder of its own.
    pub(crate) fn start(binary: &Path, policy: &Policy, keep: bool) -> Result<Daemon> {
        let scratch = Scratch::create(keep)?;
        let script = policy.lua(scratch.path());
        Daemon::start_script(binary, scratch, &script)
    }

    /// Starts it with this script in this folder.
    pub(crate) fn start_script(binary: &Path, scratch: Scratch, script: &str) -> Result<Daemon> {
        let program = scratch.as_kumod(binary)?;
        scratch.write("init.lua", script)?;
        Daemon::start_in(scratch, program, 0)
    }

    /// Starts it with this script in this folder, for its instructions to be counted.
    pub(crate) fn start_counted(
        binary: &Path,
        scratch: Scratch,
        script: &str,
        callgrind: &Callgrind,
    ) -> Result<Daemon> {
        let program = scratch.as_kumod(binary)?;
        scratch.write("init.lua", script)?;
        let command = callgrind.around(&program);
        Daemon::started(scratch, program, 0, command)
    }

    /// Stops it and starts it again on what it has.
    pub(crate) fn restart(self) -> Result<Daemon> {
        let status = self.process.stop(STOPPED_WITHIN)?;
        if !status.success() {
            bail!("the daemon stopped badly: {status}");
        }
        Daemon::start_in(self.scratch, self.program, self.starts + 1)
    }

    /// `kill -9`, then starts it again on what it has.
    pub(crate) fn kill_and_start(self) -> Result<Daemon> {
        self.process.kill()?;
        Daemon::start_in(self.scratch, self.program, self.starts + 1)
    }

    fn start_in(scratch: Scratch, program: PathBuf, starts: u32) -> Result<Daemon> {
        let mut command = Command::new(&program);
        if let Some(user) = &scratch.user {
            command.args(["--user", user]);
        }
        Daemon::started(scratch, program, starts, command)
    }

    /// Starts it as this command has it begin.
    fn started(scratch: Scratch, program: PathBuf, starts: u32, mut command: Command) -> Result<Daemon> {
        let log = scratch.path().join(format!("diagnostics-{starts}.log"));
        command.arg("--policy").arg(scratch.path().join("init.lua")).current_dir(scratch.path());
        command.env("WAYBILL_STATE_DIR", scratch.path().join("state"));
        command.env("KUMO_NODE_ID_PATH", scratch.path().join("nodeid")).env("KUMOD_LOG", "warn");
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(File::create(&log).with_context(|| format!("create {}", log.display()))?);
        let started = Instant::now();
        let mut process = Running::start(&mut command)?;
        let (smtp, http) = wait_until_ready(&mut process, &log)?;
        Ok(Daemon { process, scratch, program, smtp, http, starts, ready_after: started.elapsed() })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// An error if it has ended, which nobody asked for.
    pub(crate) fn must_run(&mut self) -> Result<()> {
        self.process.must_run()
    }

    pub(crate) fn cost(&self) -> Result<Cost> {
        Cost::of(self.pid())
    }

    /// The sum of all values of a metric, whatever their labels; `None` if it has none.
    pub(crate) fn metric(&self, name: &str) -> Result<Option<f64>> {
        let text = get(self.http, "/metrics")?;
        let values: Vec<f64> = text.lines().filter_map(|line| value(line, name)).collect();
        Ok((!values.is_empty()).then(|| values.iter().sum()))
    }

    /// Events that no hook has settled, as far as the daemon tells.
    pub(crate) fn lag(&self) -> Result<f64> {
        let started = Instant::now();
        loop {
            if let Some(lag) = self.metric(LAG)? {
                return Ok(lag);
            }
            if started.elapsed() > LAG_TOLD_WITHIN {
                bail!("this daemon has no metric {LAG}");
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// A client command of our own daemon, such as `hooks pause webhook`.
    pub(crate) fn client(&self, words: &[&str]) -> Result<()> {
        // Under the name `kumod` it would be a daemon.
        let binary = std::fs::canonicalize(&self.program)?;
        let mut command = Command::new(binary);
        command.args(words).env("WAYBILL_STATE_DIR", self.scratch.path().join("state"));
        let output = command.output().context("run the daemon's client")?;
        if !output.status.success() {
            bail!("{}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }

    /// Stops it. Its folder is what is left.
    pub(crate) fn stop(self) -> Result<Scratch> {
        let status = self.process.stop(STOPPED_WITHIN)?;
        if !status.success() {
            bail!("the daemon stopped badly: {status}");
        }
        Ok(self.scratch)
    }
}

/// Reads its stderr until it says that it is ready.
fn wait_until_ready(process: &mut Running, log: &Path) -> Result<(SocketAddr, SocketAddr)> {
    let mut reader = BufReader::new(File::open(log)?);
    let deadline = Instant::now() + READY_WITHIN;
    let (mut smtp, mut http) = (None, None);
    let mut line = String::new();
    loop {
        if reader.read_line(&mut line)? == 0 || !line.ends_with('\n') {
            process.must_run().with_context(|| std::fs::read_to_string(log).unwrap_or_default())?;
            if Instant::now() > deadline {
                bail!("not ready after {} s:\n{}", READY_WITHIN.as_secs(), std::fs::read_to_string(log)?);
            }
            std::thread::sleep(LOOK_EVERY);
            continue;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [.., "smtp", "listener", "on", address] => smtp = Some(address.parse()?),
            [.., "http", "listener", "on", address] => http = Some(address.parse()?),
            [.., "initialization", "complete"] => {
                return Ok((smtp.context("no smtp listener")?, http.context("no http listener")?));
            }
            _ => {}
        }
        line.clear();
    }
}

/// The body of a GET, by the least of HTTP/1.0.
pub(crate) fn get(address: SocketAddr, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_WITHIN)?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).with_context(|| format!("GET http://{address}{path}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer without a head")?;
    if !head.lines().next().is_some_and(|line| line.contains(" 200")) {
        bail!("GET http://{address}{path}: {head}");
    }
    Ok(body.to_owned())
}

/// The value of a line of the Prometheus text format, if it is of this metric.
fn value(line: &str, name: &str) -> Option<f64> {
    let rest = line.strip_prefix(name)?;
    let rest = if rest.starts_with('{') { rest.rsplit_once('}')?.1 } else { rest };
    // Another metric's name may begin with this one's.
    rest.strip_prefix(' ')?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::value;

    #[test]
    fn a_metric_is_found_by_its_whole_name() {
        assert_eq!(value("waybill_lag 3", "waybill_lag"), Some(3.0));
        assert_eq!(value(r#"waybill_lag{hook="a b}"} 4"#, "waybill_lag"), Some(4.0));
        assert_eq!(value("waybill_lag_seconds 5", "waybill_lag"), None);
        assert_eq!(value("# HELP waybill_lag 6", "waybill_lag"), None);
    }
}
