use super::Policy;
use super::engine::{self, Parts};
use super::late::Late;
use super::setup::Collector;
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use waybill_admin::Admin;
use waybill_policy::{PolicyHost, Value};
use waybill_runtime::{Clock, SystemClock};
use waybill_types::IdMint;

/// `--script`: runs `main` with these arguments, each a text; `pre_init` and `init` are not run, nothing is opened.
///
/// # Errors
/// When the policy does not load, has no `main`, or `main` fails.
pub(crate) async fn run<'a>(policy: Policy, state: &Path, args: impl Iterator<Item = &'a String>) -> Result<ExitCode> {
    let parts = Parts {
        collector: Arc::new(Collector::default()),
        late: Arc::new(Late::default()),
        orders: Admin::new(Arc::new(|| SystemClock.now())),
        injection: Arc::default(),
        mint: Arc::new(IdMint::random()),
        clock: Arc::new(SystemClock),
        resolver: waybill_dns::SharedResolver::new(waybill_dns_hickory::NetworkResolver::system()),
        validating: false,
        metrics: None,
    };
    let engine = engine::load(&policy, state, parts).await?;
    if !engine.handles("main") {
        bail!("the policy has nothing to run as a script: register it with kumo.on('main', function(...) ... end)");
    }
    engine.call("main", args.map(|arg| Value::from(arg.as_str())).collect()).await.context("main")?;
    Ok(ExitCode::SUCCESS)
}
