//! A hook that is ready to fire, and what comes of it.

use crate::courier::{Courier, Endpoint, Receipt};
use crate::functions::Functions;
use crate::occurrence::Occurrence;
use crate::target;
use std::sync::Arc;
use waybill_event_hooks_core::{BatchRule, Event, Handler, HashKey, Hook, RenderError, Request, log_line};
use waybill_webhook_core::{ConfigError, EndpointConfig};
use waybill_webhook_sign::EventId;

/// Of a hook that calls nobody, so many events are worked on at a time.
const AT_ONCE: usize = 8;
/// So many requests' events are in memory at least: the next one need not be waited for.
const LEAST_WINDOW: usize = 16;

/// A hook with all that it needs to fire.
pub(crate) struct Armed {
    pub(crate) hook: Hook,
    /// Whom it calls, for the handlers that do.
    pub(crate) config: Option<EndpointConfig>,
    endpoint: Option<Result<Arc<dyn Endpoint>, ConfigError>>,
    functions: Option<Arc<dyn Functions>>,
    key: HashKey,
    origin: Arc<str>,
}

/// What came of firing.
pub(crate) enum Fired {
    /// A request was made.
    Sent(Receipt),
    /// The line that was written.
    Logged(String),
    /// The functions ran; what the last returned.
    Ran(serde_json::Value),
    /// They did not run to their end.
    Stumbled(String),
    /// It cannot be done for this event, and never could.
    Unfit(String),
}

/// What armed hooks have in common.
#[derive(Clone)]
pub(crate) struct Arsenal {
    pub(crate) courier: Arc<dyn Courier>,
    pub(crate) functions: Option<Arc<dyn Functions>>,
    /// What addresses are hashed with.
    pub(crate) master: Arc<[u8]>,
    /// The name of the node.
    pub(crate) origin: Arc<str>,
}

impl Arsenal {
    /// Makes a hook ready. Nothing is sent. What is wrong with its endpoint is told when it fires.
    pub(crate) fn arm(&self, hook: Hook) -> Armed {
        let before = hook.secrets_before();
        let mut config = match &hook.draft.handler {
            Handler::Webhook(webhook) => Some(webhook.endpoint(before)),
            Handler::Custom(custom) => Some(custom.target().endpoint(before)),
            Handler::Log | Handler::Lambda(_) => None,
        };
        if let (Some(config), Some(connections)) = (&mut config, hook.draft.connections) {
            config.max_connections = connections;
        }
        let key = HashKey::derived(&self.master, &hook.id.to_string());
        let endpoint = config.clone().map(|config| self.courier.endpoint(config));
        Armed { config, endpoint, functions: self.functions.clone(), key, origin: self.origin.clone(), hook }
    }
}

impl Armed {
    /// The same without its endpoint, whose connections end with it.
    pub(crate) fn closed(&self) -> Armed {
        let endpoint = self.endpoint.as_ref().map(|_| Err(ConfigError::new("", "the daemon is being stopped")));
        Armed {
            hook: self.hook.clone(),
            config: self.config.clone(),
            endpoint,
            functions: None,
            key: self.key.clone(),
            origin: self.origin.clone(),
        }
    }

    /// What is wrong with its endpoint.
    pub(crate) fn trouble(&self) -> Option<ConfigError> {
        self.endpoint.as_ref().and_then(|endpoint| endpoint.as_ref().err().cloned())
    }

    /// The events as the target sees them.
    fn shaped(&self, events: &[Occurrence]) -> Vec<Occurrence> {
        let shape = &self.hook.draft.shape;
        events.iter().map(|event| event.with(shape.apply(&event.data, &self.key))).collect()
    }

    /// The request for events, where the handler makes one. All handlers but a `webhook` with batches take one event.
    ///
    /// # Errors
    /// When none can be made of them.
    pub(crate) fn request(&self, events: &[Occurrence]) -> Result<Option<Request>, RenderError> {
        let shaped = self.shaped(events);
        let all: Vec<Event<'_>> = shaped.iter().map(Occurrence::event).collect();
        match (&self.hook.draft.handler, all.first()) {
            (Handler::Webhook(webhook), _) => {
                let draft = &self.hook.draft;
                Ok(Some(webhook.request(&all, draft.format, draft.batch.is_some(), &self.origin)))
            }
            (Handler::Custom(custom), Some(event)) => custom.request(event).map(Some),
            _ => Ok(None),
        }
    }

    /// Does once what the hook is for.
    pub(crate) async fn fire(&self, id: EventId, events: &[Occurrence]) -> Fired {
        // Of events that go together the one that has come the farthest counts.
        let hops = events.iter().map(|event| event.hops).max().unwrap_or_default();
        match self.request(events) {
            Ok(Some(request)) => self.send(id, request, hops).await,
            Ok(None) => self.act(events).await,
            Err(error) => Fired::Unfit(error.to_string()),
        }
    }

    /// Makes a request, of what has come through so many webhooks.
    pub(crate) async fn send(&self, id: EventId, request: Request, hops: u8) -> Fired {
        match &self.endpoint {
            Some(Ok(endpoint)) => Fired::Sent(endpoint.send(id, request, hops).await),
            Some(Err(why)) => Fired::Unfit(why.to_string()),
            None => Fired::Unfit(format!("the handler {} sends no requests", self.hook.draft.handler.name())),
        }
    }

    async fn act(&self, events: &[Occurrence]) -> Fired {
        let shaped = self.shaped(events);
        let Some(event) = shaped.first() else { return Fired::Unfit("there is no event".to_owned()) };
        match (&self.hook.draft.handler, &self.functions) {
            (Handler::Lambda(lambda), Some(functions)) => {
                let ran = functions.run(&lambda.functions, &event.data, &event.event, &event.source, event.hops).await;
                ran.map_or_else(Fired::Stumbled, Fired::Ran)
            }
            (Handler::Lambda(_), None) => Fired::Stumbled("functions are not run by this daemon".to_owned()),
            _ => {
                let line = log_line(&event.event(), std::process::id());
                tracing::info!(target: "event_hooks", "{line}");
                Fired::Logged(line)
            }
        }
    }

    /// Which events go together in one request.
    pub(crate) fn batch(&self) -> BatchRule {
        self.hook.draft.batch.unwrap_or(BatchRule::SINGLE)
    }

    /// Requests that may be under way at most; of a hook that calls nobody, events that are worked on.
    pub(crate) fn at_once(&self) -> usize {
        let connections = self.config.as_ref().map(|config| config.max_connections);
        connections.map_or(AT_ONCE, |connections| usize::try_from(connections).unwrap_or(usize::MAX))
    }

    /// Events that it can have in flight.
    pub(crate) fn window(&self) -> usize {
        self.at_once().max(LEAST_WINDOW) * self.batch().events
    }

    /// Whether what is told is about this hook or its target.
    pub(crate) fn is_concerned(&self, about: &[String]) -> bool {
        !about.is_empty() && self.concerns().iter().any(|own| about.contains(own))
    }

    /// What tells this hook and its target from others. Of the URL, which may hold a token, only a hash.
    pub(crate) fn concerns(&self) -> Vec<String> {
        let target = self.config.as_ref().map(|config| target::mark(&config.url));
        [Some(self.hook.id.to_string()), target].into_iter().flatten().collect()
    }
}
