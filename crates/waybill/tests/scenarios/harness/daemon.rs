//! The program under test, as a child process.

use super::limited::output_of;
use super::wait::{LIMIT, wait_until};
use super::{Home, Policy, Smtp};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What is tested.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_waybill");
/// What a failure message shows of stderr.
const LAST_WORDS: usize = 60;

/// A running daemon. It is killed when this value goes away.
pub(crate) struct Daemon {
    child: Child,
    state: PathBuf,
    stderr: Arc<Stderr>,
    reader: Option<JoinHandle<()>>,
}

/// How a daemon that did not start ended.
pub(crate) struct Refusal {
    pub(crate) status: ExitStatus,
    pub(crate) stderr: String,
}

#[derive(Default)]
struct Stderr {
    lines: Mutex<Lines>,
    changed: Condvar,
}

#[derive(Default)]
struct Lines {
    text: Vec<String>,
    ended: bool,
}

/// A command that runs the program and knows nothing of our environment: no proxies, no state of our own.
pub(crate) fn program() -> Command {
    program_at(Path::new(PROGRAM))
}

/// The same under another name.
pub(crate) fn program_at(path: &Path) -> Command {
    let mut command = Command::new(path);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).stdin(Stdio::null());
    command
}

impl Daemon {
    /// Writes the policy, starts, and waits until the daemon is ready.
    pub(crate) fn start(home: &Home, policy: &Policy) -> Daemon {
        home.write_policy(&policy.text(home));
        Daemon::start_again(home)
    }

    /// With the policy that is there.
    pub(crate) fn start_again(home: &Home) -> Daemon {
        Daemon::start_as(&mut serve(home))
    }

    /// As the command says.
    pub(crate) fn start_as(command: &mut Command) -> Daemon {
        let daemon = Daemon::spawn(command);
        let ready = daemon.stderr.wait(|lines| {
            let ready = lines.text.iter().any(|line| line.ends_with("initialization complete"));
            (ready || lines.ended).then_some(ready)
        });
        assert_eq!(ready, Some(true), "the daemon did not get ready:\n{}", daemon.stderr.text());
        daemon
    }

    /// A daemon that must not start.
    pub(crate) fn refused(home: &Home, policy: &Policy) -> Refusal {
        home.write_policy(&policy.text(home));
        Daemon::refuses(&mut serve(home))
    }

    /// A command that must end by itself.
    pub(crate) fn refuses(command: &mut Command) -> Refusal {
        let mut daemon = Daemon::spawn(command);
        let status = daemon.ended("the daemon ends by itself");
        Refusal { status, stderr: daemon.stderr.text() }
    }

    fn spawn(command: &mut Command) -> Daemon {
        let state =
            command.get_args().skip_while(|arg| *arg != "--state-dir").nth(1).map_or_else(PathBuf::new, PathBuf::from);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("start the daemon");
        let pipe = child.stderr.take().expect("a stderr of its own");
        let stderr = Arc::new(Stderr::default());
        let lines = stderr.clone();
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
                lines.add(String::from_utf8_lossy(&line).into_owned());
            }
            lines.end();
        });
        Daemon { child, state, stderr, reader: Some(reader) }
    }

    /// Where the SMTP listener is.
    pub(crate) fn smtp(&self) -> SocketAddr {
        self.listener("smtp")
    }

    /// Where the HTTP listener is.
    pub(crate) fn http(&self) -> SocketAddr {
        self.listener("http")
    }

    /// Where the HTTP listener is that speaks TLS.
    pub(crate) fn https(&self) -> SocketAddr {
        self.listener("https")
    }

    fn listener(&self, protocol: &str) -> SocketAddr {
        let lines = self.stderr.lines.lock().expect("no panic while it is held");
        let words = format!("{protocol} listener on ");
        let found = lines.text.iter().find_map(|line| line.strip_prefix(&words)?.parse().ok());
        found.unwrap_or_else(|| panic!("no {words}in {:?}", lines.text))
    }

    /// A connection to the SMTP listener.
    pub(crate) fn connect(&self) -> Smtp {
        Smtp::connect(self.smtp()).expect("connect to the SMTP listener")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The most memory that was ever resident, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        self.memory("VmHWM:")
    }

    /// The memory that is resident now, in bytes.
    pub(crate) fn resident_memory(&self) -> u64 {
        self.memory("VmRSS:")
    }

    fn memory(&self, name: &str) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("read the process's status");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line of this name");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number of kB") * 1024
    }

    /// Everything on stderr so far, as far as it was heard: what was said just now may still be on its way.
    pub(crate) fn stderr(&self) -> String {
        self.stderr.all()
    }

    /// Waits until the daemon has said this on stderr.
    pub(crate) fn says(&self, words: &str) {
        let said = self.stderr.wait(|lines| {
            let said = lines.text.iter().any(|line| line.contains(words));
            (said || lines.ended).then_some(said)
        });
        assert_eq!(said, Some(true), "{words:?} was not said:\n{}", self.stderr.text());
    }

    /// Waits until a hook's line of `waybill hooks list --json` is as it should be.
    pub(crate) fn wait_for_hook(&self, name: &str, what: &str, mut is: impl FnMut(&Value) -> bool) -> Value {
        wait_until(&format!("hook {name} {what}"), || {
            let hooks = hooks_list(&self.state).unwrap_or_else(|error| panic!("hooks list: {error}"));
            let hook = hooks.as_array().into_iter().flatten().find(|hook| hook["name"] == name);
            hook.filter(|hook| is(hook)).cloned()
        })
    }

    /// Runs a client command of the program against it: what it prints, or what it says on stderr when it fails.
    pub(crate) fn client(&self, words: &[&str]) -> Result<String, String> {
        run_client(&self.state, words)
    }

    /// Waits until a hook has nothing left to do and has given up this many events.
    pub(crate) fn settled(&self, name: &str, dead_letters: u64) {
        self.wait_for_hook(name, &format!("has settled everything, {dead_letters} of it as dead letters"), |hook| {
            let is = |field: &str, count: u64| hook[field] == count;
            is("lag_events", 0) && is("in_flight", 0) && is("parked", 0) && is("dead_letters", dead_letters)
        });
    }

    /// What `waybill ctl` prints; it must succeed.
    pub(crate) fn ctl(&self, args: &[&str]) -> String {
        let output = self.try_ctl(program().arg("ctl"), args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The same over some program, whatever comes of it.
    pub(crate) fn try_ctl(&self, command: &mut Command, args: &[&str]) -> Output {
        output_of(command.arg("--admin-socket").arg(self.state.join("admin.sock")).args(args))
    }

    /// SIGTERM.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::SIGTERM);
    }

    /// Asks it to stop; it must do so cleanly. Returns how long it took.
    pub(crate) fn stop(self) -> Duration {
        let asked = Instant::now();
        self.terminate();
        self.stopped();
        asked.elapsed()
    }

    /// Waits for the clean end of a daemon that was asked to stop.
    pub(crate) fn stopped(mut self) {
        let status = self.ended("the daemon has stopped after SIGTERM");
        assert!(status.success(), "after SIGTERM: {status}\n{}", self.stderr.text());
    }

    /// `kill -9`.
    pub(crate) fn kill9(mut self) {
        self.signal(Signal::SIGKILL);
        self.ended("the daemon is dead after SIGKILL");
    }

    /// Any signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid().try_into().expect("a process id"));
        kill(pid, signal).expect("send a signal to our child");
    }

    /// Waits for the end, however it comes.
    pub(crate) fn ended(&mut self, what: &str) -> ExitStatus {
        let status = wait_until(what, || self.child.try_wait().expect("wait for our child"));
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        status
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let hooks = hooks_list(&self.state).unwrap_or_default();
            eprintln!("--- hooks list: {hooks:#}\n--- the daemon's last words:\n{}\n---", self.stderr.text());
        }
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// `waybill serve` in this home.
pub(crate) fn serve(home: &Home) -> Command {
    let mut command = serve_as_we_are(home, &home.state());
    if let Some(user) = home.user() {
        command.args(["--user", user]);
    }
    command
}

/// Without a word about the user, and with this state directory.
pub(crate) fn serve_as_we_are(home: &Home, state: &Path) -> Command {
    let mut command = program();
    command.arg("serve").arg("--policy").arg(home.file("policy.lua")).arg("--state-dir").arg(state);
    command
}

fn hooks_list(state: &Path) -> Result<Value, String> {
    let text = run_client(state, &["hooks", "list", "--json"])?;
    serde_json::from_str(&text).map_err(|error| error.to_string())
}

fn run_client(state: &Path, words: &[&str]) -> Result<String, String> {
    let output = output_of(program().args(words).arg("--admin-socket").arg(state.join("admin.sock")));
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

impl Refusal {
    /// Insists on a failure that says all of this.
    pub(crate) fn says(&self, words: &[&str]) {
        assert!(!self.status.success(), "{}\n{}", self.status, self.stderr);
        assert!(self.status.code().is_some(), "it must end by itself: {}\n{}", self.status, self.stderr);
        for word in words {
            assert!(self.stderr.contains(word), "{word:?} is not in:\n{}", self.stderr);
        }
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
    }
}

impl Stderr {
    fn add(&self, line: String) {
        self.lines.lock().expect("no panic while it is held").text.push(line);
        self.changed.notify_all();
    }

    fn end(&self) {
        self.lines.lock().expect("no panic while it is held").ended = true;
        self.changed.notify_all();
    }

    fn wait<T>(&self, mut ask: impl FnMut(&Lines) -> Option<T>) -> Option<T> {
        let lines = self.lines.lock().expect("no panic while it is held");
        let mut answer = None;
        let waited = self.changed.wait_timeout_while(lines, LIMIT, |lines| {
            answer = ask(lines);
            answer.is_none()
        });
        drop(waited.expect("no panic while it is held"));
        answer
    }

    fn all(&self) -> String {
        self.lines.lock().expect("no panic while it is held").text.join("\n")
    }

    /// The last of it, for a failure's message.
    fn text(&self) -> String {
        let lines = self.lines.lock().expect("no panic while it is held");
        lines.text[lines.text.len().saturating_sub(LAST_WORDS)..].join("\n")
    }
}
