use super::PoolOptions;
use crate::call::Failure;
use crate::outbound::Outbound;
use crate::protocol::{FrameError, FromWorker, HEADER, ToWorker, VERSION, decode, encode, length};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;
use waybill_webhook_core::printable;

/// How long a child that has closed its output may take to end, before it is killed without a word.
const ENDING: Duration = Duration::from_secs(2);
/// So much of what a dying child says on standard error is told, in bytes.
const LAST_WORDS: usize = 1024;
/// The longest line that is logged for a function, in bytes.
const LOG_LINE: usize = 1024;

/// A child, idle or in a call. Dropped, it is killed with its process group.
pub(super) struct Worker {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
    errors: ChildStderr,
    calls: u64,
    unfiltered: Option<String>,
}

impl Worker {
    /// Starts one and waits until it has confined itself.
    pub(super) async fn start(options: &PoolOptions) -> Result<Self, Failure> {
        let mut command = Command::new(&options.program);
        command.args(&options.arguments).env_clear().current_dir("/").process_group(0).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let failed =
            |why: &dyn std::fmt::Display| Failure::Unavailable(format!("{}: {why}", options.program.display()));
        let mut child = command.spawn().map_err(|error| failed(&error))?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(input), Some(output), Some(errors)) = pipes else { return Err(failed(&"it has no pipes")) };
        let mut worker = Worker { child, input, output, errors, calls: 0, unfiltered: None };
        match worker.hear().await.map_err(|failure| failed(&failure))? {
            FromWorker::Ready { version: VERSION, unfiltered } => {
                worker.unfiltered = unfiltered.map(|why| printable(why.as_bytes(), LAST_WORDS));
                Ok(worker)
            }
            _ => Err(failed(&"it is no worker of this version")),
        }
    }

    /// Its process id, until it is known to have ended.
    pub(super) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Why no filter of its system calls is on; nothing where one is.
    pub(super) fn unfiltered(&self) -> Option<&str> {
        self.unfiltered.as_deref()
    }

    /// Whether it has not ended.
    pub(super) fn lives(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// How many questions it was asked.
    pub(super) fn calls(&self) -> u64 {
        self.calls
    }

    /// Asks, sends what it wants sent, for an event that has come through so many webhooks, and gives its answer. Not cancel safe: a worker whose question was dropped is of no
    /// further use.
    pub(super) async fn ask(
        &mut self,
        question: &ToWorker<'_>,
        outbound: &dyn Outbound,
        hops: u8,
    ) -> Result<FromWorker, Failure> {
        self.calls += 1;
        self.tell(question).await?;
        loop {
            match self.hear().await? {
                FromWorker::Http(request) => {
                    let answer = outbound.send(request, hops).await;
                    self.tell(&ToWorker::Answer(answer)).await?;
                }
                FromWorker::Log(line) => {
                    tracing::info!(target: "event_hooks", "lambda: {}", printable(line.as_bytes(), LOG_LINE));
                }
                FromWorker::Ready { .. } => return Err(Failure::Protocol("it began anew in mid-call".into())),
                answer => return Ok(answer),
            }
        }
    }

    async fn tell(&mut self, message: &ToWorker<'_>) -> Result<(), Failure> {
        let frame = encode(message).map_err(broken)?;
        match self.input.write_all(&frame).await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.died(&error).await),
        }
    }

    async fn hear(&mut self) -> Result<FromWorker, Failure> {
        let mut header = [0; HEADER];
        if let Err(error) = self.output.read_exact(&mut header).await {
            return Err(self.died(&error).await);
        }
        let length = length(header).map_err(broken)?;
        let mut body = Vec::new();
        // Memory grows with what comes, not with what was announced.
        match (&mut self.output).take(length as u64).read_to_end(&mut body).await {
            Ok(read) if read == length => decode(&body).map_err(broken),
            Ok(_) => Err(self.died(&io::ErrorKind::UnexpectedEof.into()).await),
            Err(error) => Err(self.died(&error).await),
        }
    }

    /// Why it does not talk any more.
    async fn died(&mut self, error: &io::Error) -> Failure {
        let status = match timeout(ENDING, self.child.wait()).await {
            Ok(Ok(status)) => ended(status),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("it closed its output ({error}) and went on"),
        };
        let mut words = Vec::new();
        let mut errors = (&mut self.errors).take(LAST_WORDS as u64);
        let _ = timeout(ENDING, errors.read_to_end(&mut words)).await;
        let words = printable(words.trim_ascii_end(), LAST_WORDS);
        Failure::Died(if words.is_empty() { status } else { format!("{status}; it said: {words}") })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Once it was waited for, its number may be somebody else's.
        let group = self.child.id().and_then(|id| i32::try_from(id).ok());
        if let Some(group) = group {
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
    }
}

fn ended(status: ExitStatus) -> String {
    let Some(signal) = status.signal() else { return status.to_string() };
    match Signal::try_from(signal) {
        Ok(Signal::SIGXCPU) => "it used more CPU time than it may".into(),
        Ok(Signal::SIGABRT) => "it aborted (SIGABRT), as when memory is used up".into(),
        Ok(signal) => format!("killed by {signal}"),
        Err(_) => format!("killed by signal {signal}"),
    }
}

fn broken(error: FrameError) -> Failure {
    Failure::Protocol(printable(error.to_string().as_bytes(), LOG_LINE))
}
