//! A policy made of Rust closures: the double for tests of everything that calls policy.

use crate::{Args, Epoch, PolicyError, PolicyHost, PolicyObject, Returned};
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// What stands in for a handler or method.
pub type Handler = Arc<dyn Fn(Args) -> Result<Returned, PolicyError> + Send + Sync>;

/// A [`PolicyHost`] whose handlers are closures, and which remembers every call.
#[derive(Clone, Default)]
pub struct ScriptedPolicy {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    handlers: Mutex<HashMap<String, Handler>>,
    objects: Mutex<HashMap<String, HashMap<String, Handler>>>,
    calls: Mutex<Vec<String>>,
    epoch: Mutex<Epoch>,
}

impl ScriptedPolicy {
    /// Handles nothing yet.
    pub fn new() -> Self {
        ScriptedPolicy::default()
    }

    /// Handles an event.
    #[must_use]
    pub fn on(
        self,
        event: &str,
        handler: impl Fn(Args) -> Result<Returned, PolicyError> + Send + Sync + 'static,
    ) -> Self {
        self.inner.handlers.lock().insert(event.to_owned(), Arc::new(handler));
        self
    }

    /// Gives the object that a constructor event returns a method.
    #[must_use]
    pub fn method(
        self,
        event: &str,
        method: &str,
        handler: impl Fn(Args) -> Result<Returned, PolicyError> + Send + Sync + 'static,
    ) -> Self {
        let mut objects = self.inner.objects.lock();
        objects.entry(event.to_owned()).or_default().insert(method.to_owned(), Arc::new(handler));
        drop(objects);
        self
    }

    /// The policy was read again.
    pub fn set_epoch(&self, epoch: Epoch) {
        *self.inner.epoch.lock() = epoch;
    }

    /// Every event and method called so far: `event`, `event:method`.
    pub fn calls(&self) -> Vec<String> {
        self.inner.calls.lock().clone()
    }
}

impl Inner {
    fn run(&self, event: &str, args: Args) -> Result<Returned, PolicyError> {
        self.calls.lock().push(event.to_owned());
        let handler = self.handlers.lock().get(event).cloned();
        handler.map_or_else(|| Ok(Returned::default()), |handler| handler(args))
    }
}

impl PolicyHost for ScriptedPolicy {
    fn call<'a>(&'a self, event: &'a str, args: Args) -> BoxFuture<'a, Result<Returned, PolicyError>> {
        async move { self.inner.run(event, args) }.boxed()
    }

    fn call_each<'a>(&'a self, event: &'a str, items: Vec<Args>) -> BoxFuture<'a, Vec<Result<Returned, PolicyError>>> {
        async move { items.into_iter().map(|args| self.inner.run(event, args)).collect() }.boxed()
    }

    fn construct<'a>(
        &'a self,
        event: &'a str,
        args: Args,
    ) -> BoxFuture<'a, Result<Box<dyn PolicyObject>, PolicyError>> {
        async move {
            self.inner.run(event, args)?;
            let methods = self.inner.objects.lock().get(event).cloned();
            let missing = || PolicyError::Missing(format!("Event {event} has not been registered").into());
            let object = ScriptedObject {
                event: event.to_owned(),
                methods: methods.ok_or_else(missing)?,
                inner: self.inner.clone(),
            };
            Ok(Box::new(object) as Box<dyn PolicyObject>)
        }
        .boxed()
    }

    fn handles(&self, event: &str) -> bool {
        self.inner.handlers.lock().contains_key(event) || self.inner.objects.lock().contains_key(event)
    }

    fn epoch(&self) -> Epoch {
        *self.inner.epoch.lock()
    }
}

struct ScriptedObject {
    event: String,
    methods: HashMap<String, Handler>,
    inner: Arc<Inner>,
}

impl PolicyObject for ScriptedObject {
    fn has(&self, method: &str) -> bool {
        self.methods.contains_key(method)
    }

    fn invoke<'a>(&'a mut self, method: &'a str, args: Args) -> BoxFuture<'a, Result<Returned, PolicyError>> {
        async move {
            self.inner.calls.lock().push(format!("{}:{method}", self.event));
            let missing = || PolicyError::Missing(format!("sender:{method} method not found").into());
            let handler = self.methods.get(method).ok_or_else(missing)?;
            handler(args)
        }
        .boxed()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, Result<(), PolicyError>> {
        async move {
            self.inner.calls.lock().push(format!("{}:close", self.event));
            match self.methods.get("close") {
                Some(handler) => handler(Vec::new()).map(|_| ()),
                None => Ok(()),
            }
        }
        .boxed()
    }
}
