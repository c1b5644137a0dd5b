//! Log hooks and their replays, started.

use super::status::{HookHandle, Hooks};
use anyhow::{Context, Result, anyhow, bail};
use std::sync::Arc;
use std::time::Duration;
use waybill_consumers::{Ended, Registered, Registry, Replay, Reports, Runner, RunnerOptions};
use waybill_hooks::{HookContext, HookQueues, LogHook, LogHookConfig, Role, Templates};
use waybill_log_record::RecordType;
use waybill_lua_util::string::template_environment;
use waybill_runtime::Stop;
use waybill_spool::{Store, StreamId};
use waybill_types::Offset;

/// How long a hook may take to finish what is being sent once the daemon stops.
pub(crate) const GRACE: Duration = Duration::from_secs(20);
/// Until its first lane says how much its sessions can have in flight.
const FIRST_WINDOW: usize = 16;

/// Starts hooks: when the daemon starts, and replays whenever somebody asks for one.
pub(crate) struct Starter {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) context: HookContext,
    pub(crate) hooks: Arc<Hooks>,
    /// Under administration.
    pub(crate) queues: Arc<HookQueues>,
    pub(crate) stop: Stop,
    /// Held while a replay is being started.
    pub(crate) starting: tokio::sync::Mutex<()>,
}

impl Starter {
    /// Starts a hook of the policy where the store says it was; a new one begins with what comes next. Replays of it
    /// that a stop interrupted go on.
    pub(crate) async fn start(&self, config: LogHookConfig, known: &[Registered]) -> Result<()> {
        let left = Registry::new(self.store.clone()).left().await.context("count dead letters of replays")?;
        self.hooks.left(&config.name).set(left.get(&config.name).copied().unwrap_or(0));
        let replays = known.iter().filter_map(|consumer| Some((&consumer.name, consumer.replay.as_ref()?)));
        for (name, replay) in replays.filter(|(_, replay)| replay.of == config.name) {
            self.replay(name.clone(), config.clone(), replay.clone()).await?;
        }
        self.run(config.name.clone(), config, Role::Live, None).await
    }

    /// Starts to send a part of the journal again.
    pub(crate) async fn replay(&self, name: String, config: LogHookConfig, replay: Replay) -> Result<()> {
        let kinds: Result<Vec<RecordType>, String> = replay.kinds.iter().map(|kind| kind.parse()).collect();
        let kinds = kinds.map_err(|error| anyhow!("{name}: {error}"))?;
        self.run(name, config, Role::Replay(kinds), Some(replay)).await
    }

    async fn run(&self, name: String, config: LogHookConfig, role: Role, replay: Option<Replay>) -> Result<()> {
        if self.stop.is_requested() {
            bail!("the daemon is stopping");
        }
        let templates = templates(&config)?;
        let (reports, inbox) = Reports::channel();
        let supervisor = self.context.supervisor.clone();
        let (hook, sessions) = LogHook::new(config, role, templates, self.context.clone(), reports);
        let options = RunnerOptions {
            name: name.clone(),
            stream: StreamId::EVENTS,
            store: self.store.clone(),
            clock: self.context.clock.clone(),
            window: FIRST_WINDOW,
            begin: *self.store.visible(StreamId::EVENTS).borrow(),
            replay,
            left: self.hooks.left(hook.name()),
            grace: GRACE,
        };
        let runner =
            Runner::open(options, hook.clone(), inbox).await.with_context(|| format!("take up log hook {name}"))?;
        let (snapshot, control) = (runner.snapshot(), runner.control());
        self.hooks.add(HookHandle { name: name.clone(), hook: hook.clone(), snapshot, control: control.clone() });
        // The runner stops first; sessions are closed once it has nothing more in the air.
        let (source, sessions_stop) = waybill_runtime::StopSource::new();
        let (hooks, registry, stop) = (self.hooks.clone(), Registry::new(self.store.clone()), self.stop.clone());
        self.queues.add(&name, hook.clone(), control);
        let queues = self.queues.clone();
        let task = format!("log hook {name}");
        let ended = name.clone();
        supervisor.spawn(task, async move {
            if runner.run(stop).await == Ended::Done {
                // Rows of a replay that was cancelled.
                if let Err(error) = registry.forget(&ended).await {
                    tracing::error!(hook = ended, "what a replay left was not removed: {error}");
                }
                hooks.remove(&ended);
                queues.remove(&ended);
            }
            source.request();
        });
        supervisor.spawn(format!("sessions of log hook {name}"), hook.drive(sessions, sessions_stop));
        self.queues.brief(&name).await;
        Ok(())
    }

    /// The name of the next replay of a hook.
    pub(crate) fn next_replay(&self, hook: &str) -> String {
        let taken = |name: &String| self.hooks.find(name).is_some();
        (1..).map(|number| format!("{hook}@replay-{number}")).find(|name| !taken(name)).unwrap_or_default()
    }

    /// The end of what can be replayed now.
    pub(crate) fn tail(&self) -> Offset {
        *self.store.visible(StreamId::EVENTS).borrow()
    }
}

/// Compiles a hook's templates.
fn templates(config: &LogHookConfig) -> Result<Templates> {
    Templates::compile(format!("log hook {}", config.name), &config.per_record, &template_environment())
        .with_context(|| format!("configure_log_hook {}", config.name))
}
