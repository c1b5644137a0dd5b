//! The hooks' queues under administration: orders about lanes and ready queues, and looks at what is there.
//!
//! A hook is a cursor with lanes, not a pile of messages: an order about its scheduled queues goes to its consumer
//! (crate `journal-core`), which knows what is in memory, in rows and unread.

mod bounced;
mod view;

pub(crate) use bounced::Bounced;
pub(crate) use view::Looked;

use crate::log_hook::LogHook;
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;
use waybill_admin::{
    InspectedMessage, Order, QueueOwner, ReadyStates, ReadyView, Rebind, ScheduledQuery, ScheduledView, Target,
};
use waybill_consumers::{Control, Registry};
use waybill_journal_core::{Demand, LaneMatch, LaneOrder, Parcel};
use waybill_ready::Abort;
use waybill_runtime::Clock;
use waybill_spool::Store;
use waybill_types::{MessageId, QueueName, ReadyQueueName};

/// The queues of all hooks that run, replays included.
pub struct HookQueues {
    clock: Arc<dyn Clock>,
    store: Arc<dyn Store>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    hooks: Vec<Managed>,
    /// Those in force, in the order in which they were given.
    orders: Vec<Arc<Order>>,
    /// Bounces that were given, by what they have taken from hooks that are gone.
    gone: BTreeMap<Uuid, BTreeMap<QueueName, u64>>,
}

/// A hook and the way to its consumer.
#[derive(Clone)]
struct Managed {
    name: String,
    hook: Arc<LogHook>,
    control: Control,
}

impl HookQueues {
    /// No hooks yet.
    pub fn new(clock: Arc<dyn Clock>, store: Arc<dyn Store>) -> Self {
        HookQueues { clock, store, inner: Mutex::default() }
    }

    /// Adds a hook, which hears of orders from now on.
    pub fn add(&self, name: &str, hook: Arc<LogHook>, control: Control) {
        self.inner.lock().hooks.push(Managed { name: name.to_owned(), hook, control });
    }

    /// Tells a hook that was added of the orders that were in force before. Its runner must run, or be gone.
    pub async fn brief(&self, name: &str) {
        let (managed, orders) = {
            let inner = self.inner.lock();
            let now = self.clock.now();
            let orders: Vec<Arc<Order>> = inner.orders.iter().filter(|order| order.holds(now)).cloned().collect();
            (inner.hooks.iter().find(|managed| managed.name == name).cloned(), orders)
        };
        let Some(managed) = managed else { return };
        for order in orders {
            self.tell(&managed, &order).await;
        }
    }

    /// The hook has ended. What it had bounced still counts.
    pub fn remove(&self, name: &str) {
        let mut inner = self.inner.lock();
        let Some(place) = inner.hooks.iter().position(|managed| managed.name == name) else { return };
        let managed = inner.hooks.swap_remove(place);
        let now = self.clock.now();
        let bounces: Vec<Uuid> = inner.orders.iter().filter(|order| order.holds(now)).map(|order| order.id).collect();
        inner.gone.retain(|id, _| bounces.contains(id));
        for id in bounces {
            let counts = inner.gone.entry(id).or_default();
            managed.hook.bounced().of(id).into_iter().for_each(|(queue, count)| {
                *counts.entry(queue).or_default() += count;
            });
        }
    }

    fn registry(&self) -> Registry {
        Registry::new(self.store.clone())
    }

    fn hooks(&self) -> Vec<Managed> {
        self.inner.lock().hooks.clone()
    }

    async fn tell(&self, managed: &Managed, order: &Arc<Order>) {
        let demand = match &order.target {
            Target::SuspendReady { queue } => return managed.hook.reconsider_ready(queue, self.suspension(queue)),
            Target::Suspend { .. } => Demand::Suspend,
            Target::Bounce { silent, .. } => {
                managed.hook.bounced().begin(order.id, self.clock.now());
                Demand::Bounce { reason: order.reason.clone(), silent: *silent }
            }
        };
        let about = order.clone();
        let lanes = LaneMatch::new(move |lane| about.suspends(lane) || about.bounces(lane).is_some());
        let order = LaneOrder { id: order.id.as_u128(), lanes, demand, until: order.until };
        // A hook that has ended has no queues.
        let _ = managed.control.order(order).await;
    }

    /// What suspends a ready queue; of several orders the one that ends last.
    fn suspension(&self, queue: &ReadyQueueName) -> Option<Arc<Order>> {
        let now = self.clock.now();
        let inner = self.inner.lock();
        let fitting = inner.orders.iter().filter(|order| order.holds(now) && order.suspends_ready(queue));
        fitting.max_by_key(|order| order.until).cloned()
    }
}

impl QueueOwner for HookQueues {
    fn begin(&self, order: Arc<Order>) -> BoxFuture<'_, ()> {
        async move {
            let hooks = {
                let mut inner = self.inner.lock();
                let now = self.clock.now();
                inner.orders.retain(|order| order.holds(now));
                inner.orders.push(order.clone());
                inner.hooks.clone()
            };
            for managed in hooks {
                self.tell(&managed, &order).await;
            }
        }
        .boxed()
    }

    fn end(&self, order: Uuid) -> BoxFuture<'_, ()> {
        async move {
            let (ended, hooks) = {
                let mut inner = self.inner.lock();
                let Some(place) = inner.orders.iter().position(|known| known.id == order) else { return };
                (inner.orders.remove(place), inner.hooks.clone())
            };
            for managed in hooks {
                if let Target::SuspendReady { queue } = &ended.target {
                    managed.hook.reconsider_ready(queue, self.suspension(queue));
                } else {
                    // As above.
                    let _ = managed.control.end_order(order.as_u128()).await;
                }
            }
        }
        .boxed()
    }

    fn bounced(&self, order: Uuid) -> BTreeMap<QueueName, u64> {
        let inner = self.inner.lock();
        let mut counts = inner.gone.get(&order).cloned().unwrap_or_default();
        for (queue, count) in inner.hooks.iter().flat_map(|managed| managed.hook.bounced().of(order)) {
            *counts.entry(queue).or_default() += count;
        }
        counts
    }

    fn rebind(&self, rebind: Arc<Rebind>) -> BoxFuture<'_, ()> {
        async move {
            for managed in self.hooks() {
                let about = rebind.clone();
                let order = LaneOrder {
                    id: Uuid::new_v4().as_u128(),
                    lanes: LaneMatch::new(move |lane| about.criteria.fit(lane)),
                    demand: Demand::Rebind(Parcel::new(rebind.clone())),
                    until: self.clock.now(),
                };
                // A hook that has ended has no queues.
                let _ = managed.control.order(order).await;
            }
        }
        .boxed()
    }

    fn inspect_message(&self, id: MessageId, want_body: bool) -> BoxFuture<'_, Option<InspectedMessage>> {
        async move {
            for managed in self.hooks() {
                let found = view::message(&managed, &self.registry(), &*self.store, id, want_body).await;
                if found.is_some() {
                    return found;
                }
            }
            None
        }
        .boxed()
    }

    fn inspect_scheduled(&self, query: ScheduledQuery) -> BoxFuture<'_, Option<ScheduledView>> {
        async move {
            for managed in self.hooks() {
                if let Some(view) = view::scheduled(&managed, &self.registry(), &query).await {
                    return Some(view);
                }
            }
            None
        }
        .boxed()
    }

    fn inspect_ready(&self, queue: ReadyQueueName, with_scheduled: bool) -> BoxFuture<'_, Option<ReadyView>> {
        let found = self.hooks().iter().find_map(|managed| managed.hook.ready_view(&queue, with_scheduled));
        async move { found }.boxed()
    }

    fn abort(&self, queue: ReadyQueueName, session: String) -> BoxFuture<'_, bool> {
        let aborted = self.hooks().into_iter().any(|managed| match managed.hook.board().abort(&queue, &session) {
            None => false,
            Some(Abort::Done) => true,
            // What it may be handed meanwhile comes back from the ready queue.
            Some(Abort::Close(number)) => {
                managed.hook.close_session(number);
                true
            }
        });
        async move { aborted }.boxed()
    }

    fn ready_states(&self) -> BoxFuture<'_, BTreeMap<ReadyQueueName, ReadyStates>> {
        let all = self.hooks().into_iter().flat_map(|managed| managed.hook.ready_states()).collect();
        async move { all }.boxed()
    }
}
