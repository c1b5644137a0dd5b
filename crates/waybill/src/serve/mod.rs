//! The daemon: [`run`] builds everything that there is, in the order in which it starts.

mod account_log;
mod carrier;
mod daemon;
mod dump;
mod engine;
mod event_hooks;
mod functions;
mod happenings_lua;
mod hook_api;
mod hooks;
mod late;
mod listeners;
mod memory;
mod metrics;
mod plan;
mod poster_lua;
mod probe;
mod queue_metrics;
mod retention;
mod script;
mod secrets;
mod setup;
mod signals;
mod sinks;
mod spool;
mod status;
mod streams;
mod sts;
mod validate;
mod webhooks;

pub(crate) use event_hooks::described as event_hook_routes;
pub(crate) use hook_api::HOOK_ROUTES;
pub(crate) use plan::{ClassifierSection, JournalSection, SpoolSection, UserLogsSection, WebhooksSection};
pub(crate) use probe::Probe;
pub(crate) use streams::described as stream_routes;

use crate::args::ServeOptions;
use crate::{diag, home, user};
use anyhow::{Context, Result};
use std::path::PathBuf;
use std::process::ExitCode;
use waybill_runtime::{Pool, PoolOptions};

/// The policy that is taken when none is named.
const SYSTEM_POLICY: &str = "/etc/waybill/init.lua";
/// And when that is not there.
const BUILT_IN: &str = include_str!("default_policy.lua");

/// Threads for blocking work that a pool may start, unless `KUMOD_MAX_BLOCKING_THREADS` says otherwise.
const MAX_BLOCKING_THREADS: usize = 512;

/// Where the policy comes from.
pub(crate) enum Policy {
    /// A file.
    File(PathBuf),
    /// The one in the program.
    BuiltIn,
    /// A text of the program's own.
    Text(&'static str),
}

/// Runs the daemon until a signal ends it.
///
/// # Errors
/// Whatever keeps it from starting: it says what, where, and what to do.
pub(crate) fn run(options: &ServeOptions) -> Result<ExitCode> {
    if dump::asked_for(options) {
        return dump::run(options);
    }
    // Who looks at a policy or runs a script wants to see that, and what is wrong.
    let default = (options.validate || options.script).then_some("error");
    if options.validate {
        diag::start(options.diag_format, default, None)?;
        let state = home::state_dir(options.state_dir.as_deref())?;
        return pool("mail", 0)?.handle().block_on(validate::run(policy(options), &state));
    }
    let state = home::state_dir(options.state_dir.as_deref())?;
    if options.diag_log_dir.is_none() {
        diag::start(options.diag_format, default, None)?;
    }
    user::raise_file_limit();
    user::become_user(options.user.as_deref(), &state)?;
    if let Some(dir) = &options.diag_log_dir {
        // As that user, who then owns the files.
        diag::start(options.diag_format, default, Some(dir))?;
    }
    if options.script {
        let args = options.script_args.iter().chain(&options.main_args);
        return pool("mail", 0)?.handle().block_on(script::run(policy(options), &state, args));
    }
    std::fs::create_dir_all(&state).with_context(|| {
        format!("make the state directory {} (--state-dir or WAYBILL_STATE_DIR chooses another)", state.display())
    })?;
    let mail = pool("mail", 0)?;
    // Mail goes first: consumers, their policy and their senders yield to it (ARCHITECTURE section 6).
    let hooks = pool("hooks", 10)?;
    let code = mail.handle().block_on(daemon::run(policy(options), &state, hooks.handle().clone()));
    hooks.shut_down();
    mail.shut_down();
    code
}

fn policy(options: &ServeOptions) -> Policy {
    match &options.policy {
        Some(path) => Policy::File(path.clone()),
        None if PathBuf::from(SYSTEM_POLICY).exists() => Policy::File(SYSTEM_POLICY.into()),
        None => {
            eprintln!("no --policy and no {SYSTEM_POLICY}: running the built-in policy, on loopback only");
            Policy::BuiltIn
        }
    }
}

/// Threads of a pool: `KUMOD_MAIN_THREADS`, else `KUMO_AVAILABLE_PARALLELISM`, else one for each core.
fn pool(name: &'static str, nice: i32) -> Result<Pool> {
    let cores = || std::thread::available_parallelism().map_or(2, usize::from);
    let threads = match number("KUMOD_MAIN_THREADS")? {
        Some(threads) => threads,
        None => number("KUMO_AVAILABLE_PARALLELISM")?.unwrap_or_else(cores),
    };
    let blocking = number("KUMOD_MAX_BLOCKING_THREADS")?.unwrap_or(MAX_BLOCKING_THREADS);
    let options = PoolOptions { name, threads, blocking, nice };
    Pool::start(&options).with_context(|| format!("start the threads of the {name} pool"))
}

/// A whole number above zero from the environment.
fn number(variable: &str) -> Result<Option<usize>> {
    let Ok(text) = std::env::var(variable) else { return Ok(None) };
    match text.trim().parse() {
        Ok(number) if number > 0 => Ok(Some(number)),
        _ => anyhow::bail!("{variable} has to be a whole number above zero, not {text:?}"),
    }
}
