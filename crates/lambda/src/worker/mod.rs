//! The child process. One thread, no clock, no way out but its standard input and output.

mod budget;
mod confine;
mod convert;
mod failed;
mod library;
mod link;
mod sandbox;
mod syscalls;

use crate::protocol::{FromWorker, ToWorker, VERSION};
use link::Link;
use std::process::ExitCode;
use std::sync::Arc;
use syscalls::Filter;

/// What functions may ask of the world.
pub(crate) trait Host: Send + Sync + 'static {
    /// Sends a request and waits for what comes of it.
    fn http(&self, request: crate::Request) -> Result<crate::Answer, String>;
    /// Passes a line on.
    fn log(&self, line: String);
}

/// Runs a worker on this process's standard input and output until the input ends. Call it first thing in `main`: it takes
/// away from the process, for good, what functions must not have.
///
/// Ends with 0 when the parent closed the input, with 1 when the process cannot be confined or the parent is gone; then it
/// says why on standard error.
pub fn run_worker() -> ExitCode {
    let served =
        confine::confine().map_err(|error| format!("cannot confine itself: {error}")).and_then(|(output, filter)| {
            let link = Arc::new(Link::new(output));
            serve(&link, filter).map_err(|error| error.to_string())
        });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            waybill_runtime::say(format_args!("lambda worker: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn serve(link: &Arc<Link>, filter: Filter) -> std::io::Result<()> {
    let unfiltered = match filter {
        Filter::On => None,
        Filter::Missing(why) => Some(why),
    };
    link.say(&FromWorker::Ready { version: VERSION, unfiltered })?;
    while let Some(message) = link.hear()? {
        let answer = match message {
            ToWorker::Check { functions } => FromWorker::Checked(sandbox::check(&functions)),
            ToWorker::Call { call, pid, limits } => {
                confine::allow_cpu(limits.cpu)?;
                FromWorker::Done(sandbox::run(&call, pid, limits, link.clone()))
            }
            // To nothing that was asked.
            ToWorker::Answer(_) => continue,
        };
        link.say(&answer)?;
    }
    Ok(())
}
