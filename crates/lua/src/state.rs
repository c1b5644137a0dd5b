//! One Lua state with the policy loaded, and one call in it.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use mlua::{Function, Lua, MultiValue};
use waybill_policy::{Args, Epoch, PolicyError, Returned};

use crate::convert;
use crate::engine::Inner;
use crate::error::policy_error;
use crate::events::{self, Handlers};
use crate::generation::Generation;
use crate::pool::Permit;
use crate::rule::{self, Rules};
use crate::watchdog::{Sliced, Watch};

/// What the functions of a state know about where they are. Kept as the state's app data.
pub(crate) struct Here {
    pub(crate) engine: Weak<Inner>,
    pub(crate) generation: Arc<Generation>,
    pub(crate) watch: Arc<Watch>,
}

/// The name under which the policy's top level runs, as if it were an event.
pub(crate) const TOP_LEVEL: &str = "";

/// A Lua state that has run the policy.
pub(crate) struct State {
    lua: Lua,
    watch: Arc<Watch>,
    generation: Arc<Generation>,
    born: Instant,
    uses: u32,
    _permit: Permit,
}

impl State {
    pub(crate) fn new(lua: Lua, watch: Arc<Watch>, generation: Arc<Generation>, permit: Permit) -> Self {
        State { lua, watch, generation, born: Instant::now(), uses: 0, _permit: permit }
    }

    pub(crate) fn lua(&self) -> &Lua {
        &self.lua
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.generation.epoch
    }

    pub(crate) fn age(&self) -> Duration {
        self.born.elapsed()
    }

    pub(crate) fn uses(&self) -> u32 {
        self.uses
    }

    pub(crate) fn collect_garbage(&self) {
        // A finaliser that fails leaves garbage behind, nothing worse.
        let _ = self.lua.gc_collect();
    }

    /// The handlers of an event in this state, in order of registration.
    pub(crate) fn handlers(&self, event: &str) -> Vec<Function> {
        let handlers = self.lua.app_data_ref::<Handlers>();
        handlers.map_or_else(Vec::new, |handlers| handlers.of(event).iter().map(|h| h.function.clone()).collect())
    }

    /// What the handlers of an event return, where each that is asked has said what it does; Lua is not entered for that.
    pub(crate) fn by_rule(&self, event: &str, args: &Args) -> Option<Returned> {
        let handlers = self.lua.app_data_ref::<Handlers>()?;
        rule::answer(handlers.of(event).iter().map(|handler| handler.rule.as_ref()), args)
    }

    /// What the handlers of an event say beside their functions, in order of registration.
    pub(crate) fn rules(&self, event: &str) -> Rules {
        let handlers = self.lua.app_data_ref::<Handlers>();
        Rules(handlers.map(|handlers| handlers.of(event).iter().map(|handler| handler.rule.clone()).collect()))
    }

    /// Calls the handlers of an event, in order, until one decides.
    pub(crate) async fn call(&mut self, event: &Arc<str>, args: Args) -> Result<Returned, PolicyError> {
        let args = self.enter(event).and_then(|()| convert::args_to_lua(&self.lua, args));
        let args = args.map_err(|error| policy_error(&error))?;
        let mut result = MultiValue::new();
        for handler in self.handlers(event) {
            result = self.run(&handler, args.clone()).await?;
            if !events::next_decides(event, &result) {
                break;
            }
        }
        self.watch.slice(|| convert::returned(&self.lua, &result))
    }

    /// A call begins.
    pub(crate) fn enter(&mut self, event: &Arc<str>) -> mlua::Result<()> {
        self.uses = self.uses.saturating_add(1);
        self.watch.begin(&self.lua, event)
    }

    /// Runs a function of this state until it returns, waiting where it waits.
    pub(crate) async fn run(&self, function: &Function, args: MultiValue) -> Result<MultiValue, PolicyError> {
        run(&self.watch, function, args).await
    }

    /// Runs something short that enters Lua and cannot wait.
    pub(crate) fn briefly<T>(&self, f: impl FnOnce(&Lua) -> mlua::Result<T>) -> Result<T, PolicyError> {
        let result = self.watch.slice(|| f(&self.lua));
        finished(&self.watch, result)
    }
}

/// Runs a function under a watch until it returns, waiting where it waits.
pub(crate) async fn run(watch: &Arc<Watch>, function: &Function, args: MultiValue) -> Result<MultiValue, PolicyError> {
    let result = Sliced::new(watch, function.call_async::<MultiValue>(args)).await;
    finished(watch, result)
}

fn finished<T>(watch: &Watch, result: mlua::Result<T>) -> Result<T, PolicyError> {
    // Also when the script caught the error: it was told to stop.
    if watch.tripped() {
        return Err(PolicyError::TimedOut(watch.stopped().0.into()));
    }
    result.map_err(|error| policy_error(&error))
}
