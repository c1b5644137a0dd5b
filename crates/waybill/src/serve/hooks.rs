use super::daemon::Common;
use super::status::HookHandle;
use anyhow::{Context, Result};
use std::sync::Arc;
use std::time::Duration;
use waybill_consumers::{Reports, Runner, RunnerOptions};
use waybill_hooks::{HookContext, LogHook, LogHookConfig, Templates};
use waybill_lua_util::string::template_environment;
use waybill_runtime::Stop;
use waybill_spool::{Store, StreamId};

/// How long a hook may take to finish what is being sent once the daemon stops.
pub(crate) const GRACE: Duration = Duration::from_secs(20);
/// Until its first lane says how much its sessions can have in flight.
const FIRST_WINDOW: usize = 16;

/// Compiles a hook's templates.
fn templates(config: &LogHookConfig) -> Result<Templates> {
    Templates::compile(format!("log hook {}", config.name), &config.per_record, &template_environment())
        .with_context(|| format!("configure_log_hook {}", config.name))
}

/// Starts a log hook where the store says it was; a new one begins with what comes next.
pub(crate) async fn start(
    common: &Common,
    store: &Arc<dyn Store>,
    context: HookContext,
    config: LogHookConfig,
    stop: &Stop,
) -> Result<HookHandle> {
    let templates = templates(&config)?;
    let (reports, inbox) = Reports::channel();
    let supervisor = context.supervisor.clone();
    let (hook, sessions) = LogHook::new(config, templates, context, reports);
    let options = RunnerOptions {
        name: hook.name().to_owned(),
        stream: StreamId::EVENTS,
        store: store.clone(),
        clock: common.clock.clone(),
        window: FIRST_WINDOW,
        begin: *store.visible(StreamId::EVENTS).borrow(),
        grace: GRACE,
    };
    let runner = Runner::open(options, hook.clone(), inbox)
        .await
        .with_context(|| format!("take up log hook {}", hook.name()))?;
    let handle = HookHandle { hook: hook.clone(), snapshot: runner.snapshot() };
    // The runner stops first; sessions are closed once it has nothing more in the air.
    let (source, sessions_stop) = waybill_runtime::StopSource::new();
    let runner_stop = stop.clone();
    supervisor.spawn(format!("log hook {}", hook.name()), async move {
        runner.run(runner_stop).await;
        source.request();
    });
    supervisor.spawn(format!("sessions of log hook {}", hook.name()), hook.drive(sessions, sessions_stop));
    Ok(handle)
}
