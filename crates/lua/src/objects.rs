//! Objects that policy made, such as connections, and the states that they live in.
//!
//! An object stays in the state that made it. Up to `Limits::object_states` of them have a state each: sessions run side
//! by side. Beyond that a new object moves in where nothing runs and where few are (if there is no such place it gets a
//! state after all), and a method waits while another object of its state runs one.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures::FutureExt;
use futures::future::BoxFuture;
use mlua::{Function, Lua, MultiValue, Table, Value as Lv};
use parking_lot::Mutex;
use waybill_policy::{Args, Epoch, PolicyError, PolicyObject, Returned};

use crate::convert;
use crate::engine::{Inner, not_registered};
use crate::generation::Generation;
use crate::native::{Answer, NativeMethod, Values};
use crate::state::State;

/// Objects that may share a state. A method waits for those of the others: with endpoints that do not answer the few states
/// where nothing happens to run would fill up otherwise, and a good one would wait for dozens of time limits.
const SHARED: usize = 4;

/// The states that hold objects.
pub(crate) struct Homes {
    all: Mutex<Vec<Arc<Home>>>,
    limit: usize,
}

/// One state that holds objects.
struct Home {
    event: Arc<str>,
    epoch: Epoch,
    /// Locked while a method runs; empty until the first object is made.
    state: tokio::sync::Mutex<Option<State>>,
    objects: AtomicUsize,
    /// Methods that run or wait.
    busy: AtomicUsize,
    /// A call failed or was cut off: the objects that are here may stay, no new ones, and the state ends with them.
    tainted: AtomicBool,
}

impl Homes {
    pub(crate) fn new(limit: usize) -> Self {
        Homes { all: Mutex::default(), limit: limit.max(1) }
    }

    /// A home for one more object.
    fn reserve(&self, event: &Arc<str>, epoch: Epoch) -> Arc<Home> {
        let mut all = self.all.lock();
        if all.len() >= self.limit {
            // Not one whose method runs: the constructor may be called by that very method.
            let fits = |home: &&Arc<Home>| {
                home.event == *event
                    && home.epoch == epoch
                    && !home.tainted.load(Ordering::Relaxed)
                    && home.busy.load(Ordering::Relaxed) == 0
                    && home.objects.load(Ordering::Relaxed) < SHARED
            };
            if let Some(home) = all.iter().filter(fits).min_by_key(|home| home.objects.load(Ordering::Relaxed)) {
                home.objects.fetch_add(1, Ordering::Relaxed);
                return home.clone();
            }
        }
        let home = Arc::new(Home {
            event: event.clone(),
            epoch,
            state: tokio::sync::Mutex::new(None),
            objects: AtomicUsize::new(1),
            busy: AtomicUsize::new(0),
            tainted: AtomicBool::new(false),
        });
        all.push(home.clone());
        home
    }

    /// One object less. The state of the last one, if it may be used again.
    fn release(&self, home: &Arc<Home>) -> Option<State> {
        let mut all = self.all.lock();
        if home.objects.fetch_sub(1, Ordering::Relaxed) > 1 {
            return None;
        }
        all.retain(|other| !Arc::ptr_eq(other, home));
        drop(all);
        let state = home.state.try_lock().ok()?.take()?;
        (!home.tainted.load(Ordering::Relaxed)).then_some(state)
    }
}

/// Counts a method in, and taints the home unless it is told that the method ended well.
struct Turn<'a> {
    home: &'a Home,
    fine: bool,
}

impl<'a> Turn<'a> {
    fn begin(home: &'a Home) -> Self {
        home.busy.fetch_add(1, Ordering::Relaxed);
        Turn { home, fine: true }
    }

    fn ended<T>(&mut self, result: &Result<T, PolicyError>) {
        self.fine = matches!(result, Ok(_) | Err(PolicyError::Rejected(_)));
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.home.busy.fetch_sub(1, Ordering::Relaxed);
        if !self.fine {
            self.home.tainted.store(true, Ordering::Relaxed);
        }
    }
}

/// A place in a home, given back when dropped.
struct Place {
    engine: Arc<Inner>,
    home: Arc<Home>,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(state) = self.engine.homes.release(&self.home) {
            self.engine.pool.put(state, self.engine.generation().epoch);
        }
    }
}

/// Calls a constructor event and keeps what it returns.
pub(crate) async fn construct(
    engine: &Arc<Inner>,
    event: &str,
    args: Args,
) -> Result<Box<dyn PolicyObject>, PolicyError> {
    let generation = engine.generation();
    let Some(event) = generation.event(event) else { return Err(not_registered(event)) };
    let home = engine.homes.reserve(event, generation.epoch);
    let place = Place { engine: engine.clone(), home };
    let made = {
        let mut turn = Turn::begin(&place.home);
        let mut state = place.home.state.lock().await;
        turn.fine = false;
        let made = engine.observed(event, make(engine, &generation, &mut state, event, args)).await;
        turn.ended(&made);
        made?
    };
    let methods = made.as_ref().map(methods).unwrap_or_default();
    Ok(Box::new(Object { table: made, methods, place }))
}

/// The object, or `None` when the constructor returned something else: that becomes an error when it is used.
async fn make(
    engine: &Arc<Inner>,
    generation: &Arc<Generation>,
    state: &mut Option<State>,
    event: &Arc<str>,
    args: Args,
) -> Result<Option<Table>, PolicyError> {
    let state = match state {
        Some(state) => state,
        None => state.insert(engine.take(generation).await?),
    };
    let entered = state.enter(event);
    let args = state.briefly(|lua| entered.and_then(|()| convert::args_to_lua(lua, args)))?;
    let Some(handler) = state.handlers(event).into_iter().next() else { return Err(not_registered(event)) };
    let result = state.run(&handler, args).await?;
    Ok(match result.front() {
        Some(Lv::Table(table)) => Some(table.clone()),
        _ => None,
    })
}

/// Names of methods, and whether there may be others.
#[derive(Default)]
struct Methods {
    names: HashSet<String>,
    open: bool,
    /// Those that run outside of Lua, which are among the names too.
    native: BTreeMap<String, NativeMethod>,
}

fn methods(table: &Table) -> Methods {
    let mut methods = Methods::default();
    let mut next = Some(table.clone());
    // A chain of classes; one that leads back to itself ends too.
    for _ in 0..16 {
        let Some(table) = next.take() else { break };
        let note = |key: Lv, value: Lv| {
            let Lv::String(name) = key else { return Ok(()) };
            match value {
                Lv::Function(_) => drop(methods.names.insert(name.to_string_lossy())),
                // The first one of a chain of classes is the one that counts.
                Lv::UserData(object) if !methods.names.contains(&name.to_string_lossy()) => {
                    if let Ok(method) = object.borrow::<NativeMethod>() {
                        methods.names.insert(name.to_string_lossy());
                        methods.native.insert(name.to_string_lossy(), method.clone());
                    }
                }
                _ => {}
            }
            Ok(())
        };
        // The walk itself cannot fail: it calls nothing.
        let _ = table.for_each(note);
        match table.metatable().and_then(|metatable| metatable.raw_get::<Lv>("__index").ok()) {
            Some(Lv::Table(parent)) => next = Some(parent),
            Some(Lv::Function(_)) => methods.open = true,
            _ => {}
        }
    }
    methods
}

struct Object {
    // Before `place`: the table must be let go of while its state is still ours.
    table: Option<Table>,
    methods: Methods,
    place: Place,
}

impl Object {
    async fn run(&self, method: &str, args: Args) -> Result<Returned, PolicyError> {
        let Some(table) = &self.table else {
            return Err(PolicyError::Unusable("invalid connection object".into()));
        };
        self.within(Call::Method { table, method, args }).await
    }

    /// Runs a method that needs no state, unless it has something for the script after all.
    async fn run_native(&self, method: &NativeMethod, args: Args) -> Result<Returned, PolicyError> {
        match self.place.engine.timed(&self.place.home.event, method.native.call(args)).await? {
            Answer::Returned(returned) => Ok(returned),
            Answer::Asks(values) => {
                let call = self.within(Call::Rest { function: &method.otherwise, values });
                self.place.engine.aside.run(call).await
            }
        }
    }

    /// Enters the object's state.
    async fn within(&self, call: Call<'_>) -> Result<Returned, PolicyError> {
        let home = &self.place.home;
        let mut turn = Turn::begin(home);
        let mut guard = home.state.lock().await;
        let Some(state) = guard.as_mut() else {
            return Err(PolicyError::Unavailable("the state of this object is gone".into()));
        };
        turn.fine = false;
        let result = self.place.engine.timed(&home.event, call.run(state, &home.event)).await;
        turn.ended(&result);
        result
    }
}

/// What is called in the state of an object.
enum Call<'a> {
    /// A method of the object.
    Method { table: &'a Table, method: &'a str, args: Args },
    /// What a native method leaves over.
    Rest { function: &'a Function, values: Values },
}

impl Call<'_> {
    async fn run(self, state: &mut State, event: &Arc<str>) -> Result<Returned, PolicyError> {
        let entered = state.enter(event);
        let found = state.briefly(|lua| {
            entered?;
            self.prepare(lua)
        })?;
        let (function, args) =
            found.map_err(|missing| PolicyError::Missing(format!("sender:{missing} method not found").into()))?;
        let result = state.run(&function, args).await?;
        convert::returned(state.lua(), &result)
    }

    /// The function with its arguments, or the name of the method that is not there.
    fn prepare(self, lua: &Lua) -> mlua::Result<Result<(Function, MultiValue), String>> {
        match self {
            Call::Method { table, method, args } => {
                let Some(function) = table.get::<Option<Function>>(method)? else { return Ok(Err(method.to_owned())) };
                let mut all = convert::args_to_lua(lua, args)?;
                all.push_front(Lv::Table(table.clone()));
                Ok(Ok((function, all)))
            }
            Call::Rest { function, values } => Ok(Ok((function.clone(), values(lua)?))),
        }
    }
}

impl PolicyObject for Object {
    /// An object that is none has every method: calling one says what is wrong.
    fn has(&self, method: &str) -> bool {
        match self.table {
            Some(_) => self.methods.open || self.methods.names.contains(method),
            None => method != "close",
        }
    }

    fn invoke<'a>(&'a mut self, method: &'a str, args: Args) -> BoxFuture<'a, Result<Returned, PolicyError>> {
        match self.methods.native.get(method) {
            Some(native) => self.run_native(native, args).boxed(),
            None => self.place.engine.aside.run(self.run(method, args)),
        }
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, Result<(), PolicyError>> {
        async move {
            if !self.has("close") {
                return Ok(());
            }
            let aside = self.place.engine.aside.clone();
            match aside.run(self.run("close", Args::new())).await {
                Ok(_) | Err(PolicyError::Missing(_)) => Ok(()),
                Err(error) => Err(error),
            }
        }
        .boxed()
    }
}
