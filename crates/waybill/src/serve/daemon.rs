use super::account_log::AccountLog;
use super::engine::{self, Parts};
use super::event_hooks::{self, Happenings};
use super::happenings::Telling;
use super::hook_api::HookApi;
use super::late::{Late, LateInjection, LateSpools};
use super::plan::{JournalSection, Plan, UntrustedLua};
use super::setup::Collector;
use super::signals::Signals;
use super::sinks::Sinks;
use super::status::Hooks;
use super::{
    Policy, carrier, functions, hooks, listeners, memory, metrics, retention, secrets, spool, streams, sts, webhooks,
};
use anyhow::{Context, Result, bail};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use waybill_accounting::Accountant;
use waybill_admin::Admin;
use waybill_authorizer::{Authorizer, Decisions, TokenStore};
use waybill_consumers::Registry;
use waybill_custom_lua::CustomLua;
use waybill_delivery::DeliveryProtocol;
use waybill_dns::SharedResolver;
use waybill_dns_hickory::NetworkResolver;
use waybill_hooks::{DispositionHooks, HookContext, HookQueues, LogFiles};
use waybill_http_api::{Access, Api, InjectionGenerator, Metrics, ScriptInjection};
use waybill_lua::Engine;
use waybill_lua_jsonl::Jsonl;
use waybill_lua_util::string::template_environment;
use waybill_maildir::{Maildir, NullProtocol};
use waybill_policy::PolicyHost;
use waybill_queue::{ManagerOptions, QueueManager, SharedLimits};
use waybill_runtime::{Clock, MemoryLimits, Stop, StopSource, Supervisor, SystemClock, say};
use waybill_smtp::inbound::DeferredInjection;
use waybill_smtp::outbound::{PolicyFetch, SmtpClient, SmtpClientOptions};
use waybill_spool::{RecordSink, Store};
use waybill_spool_rocksdb::RocksStore;
use waybill_tls::Trust;
use waybill_trace::Tracers;
use waybill_types::{IdMint, Timestamp};
use waybill_xfer::{Carrier, Xfer};

/// Between two looks at the policy's files.
const POLICY_CHECK: Duration = Duration::from_secs(10);
/// What comes this soon behind a signal is the same one: `timeout` and terminals send it to a process and to its group.
const SAME_SIGNAL: Duration = Duration::from_secs(1);
/// How long a stage of the stop may take before it is cut off.
const STAGE: Duration = Duration::from_secs(40);
/// Runners wait for what is being sent as long as their own grace allows; after that nothing that a session still does
/// counts, so there is nothing to wait for.
const HOOKS_STAGE: Duration = hooks::GRACE.saturating_add(Duration::from_secs(2));
/// Between two looks at the room that log files have.
const ROOM_CHECK: Duration = Duration::from_secs(5);
/// A stop that waits says for whom, this often.
const STILL_WAITING: Duration = Duration::from_secs(15);

/// What many parts need.
pub(crate) struct Common {
    pub(crate) policy: Arc<dyn PolicyHost>,
    pub(crate) late: Arc<Late>,
    pub(crate) orders: Admin,
    pub(crate) injection: Arc<LateInjection>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) resolver: SharedResolver,
    pub(crate) mint: Arc<IdMint>,
    pub(crate) nodeid: Arc<str>,
    pub(crate) hostname: Arc<str>,
    pub(crate) metrics: Metrics,
    pub(crate) traces: Tracers,
    pub(crate) happenings: Happenings,
    /// Logs, once the store is open.
    pub(crate) streams: waybill_streams::Late,
    pub(crate) state: PathBuf,
    pub(crate) memory: Arc<MemoryLimits>,
    pub(crate) jsonl: Jsonl,
}

/// What jitter is drawn from: another one at every start.
pub(crate) fn seed() -> u64 {
    u64::from_le_bytes(uuid::Uuid::new_v4().into_bytes()[..8].try_into().unwrap_or_default())
}

/// One stage of the stop: who is asked, and whose end is waited for.
struct Stage {
    name: &'static str,
    source: StopSource,
    stop: Stop,
    tasks: Supervisor,
    limit: Duration,
}

impl Stage {
    fn new(name: &'static str, tasks: Supervisor, limit: Duration) -> Self {
        let (source, stop) = StopSource::new();
        Stage { name, source, stop, tasks, limit }
    }

    /// Asks, waits, and in the end cuts off. Whoever is slow is named.
    async fn end(&self) {
        self.source.request();
        let deadline = tokio::time::Instant::now() + self.limit;
        let mut report = tokio::time::interval(STILL_WAITING);
        report.tick().await;
        loop {
            tokio::select! {
                () = self.tasks.join() => return,
                _ = report.tick() => {
                    let tasks = self.tasks.running();
                    tracing::info!("Still waiting for {} pending activities: {}", tasks.len(), tasks.join(", "));
                }
                () = tokio::time::sleep_until(deadline) => {
                    tracing::warn!(stage = self.name, tasks = self.tasks.running().join(", "), "cut off");
                    self.tasks.abort();
                    return;
                }
            }
        }
    }
}

/// Starts, runs until a signal comes, stops.
pub(crate) async fn run(policy: Policy, state: &Path, hook_threads: Handle) -> Result<ExitCode> {
    let mut signals = Signals::new()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let started = clock.now();
    let collector = Arc::new(Collector::default());
    let late = Arc::new(Late::default());
    let mint = Arc::new(IdMint::random());
    let metrics = Metrics::new().context("set up metrics")?;
    let resolver = SharedResolver::new(NetworkResolver::system());
    let now = clock.clone();
    let orders = Admin::new(Arc::new(move || now.now()));
    let injection = Arc::new(LateInjection::default());
    let memory = memory::limits()?;
    let jsonl = Jsonl::new(clock.clone());
    let happenings = Happenings::new(mint.clone(), clock.clone());
    let streams = waybill_streams::Late::default();
    let parts = Parts {
        happenings: happenings.clone(),
        streams: streams.clone(),
        collector: collector.clone(),
        late: late.clone(),
        orders: orders.clone(),
        injection: injection.clone(),
        mint: mint.clone(),
        clock: clock.clone(),
        resolver: resolver.clone(),
        validating: false,
        metrics: Some(metrics.clone()),
        jsonl: jsonl.clone(),
        memory: memory.clone(),
    };
    let engine = engine::load(&policy, state, parts).await?;
    let common = Common {
        policy: Arc::new(engine.clone()),
        late,
        orders,
        injection,
        happenings,
        streams,
        clock,
        resolver,
        mint,
        nodeid: crate::home::node_id(state)?.to_string().into(),
        hostname: hostname::get().map_or_else(|_| "localhost".into(), |name| name.to_string_lossy().into()),
        metrics,
        traces: Tracers::default(),
        state: state.to_owned(),
        memory,
        jsonl,
    };
    let initialised = initialise(&engine).await;
    if let Err(error) = initialised {
        // Tools wait for the second line, whatever the first says (contract section 1.3).
        tracing::error!("problem initializing: {error:#}");
        say("initialization complete");
        bail!("Initialization raised an error; it stands above");
    }
    let plan = collector.take();
    let daemon = match Daemon::start(&common, &engine, plan, started, &hook_threads).await {
        Ok(daemon) => daemon,
        Err(error) => {
            say("initialization complete");
            return Err(error);
        }
    };
    say("initialization complete");
    let signal = daemon.wait(&engine, &mut signals).await;
    tracing::info!("{signal}: shutting down");
    tokio::select! {
        () = daemon.stop(&common) => Ok(ExitCode::SUCCESS),
        // Whoever sends a second signal does not want to wait; nothing accepted is lost by that (I4).
        signal = signals.next_after(SAME_SIGNAL) => {
            say(format_args!("{signal} again: ending at once"));
            std::process::exit(1)
        }
    }
}

async fn initialise(engine: &Engine) -> Result<()> {
    engine.call("pre_init", Vec::new()).await.context("pre_init")?;
    engine.call("init", Vec::new()).await.context("init")?;
    Ok(())
}

struct Daemon {
    listeners: Stage,
    admin: Stage,
    consumers: Stage,
    mail: Stage,
    /// What counts the mail once there is no more.
    accounting: Stage,
    account_log: Option<Arc<AccountLog>>,
    manager: QueueManager,
    sinks: Arc<Sinks>,
    rocks: Arc<RocksStore>,
}

impl Daemon {
    async fn start(
        common: &Common,
        engine: &Engine,
        plan: Plan,
        started: Timestamp,
        hook_threads: &Handle,
    ) -> Result<Daemon> {
        let listening = Stage::new("listeners", Supervisor::current(), STAGE);
        let admin = Stage::new("admin", Supervisor::current(), STAGE);
        let consuming = Stage::new("hooks", Supervisor::new(hook_threads.clone()), HOOKS_STAGE);
        let mailing = Stage::new("mail", Supervisor::current(), STAGE);
        let counting = Stage::new("accounting", Supervisor::new(hook_threads.clone()), STAGE);
        let (options, durability) = spool::options(&plan.spools)?;

        let files = log_files(common, plan.logs)?;
        let wanted = plan.journal.as_ref().map(JournalSection::capture);
        let dispositions = DispositionHooks::new(plan.dispositions, common.policy.clone(), common.clock.clone());
        let sinks =
            Arc::new(Sinks::new(files, dispositions, &plan.hooks, wanted, plan.classifier, plan.accounting.is_some()));
        let shown_hooks = Arc::new(Hooks::default());
        let hook_api = HookApi::new(shown_hooks.clone());
        let orders = common.orders.clone();
        let spools = Arc::new(LateSpools::new(plan.spools.iter().map(|spool| spool.name.clone()).collect()));
        // Before the store is open, whoever shows a token has to wait; the operator does not.
        let tokens = TokenStore::new(common.clock.clone(), admin.tasks.clone());
        let account_log = plan.account_log.map(|config| AccountLog::start(&config, &common.clock)).transpose()?;
        let account_log = account_log.map(Arc::new);
        let decisions = account_log.clone().map_or_else(Decisions::default, |log| Decisions::kept_by(log));
        let authorizer = Authorizer::new(tokens.clone(), common.clock.clone()).telling(decisions.clone());
        let services = {
            let tasks = [&listening, &admin, &consuming, &mailing].map(|stage| (stage.name, stage.tasks.clone()));
            listeners::services(common, engine, orders.clone(), spools.clone(), tasks.into(), authorizer)
        };
        common.injection.set(ScriptInjection::new(services.clone(), durability));
        let late_streams = common.streams.clone();
        let late_event_hooks = waybill_event_hooks::Late::default();
        let api = Api::new(services.clone())
            .durability(durability)
            .described(crate::reference::description())
            .merge(Access::Control, hook_api.router())
            .merge(Access::Own, streams::router(late_streams.clone(), services.authorizer.clone()))
            .merge(Access::Own, event_hooks::router(late_event_hooks.clone(), services.authorizer.clone()));
        let mut smtp = Vec::new();
        for (config, listener) in plan.smtp {
            let address = listener.local_addr().map(|address| address.to_string()).unwrap_or_default();
            let (told, stop) = ((sinks.capture(), decisions.clone()), listening.stop.clone());
            let shared = listeners::smtp(common, &listening.tasks, config, listener, durability, told, stop)?;
            smtp.push((address, shared));
        }
        for (config, listener) in plan.http {
            listeners::http(&api, common, &admin.tasks, &config, listener, admin.stop.clone())?;
        }
        listeners::admin(&api, common, &admin.tasks, admin.stop.clone())?;

        let rocks = Arc::new(RocksStore::open(options).await.context("open the spool")?);
        let store: Arc<dyn Store> = rocks.clone();
        spools.set(store.clone());
        common.happenings.tell_of(&tokens);
        // It is set once.
        let _ = common.happenings.store.set(store.clone());
        tokens.open(store.clone()).await.context("read the tokens")?;
        sinks.dispositions().read_bodies_from(store.clone());
        let accountant = match plan.accounting {
            Some(path) => Some(accountant(common, path, &store, &counting).await?),
            None => None,
        };
        let carrier = carrier::carrier(common, &mailing.tasks);
        let webhooks = plan.webhooks.unwrap_or_default();
        let policies = sts::files(common, &webhooks, &mailing.tasks)?;
        let protocols = protocols(common, InjectionGenerator::new(services, durability), carrier, policies);
        let sink: Arc<dyn RecordSink> = sinks.clone();
        // One for mail and hooks: a limit with a name counts for all that name it.
        let limits = SharedLimits::default();
        let manager = QueueManager::new(ManagerOptions {
            store: store.clone(),
            policy: common.policy.clone(),
            protocols: protocols.clone(),
            sink: sink.clone(),
            clock: common.clock.clone(),
            mint: common.mint.clone(),
            nodeid: common.nodeid.clone(),
            supervisor: mailing.tasks.clone(),
            seed: seed(),
            limits: limits.clone(),
        });
        let driver = manager.clone();
        let stop = mailing.stop.clone();
        mailing.tasks.spawn("queue manager", async move { driver.run(stop).await });

        let context = HookContext {
            limits,
            policy: common.policy.clone(),
            protocols: protocols.clone(),
            files: sink.clone(),
            injector: manager.injector(),
            clock: common.clock.clone(),
            mint: common.mint.clone(),
            nodeid: common.nodeid.clone(),
            supervisor: consuming.tasks.clone(),
        };
        let (stop, hooks) = (consuming.stop.clone(), shown_hooks.clone());
        let queues = Arc::new(HookQueues::new(common.clock.clone(), store.clone()));
        let starting = tokio::sync::Mutex::default();
        let starter =
            Arc::new(hooks::Starter { store: store.clone(), context, hooks, queues: queues.clone(), stop, starting });
        let known = Registry::new(store.clone()).list().await.context("read the positions of hooks")?;
        for config in plan.hooks {
            starter.start(config, &known).await?;
        }
        hook_api.open(starter);
        let environment = secrets::Environment::of_process();
        let keys = secrets::keys(&webhooks, environment, &common.state, &*store).await;
        let keys = keys.context("the keys for secrets")?;
        let sender = webhooks::sender(common, &webhooks, &consuming.tasks)?;
        let journal = plan.journal.unwrap_or_default();
        let section = plan.event_hooks.unwrap_or_default();
        let writing = (&consuming.tasks, consuming.stop.clone());
        let telling = Telling::start(&common.happenings, common.clock.clone(), &section, store.clone(), writing);
        telling.listen(&manager, engine);
        let wanted = streams::Wanted {
            store: store.clone(),
            limits: plan
                .user_logs
                .unwrap_or_default()
                .limits()
                .map_err(anyhow::Error::msg)
                .context("configure_logs")?,
            capture: Arc::new(journal.capture()),
            keys: Some(keys.clone()),
            lost_keys: webhooks.lost_keys().collect(),
            news: telling,
            events_wanted: sinks.events_wanted(),
        };
        let streams = streams::open(common, wanted, sender.clone(), &consuming.tasks, &consuming.stop).await?;
        late_streams.set(streams.clone());
        let pool = match webhooks.untrusted_lua {
            UntrustedLua::Off => None,
            UntrustedLua::Sandbox => {
                let (sender, stop) = (sender.clone(), consuming.stop.clone());
                Some(functions::functions(sender, &section.functions, &consuming.tasks, stop))
            }
        };
        let wanted = event_hooks::Wanted {
            store: store.clone(),
            capture: Arc::new(journal.capture()),
            records: sinks.records_wanted(),
            functions: pool.clone().map(functions::in_children),
            keys,
        };
        let told = event_hooks::open(common, wanted, sender, &consuming.tasks, &consuming.stop).await?;
        late_event_hooks.set(told.clone());
        let shown_streams = streams.clone();
        let others = Arc::new(move || {
            let counted = accountant.as_ref().and_then(|accountant| accountant.settled());
            [streams.settled_events(), counted].into_iter().flatten().min()
        });
        let beside = retention::Beside { others, event_hooks: told.clone() };
        retention::start(common, &store, &journal, &shown_hooks, &consuming.tasks, &consuming.stop, beside).await;
        let sources = metrics::Sources {
            engine: engine.clone(),
            manager: manager.clone(),
            hooks: shown_hooks,
            event_hooks: told,
            streams: shown_streams,
            functions: pool,
            listeners: smtp,
            disks: spool::disks(&plan.spools).chain(sinks.disks()).collect(),
        };
        metrics::collect(&common.metrics, sources);
        memory::show(&common.metrics, common.memory.clone());
        memory::watch(common, common.memory.clone(), &mailing.tasks, &mailing.stop);
        orders.add(queues).await;
        // Last of all owners: it has an answer about every domain.
        orders.add(Arc::new(manager.clone())).await;
        common.late.set(manager.clone());
        manager.open();

        watch_log_room(common, &sinks, &mailing);
        let spool_in = manager.clone();
        let stop = mailing.stop.clone();
        mailing.tasks.spawn("spool enumeration", async move {
            match spool_in.spool_in(started, &stop).await {
                Ok(0) => {}
                Ok(count) => tracing::info!("{count} messages were taken up from the spool"),
                Err(error) => tracing::error!("the spool could not be enumerated: {error}"),
            }
        });
        Ok(Daemon {
            listeners: listening,
            admin,
            consumers: consuming,
            mail: mailing,
            accounting: counting,
            account_log,
            manager,
            sinks,
            rocks,
        })
    }

    /// Until a signal comes, looks after the policy's files.
    async fn wait(&self, engine: &Engine, signals: &mut Signals) -> &'static str {
        let mut check = tokio::time::interval(POLICY_CHECK);
        loop {
            tokio::select! {
                signal = signals.next() => return signal,
                _ = check.tick() => {
                    engine.check_for_changes().await;
                }
            }
        }
    }

    /// In stages: no new mail, no new sessions and what is in flight finishes, checkpoints, files, store.
    async fn stop(&self, common: &Common) {
        self.manager.close();
        self.listeners.end().await;
        self.mail.end().await;
        self.consumers.end().await;
        if let Err(error) = common.policy.call("shutdown_logging", Vec::new()).await {
            tracing::error!("shutdown_logging: {error}");
        }
        for files in self.sinks.files() {
            if tokio::time::timeout(STAGE, files.finish()).await.is_err() {
                tracing::error!(logger = files.name(), "log files were not finished in time");
            }
        }
        if tokio::time::timeout(STAGE, common.jsonl.finish()).await.is_err() {
            tracing::error!("files of kumo.jsonl were not finished in time");
        }
        self.accounting.end().await;
        self.admin.end().await;
        if let Some(log) = &self.account_log
            && tokio::time::timeout(STAGE, log.files().finish()).await.is_err()
        {
            tracing::error!(logger = log.files().name(), "the account log was not finished in time");
        }
        if let Err(error) = self.rocks.close().await {
            tracing::error!("the spool was not closed: {error}");
        }
        tracing::info!("stopped");
    }
}

/// Counts the mail of the journal from now on, or from where an earlier run stopped.
async fn accountant(common: &Common, path: PathBuf, store: &Arc<dyn Store>, stage: &Stage) -> Result<Arc<Accountant>> {
    let accountant = Accountant::open(path, store.clone(), common.clock.clone()).await;
    let accountant = Arc::new(accountant.context("configure_accounting_db_path")?);
    let (counting, stop) = (accountant.clone(), stage.stop.clone());
    stage.tasks.spawn("accounting", async move { counting.run(stop).await });
    Ok(accountant)
}

/// Looks every few seconds whether the log files have room.
fn watch_log_room(common: &Common, sinks: &Arc<Sinks>, mailing: &Stage) {
    let (late, sinks, mut stop) = (common.late.clone(), sinks.clone(), mailing.stop.clone());
    mailing.tasks.spawn("room of log files", async move {
        loop {
            late.set_shortage(sinks.files().iter().find_map(|files| files.shortage()));
            tokio::select! {
                biased;
                () = stop.requested() => return,
                () = tokio::time::sleep(ROOM_CHECK) => {}
            }
        }
    });
}

fn protocols(
    common: &Common,
    generator: InjectionGenerator,
    carrier: Arc<dyn Carrier>,
    policies: Arc<dyn PolicyFetch>,
) -> Arc<HashMap<&'static str, Arc<dyn DeliveryProtocol>>> {
    let (clock, smtp_clock) = (common.clock.clone(), common.clock.clone());
    let smtp = SmtpClientOptions {
        resolver: Arc::new(common.resolver.clone()),
        trust: Trust::system(),
        policies,
        hostname: common.hostname.clone(),
        traces: common.traces.client.clone(),
        now: Arc::new(move || smtp_clock.now()),
        policy: common.policy.clone(),
    };
    let mut protocols: HashMap<&'static str, Arc<dyn DeliveryProtocol>> = HashMap::new();
    protocols.insert("custom_lua", Arc::new(CustomLua::new(common.policy.clone())));
    protocols.insert("maildir", Arc::new(Maildir::new(move || clock.now())));
    protocols.insert("smtp", Arc::new(SmtpClient::new(smtp)));
    protocols.insert("null", Arc::new(NullProtocol));
    protocols.insert("xfer", Arc::new(Xfer::new(carrier, common.nodeid.clone())));
    protocols.insert(generator.name(), Arc::new(generator));
    let deferred = DeferredInjection::new(common.policy.clone());
    protocols.insert(deferred.name(), Arc::new(deferred));
    Arc::new(protocols)
}

fn log_files(common: &Common, logs: Vec<waybill_hooks::LocalLogsConfig>) -> Result<Vec<Arc<LogFiles>>> {
    let environment = template_environment();
    let start = |config| {
        let files = LogFiles::start(config, &environment, common.policy.clone(), common.clock.clone());
        files.map(Arc::new).context("configure_local_logs")
    };
    logs.into_iter().map(start).collect()
}
