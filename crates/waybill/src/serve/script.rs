use super::Policy;
use super::engine::{self, Parts};
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::ExitCode;
use waybill_policy::{PolicyHost, Value};

/// `--script`: runs `main` with these arguments, each a text; `pre_init` and `init` are not run, nothing is opened.
///
/// # Errors
/// When the policy does not load, has no `main`, or `main` fails.
pub(crate) async fn run<'a>(policy: Policy, state: &Path, args: impl Iterator<Item = &'a String>) -> Result<ExitCode> {
    let parts = Parts::alone(Default::default(), false);
    let engine = engine::load(&policy, state, parts).await?;
    if !engine.handles("main") {
        bail!("the policy has nothing to run as a script: register it with kumo.on('main', function(...) ... end)");
    }
    engine.call("main", args.map(|arg| Value::from(arg.as_str())).collect()).await.context("main")?;
    Ok(ExitCode::SUCCESS)
}
