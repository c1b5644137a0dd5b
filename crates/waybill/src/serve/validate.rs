use super::engine::{self, Parts};
use super::setup::Collector;
use super::{Policy, spool};
use anyhow::Result;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use waybill_policy::PolicyHost;
use waybill_runtime::say;

/// `--validate`: runs `pre_init`, `init` and `validate_config`; nothing is opened.
pub(crate) async fn run(policy: Policy, state: &Path) -> Result<ExitCode> {
    let collector = Arc::new(Collector::default());
    let parts = Parts::alone(collector.clone(), true);
    let engine = engine::load(&policy, state, parts).await?;
    let mut valid = true;
    for event in ["pre_init", "init", "validate_config"] {
        if let Err(error) = engine.call(event, Vec::new()).await {
            say(format_args!("{event}: {error}"));
            valid = false;
        }
    }
    // What every start needs, whatever the policy's own checks say.
    if valid && let Err(error) = spool::options(&collector.take().spools) {
        say(format_args!("init: {error:#}"));
        valid = false;
    }
    if valid && !engine.validation_failed() {
        return Ok(ExitCode::SUCCESS);
    }
    say("the policy is not valid");
    Ok(ExitCode::FAILURE)
}
