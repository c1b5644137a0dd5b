//! `kumo.mpsc`: queues between states, by name.

use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use std::sync::Arc;

use mlua::{Lua, Table, UserData, UserDataMethods, Value};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::system::duration;
use crate::convert::{from_lua, to_lua};
use crate::engine::Engine;
use crate::error::{lua_error, raise};
use crate::location;

/// Values that a queue holds when nobody says how many. When it is full, `send` waits and `try_send` says no.
const CAPACITY: usize = 100_000;

/// The queues of an engine.
#[derive(Default)]
pub(crate) struct Queues(Mutex<HashMap<String, Queue>>);

type Item = waybill_policy::Value;

/// A queue; clones are the same.
#[derive(Clone)]
struct Queue(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    limit: usize,
    arrived: Notify,
    left: Notify,
}

#[derive(Default)]
struct State {
    items: VecDeque<Item>,
    closed: bool,
}

/// An item that could not be sent at once.
enum Refused {
    Full(Item),
    Closed,
}

pub(super) fn register(lua: &Lua, kumo: &Table) -> mlua::Result<()> {
    let module = lua.create_table()?;
    module.set("define", lua.create_function(define)?)?;
    kumo.set("mpsc", module)
}

/// The queue of that name, made when it is first asked for; its size stays what it was then.
fn define(lua: &Lua, (name, limit): (String, Option<usize>)) -> mlua::Result<Queue> {
    let limit = limit.unwrap_or(CAPACITY);
    if limit == 0 {
        let at = location::caller(lua);
        return Err(raise(format!("{at}: kumo.mpsc.define('{name}', 0): expected a limit from 1 on")));
    }
    let engine = Engine::of(lua).ok_or_else(|| raise("the policy engine is shutting down"))?;
    let mut queues = engine.inner().queues.0.lock();
    let new = || {
        let inner = Inner { state: Mutex::default(), limit, arrived: Notify::new(), left: Notify::new() };
        Queue(Arc::new(inner))
    };
    Ok(queues.entry(name).or_insert_with(new).clone())
}

impl Queue {
    fn try_send(&self, item: Item) -> Result<(), Refused> {
        let mut state = self.0.state.lock();
        if state.closed {
            return Err(Refused::Closed);
        }
        if state.items.len() >= self.0.limit {
            return Err(Refused::Full(item));
        }
        state.items.push_back(item);
        self.0.arrived.notify_one();
        Ok(())
    }

    /// Waits for room. Dropped, it has sent nothing.
    async fn send(&self, mut item: Item) -> mlua::Result<()> {
        loop {
            let mut left = pin!(self.0.left.notified());
            left.as_mut().enable();
            match self.try_send(item) {
                Ok(()) => return Ok(()),
                Err(Refused::Closed) => return Err(raise("the queue is closed")),
                Err(Refused::Full(back)) => item = back,
            }
            left.await;
        }
    }

    /// What is there, up to `most`; nothing when there is nothing.
    fn take(&self, most: usize) -> Vec<Item> {
        let mut state = self.0.state.lock();
        let count = most.min(state.items.len());
        let taken: Vec<Item> = state.items.drain(..count).collect();
        for _ in &taken {
            self.0.left.notify_one();
        }
        if !state.items.is_empty() {
            // Two may have come and told only one of us.
            self.0.arrived.notify_one();
        }
        taken
    }

    /// Waits for something; nothing comes when it is closed and empty. Dropped, it has taken nothing.
    async fn receive(&self, most: usize) -> Vec<Item> {
        loop {
            let mut arrived = pin!(self.0.arrived.notified());
            arrived.as_mut().enable();
            let taken = self.take(most);
            if !taken.is_empty() || self.0.state.lock().closed {
                return taken;
            }
            arrived.await;
        }
    }

    fn close(&self) {
        self.0.state.lock().closed = true;
        self.0.arrived.notify_waiters();
        self.0.left.notify_waiters();
    }
}

/// A value outside of any state.
fn item(lua: &Lua, value: &Value) -> mlua::Result<Item> {
    match value {
        Value::Function(_) | Value::Thread(_) => {
            Err(raise(format!("a value of type '{}' cannot go through a queue", value.type_name())))
        }
        value => from_lua(lua, value).map_err(lua_error),
    }
}

fn first(lua: &Lua, items: Vec<Item>) -> mlua::Result<Value> {
    items.into_iter().next().map_or(Ok(Value::Nil), |item| to_lua(lua, item))
}

impl UserData for Queue {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_async_method("send", |lua, this, value: Value| {
            let queue = this.clone();
            async move { queue.send(item(&lua, &value)?).await }
        });
        methods.add_async_method("send_timeout", |lua, this, (value, time): (Value, Value)| {
            let queue = this.clone();
            async move {
                let (value, time) = (item(&lua, &value)?, duration(&lua, time)?);
                let sent = tokio::time::timeout(time, queue.send(value)).await;
                sent.map_or(Ok(false), |sent| sent.map(|()| true))
            }
        });
        methods.add_method("try_send", |lua, this, value: Value| match this.try_send(item(lua, &value)?) {
            Ok(()) => Ok(true),
            Err(Refused::Full(_)) => Ok(false),
            Err(Refused::Closed) => Err(raise("the queue is closed")),
        });
        methods.add_async_method("recv", |lua, this, ()| {
            let queue = this.clone();
            async move { first(&lua, queue.receive(1).await) }
        });
        methods.add_method("try_recv", |lua, this, ()| first(lua, this.take(1)));
        methods.add_async_method("recv_many", |lua, this, most: usize| {
            let queue = this.clone();
            async move {
                let items = queue.receive(most.max(1)).await;
                if items.is_empty() {
                    return Ok(Value::Nil);
                }
                let items: Vec<Value> =
                    items.into_iter().map(|item| to_lua(&lua, item)).collect::<mlua::Result<_>>()?;
                lua.create_sequence_from(items).map(Value::Table)
            }
        });
        methods.add_method("close", |_, this, ()| {
            this.close();
            Ok(())
        });
        methods.add_method("is_closed", |_, this, ()| Ok(this.0.state.lock().closed));
        methods.add_method("is_empty", |_, this, ()| Ok(this.0.state.lock().items.is_empty()));
        methods.add_method("len", |_, this, ()| Ok(this.0.state.lock().items.len()));
    }
}
