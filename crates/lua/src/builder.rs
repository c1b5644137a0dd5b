//! What an engine is built from.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use mlua::{Lua, Table};
use waybill_policy::PolicyError;
use waybill_runtime::{Clock, MemoryLimits, Supervisor, SystemClock};
use waybill_spool::Message;
use waybill_types::IdMint;

use crate::engine::Engine;
use crate::prelude::Embedded;

/// The files whose change makes a new generation unless the policy names others.
pub const DEFAULT_MONITOR_GLOBS: [&str; 1] = ["/opt/kumomta/etc/**/*.{lua,json,toml,yaml}"];

/// One namespace of functions for policy: a crate adds it to `kumo` in every state.
///
/// # Contract
/// `register` runs once in every state, before the policy does; it must not wait, and must not assume that it is called
/// only once in a process.
pub trait LuaModule: Send + Sync + 'static {
    /// Its name, for errors.
    fn name(&self) -> &'static str;

    /// Adds its functions to the `kumo` table.
    fn register(&self, lua: &Lua, kumo: &Table) -> mlua::Result<()>;
}

/// A [`LuaModule`] made of a function.
pub fn module(
    name: &'static str,
    register: impl Fn(&Lua, &Table) -> mlua::Result<()> + Send + Sync + 'static,
) -> Arc<dyn LuaModule> {
    struct Named<F>(&'static str, F);

    impl<F> LuaModule for Named<F>
    where
        F: Fn(&Lua, &Table) -> mlua::Result<()> + Send + Sync + 'static,
    {
        fn name(&self) -> &'static str {
            self.0
        }

        fn register(&self, lua: &Lua, kumo: &Table) -> mlua::Result<()> {
            self.1(lua, kumo)
        }
    }

    Arc::new(Named(name, register))
}

/// Takes configuration that policy gives in `pre_init` and `init`: spools, listeners, logs, hooks.
///
/// # Contract
/// - `what` is the name of the function that the script called, `section` its argument as JSON: null without one, a list
///   of all when there are several. `at` is `FILE:LINE` of the call.
/// - The text of an error is raised in the script.
/// - While a policy is only validated, nothing may be opened or listened on: then `check` is called instead of
///   `configure` for `define_spool` and `start_*_listener`.
pub trait Setup: Send + Sync + 'static {
    /// Applies a section; what it returns is what the script's call returns.
    fn configure(&self, what: &str, section: serde_json::Value, at: &str) -> Result<serde_json::Value, String>;

    /// Says what is wrong with a section without applying it.
    fn check(&self, what: &str, section: serde_json::Value, at: &str) -> Result<(), String> {
        let _ = (what, section, at);
        Ok(())
    }
}

/// Gets at the stored part of a message.
///
/// # Contract
/// `load` puts the body into the message ([`Message::set_loaded`]); `save` makes what differs durable; `inject` takes
/// over a message that policy made, as [`waybill_spool::Injector`] does.
pub trait BodyLoader: Send + Sync + 'static {
    /// Loads the body of a message that is not in memory.
    fn load<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), String>>;

    /// Stores a message as it is now; `synced` asks that it survive power loss.
    fn save<'a>(&'a self, message: &'a Message, synced: bool) -> BoxFuture<'a, Result<(), String>> {
        let _ = (message, synced);
        Box::pin(async { Err("there is no spool to save a message to".to_owned()) })
    }

    /// Stores and queues a message, without a Reception record.
    fn inject(&self, message: Message) -> BoxFuture<'_, Result<(), String>> {
        let _ = message;
        Box::pin(async { Err("there is no queue to inject a message into".to_owned()) })
    }
}

/// Hears of what policy does, for those who count.
///
/// # Contract
/// Both are called in the task that calls policy: they never wait.
pub trait Observer: Send + Sync + 'static {
    /// An event that has a handler was called; it took so long until it returned, failed or was given up.
    fn called(&self, event: &str, took: Duration);

    /// The same several times in a row, each of which took about so long.
    fn called_often(&self, event: &str, times: u32, took: Duration) {
        (0..times).for_each(|_| self.called(event, took));
    }

    /// The policy was loaded into a new state.
    fn loaded(&self);
}

/// Hears nothing.
struct NoObserver;

impl Observer for NoObserver {
    fn called(&self, _event: &str, _took: Duration) {}

    fn loaded(&self) {}
}

/// How much policy may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// A call that has not returned after this is dropped, its state thrown away.
    pub call_timeout: Duration,
    /// A script that runs this long without waiting for anything is stopped.
    pub slice: Duration,
    /// Bytes that one state may hold, until policy says otherwise. A script that wants more gets Lua's "not enough memory", and not the memory of all
    /// others: what the machine cannot give ends the process.
    pub memory: usize,
    /// States that may exist at a time, idle or not. More are an error.
    pub max_states: usize,
    /// States for connection objects before new objects share one with few others that are idle.
    pub object_states: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            call_timeout: Duration::from_secs(600),
            slice: Duration::from_secs(10),
            memory: 128 * 1024 * 1024,
            max_states: 16_384,
            object_states: 256,
        }
    }
}

/// Collects what an [`Engine`] needs.
pub struct EngineBuilder {
    pub(crate) settings: Settings,
}

/// The fixed part of an engine.
pub(crate) struct Settings {
    pub(crate) policy: PathBuf,
    pub(crate) text: Option<String>,
    pub(crate) modules: Vec<Arc<dyn LuaModule>>,
    pub(crate) embedded: Arc<Embedded>,
    pub(crate) package_path: Vec<String>,
    pub(crate) globs: Vec<String>,
    pub(crate) limits: Limits,
    pub(crate) validating: bool,
    pub(crate) setup: Option<(Arc<dyn Setup>, Vec<String>)>,
    pub(crate) loader: Option<Arc<dyn BodyLoader>>,
    pub(crate) version: String,
    pub(crate) mint: Arc<IdMint>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) supervisor: Option<Supervisor>,
    pub(crate) memory: Arc<MemoryLimits>,
    pub(crate) observer: Arc<dyn Observer>,
}

impl EngineBuilder {
    pub(crate) fn new(policy: PathBuf) -> Self {
        let settings = Settings {
            policy,
            text: None,
            modules: Vec::new(),
            embedded: Arc::default(),
            package_path: Vec::new(),
            globs: DEFAULT_MONITOR_GLOBS.map(str::to_owned).to_vec(),
            limits: Limits::default(),
            validating: false,
            setup: None,
            loader: None,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            mint: Arc::new(IdMint::random()),
            clock: Arc::new(SystemClock),
            supervisor: None,
            memory: Arc::new(MemoryLimits::of_this_machine()),
            observer: Arc::new(NoObserver),
        };
        EngineBuilder { settings }
    }

    /// The text of the policy, instead of reading its file: for tests, and for policies that are on no disk.
    #[must_use]
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.settings.text = Some(text.into());
        self
    }

    /// Adds a namespace. Later ones see, and may replace, what earlier ones have added to `kumo`.
    #[must_use]
    pub fn module(mut self, module: Arc<dyn LuaModule>) -> Self {
        self.settings.modules.push(module);
        self
    }

    /// Makes `require 'name'` work without a file; a file on `package.path` wins.
    #[must_use]
    pub fn embed(mut self, name: &str, source: &'static str) -> Self {
        Arc::make_mut(&mut self.settings.embedded).insert(name.to_owned(), source);
        self
    }

    /// Templates to search before Lua's own `package.path`, such as `/opt/kumomta/share/?.lua`.
    #[must_use]
    pub fn package_path(mut self, templates: &[&str]) -> Self {
        self.settings.package_path.extend(templates.iter().map(|template| (*template).to_owned()));
        self
    }

    /// Files whose change makes a new generation, beside those that the policy loads.
    #[must_use]
    pub fn monitor_globs(mut self, globs: &[&str]) -> Self {
        self.settings.globs = globs.iter().map(|glob| (*glob).to_owned()).collect();
        self
    }

    /// How much policy may take.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.settings.limits = limits;
        self
    }

    /// Whether the policy is only validated: `_VALIDATING_CONFIG` is true, nothing is opened.
    #[must_use]
    pub fn validating(mut self, validating: bool) -> Self {
        self.settings.validating = validating;
        self
    }

    /// Who takes configuration, and the names of the functions in `kumo` through which it comes.
    #[must_use]
    pub fn setup(mut self, setup: Arc<dyn Setup>, names: &[&str]) -> Self {
        self.settings.setup = Some((setup, names.iter().map(|name| (*name).to_owned()).collect()));
        self
    }

    /// Who loads and saves what is not in memory.
    #[must_use]
    pub fn bodies(mut self, loader: Arc<dyn BodyLoader>) -> Self {
        self.settings.loader = Some(loader);
        self
    }

    /// What `kumo.version` says.
    #[must_use]
    pub fn version(mut self, version: &str) -> Self {
        version.clone_into(&mut self.settings.version);
        self
    }

    /// Who makes the ids of messages that policy creates. Share the daemon's own, so that no two are equal.
    #[must_use]
    pub fn mint(mut self, mint: Arc<IdMint>) -> Self {
        self.settings.mint = mint;
        self
    }

    /// The clock for those ids.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.settings.clock = clock;
        self
    }

    /// Who owns the tasks that `kumo.spawn_task` starts. Without one, a supervisor of the engine's own on the runtime
    /// that the engine is built on.
    #[must_use]
    pub fn supervisor(mut self, supervisor: Supervisor) -> Self {
        self.settings.supervisor = Some(supervisor);
        self
    }

    /// What the policy's setters of memory limits set.
    #[must_use]
    pub fn memory(mut self, memory: Arc<MemoryLimits>) -> Self {
        self.settings.memory = memory;
        self
    }

    /// Who hears of calls.
    #[must_use]
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.settings.observer = observer;
        self
    }

    /// Reads the policy and runs its top level once.
    ///
    /// # Errors
    /// What the policy's top level raised, with file and line.
    pub async fn build(self) -> Result<Engine, PolicyError> {
        Engine::start(self.settings).await
    }
}
