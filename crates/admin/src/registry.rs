use crate::order::Target;
use crate::request::end;
use crate::{
    BounceRequest, BounceView, Criteria, InspectedMessage, NoPath, Order, PathView, QueueOwner, ReadyStates, ReadyView,
    Rebind, RebindRequest, ScheduledQuery, ScheduledView, SuspendReadyRequest, SuspendReadyView, SuspendRequest,
    SuspendView,
};
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;
use waybill_types::{MessageId, QueueName, ReadyQueueName, Timestamp};

/// Tells the time.
type Now = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The orders in force, and everybody who has to obey them. Cheap to clone; clones are the same.
#[derive(Clone)]
pub struct Admin {
    now: Now,
    shared: Arc<RwLock<Shared>>,
}

#[derive(Default)]
struct Shared {
    /// In the order in which they were given.
    orders: Vec<Arc<Order>>,
    owners: Vec<Arc<dyn QueueOwner>>,
}

impl Admin {
    /// No orders, and nobody to obey them yet.
    pub fn new(now: Now) -> Self {
        Admin { now, shared: Arc::default() }
    }

    /// Adds an owner. It hears of the orders that are in force already. Questions go to the owners in the order in which
    /// they were added: one that knows an answer to everything (the mail queue, for routes) comes last.
    pub async fn add(&self, owner: Arc<dyn QueueOwner>) {
        let orders = {
            let mut shared = self.shared.write();
            shared.owners.push(owner.clone());
            shared.orders.clone()
        };
        for order in orders.into_iter().filter(|order| order.holds((self.now)())) {
            owner.begin(order).await;
        }
    }

    /// Bounces queues; gives the id of the order.
    pub async fn bounce(&self, request: BounceRequest) -> Uuid {
        let (reason, silent) = (request.reason.as_str().into(), request.suppress_logging);
        let until = end((self.now)(), request.duration, request.expires);
        self.order(Target::Bounce { criteria: request.criteria(), silent }, reason, until).await
    }

    /// Suspends scheduled queues; gives the id of the order.
    pub async fn suspend(&self, request: SuspendRequest) -> Uuid {
        let reason = request.reason.as_str().into();
        let until = end((self.now)(), request.duration, request.expires);
        self.order(Target::Suspend { criteria: request.criteria() }, reason, until).await
    }

    /// Suspends a ready queue; gives the id of the order.
    pub async fn suspend_ready(&self, request: SuspendReadyRequest) -> Uuid {
        let SuspendReadyRequest { name, reason, duration, expires } = request;
        let until = end((self.now)(), duration, expires);
        self.order(Target::SuspendReady { queue: name }, reason.into(), until).await
    }

    async fn order(&self, target: Target, reason: Arc<str>, until: Timestamp) -> Uuid {
        let order = Arc::new(Order { id: Uuid::new_v4(), target, reason, until });
        let now = (self.now)();
        let owners = {
            let mut shared = self.shared.write();
            shared.orders.retain(|order| order.holds(now));
            shared.orders.push(order.clone());
            shared.owners.clone()
        };
        for owner in owners {
            owner.begin(order.clone()).await;
        }
        order.id
    }

    /// The bounces in force.
    pub fn bounces(&self) -> Vec<BounceView> {
        let (owners, now) = (self.owners(), (self.now)());
        let view = |order: Arc<Order>| {
            let Target::Bounce { criteria, .. } = &order.target else { return None };
            let mut bounced: BTreeMap<QueueName, u64> = BTreeMap::new();
            for (queue, count) in owners.iter().flat_map(|owner| owner.bounced(order.id)) {
                *bounced.entry(queue).or_default() += count;
            }
            let Criteria { campaign, tenant, domain, routing_domain, .. } = criteria.clone();
            Some(BounceView {
                id: order.id,
                campaign,
                tenant,
                domain,
                routing_domain,
                reason: order.reason.to_string(),
                duration: order.until.since(now),
                total_bounced: bounced.values().sum(),
                bounced,
            })
        };
        self.orders().into_iter().filter_map(view).collect()
    }

    /// The suspensions of scheduled queues in force.
    pub fn suspensions(&self) -> Vec<SuspendView> {
        let now = (self.now)();
        let view = |order: Arc<Order>| {
            let Target::Suspend { criteria } = &order.target else { return None };
            let Criteria { campaign, tenant, domain, .. } = criteria.clone();
            let (reason, duration) = (order.reason.to_string(), order.until.since(now));
            Some(SuspendView { id: order.id, campaign, tenant, domain, reason, duration })
        };
        self.orders().into_iter().filter_map(view).collect()
    }

    /// The suspensions of ready queues in force.
    pub fn ready_suspensions(&self) -> Vec<SuspendReadyView> {
        let now = (self.now)();
        let view = |order: Arc<Order>| {
            let Target::SuspendReady { queue } = &order.target else { return None };
            let (reason, duration) = (order.reason.to_string(), order.until.since(now));
            Some(SuspendReadyView { id: order.id, name: queue.clone(), reason, duration, expires: order.until })
        };
        self.orders().into_iter().filter_map(view).collect()
    }

    /// Ends a bounce before its time. False: there is none with this id.
    pub async fn cancel_bounce(&self, id: Uuid) -> bool {
        self.cancel(id, |target| matches!(target, Target::Bounce { .. })).await
    }

    /// Ends a suspension of scheduled queues before its time. False: there is none with this id.
    pub async fn cancel_suspension(&self, id: Uuid) -> bool {
        self.cancel(id, |target| matches!(target, Target::Suspend { .. })).await
    }

    /// Ends a suspension of a ready queue before its time. False: there is none with this id.
    pub async fn cancel_ready_suspension(&self, id: Uuid) -> bool {
        self.cancel(id, |target| matches!(target, Target::SuspendReady { .. })).await
    }

    async fn cancel(&self, id: Uuid, kind: impl Fn(&Target) -> bool) -> bool {
        let now = (self.now)();
        let owners = {
            let mut shared = self.shared.write();
            let meant = |order: &Arc<Order>| order.id == id && order.holds(now) && kind(&order.target);
            let Some(place) = shared.orders.iter().position(meant) else { return false };
            shared.orders.remove(place);
            shared.owners.clone()
        };
        for owner in owners {
            owner.end(id).await;
        }
        true
    }

    /// Moves messages.
    pub async fn rebind(&self, request: RebindRequest) {
        let RebindRequest { campaign, tenant, domain, routing_domain, reason, data, .. } = request;
        let rebind = Arc::new(Rebind {
            criteria: Criteria { campaign, tenant, domain, routing_domain, queue_names: Vec::new() },
            reason: reason.into(),
            data,
            ask_policy: request.trigger_rebind_event,
            silent: request.suppress_logging,
            flush: request.always_flush,
            transfer: None,
        });
        self.move_messages(rebind).await;
    }

    /// Has every owner begin a move.
    pub(crate) async fn move_messages(&self, rebind: Arc<Rebind>) {
        for owner in self.owners() {
            owner.rebind(rebind.clone()).await;
        }
    }

    /// Shows a message.
    pub async fn inspect_message(&self, id: MessageId, want_body: bool) -> Option<InspectedMessage> {
        for owner in self.owners() {
            if let Some(found) = owner.inspect_message(id, want_body).await {
                return Some(found);
            }
        }
        None
    }

    /// Shows a scheduled queue.
    pub async fn inspect_scheduled(&self, query: ScheduledQuery) -> Option<ScheduledView> {
        for owner in self.owners() {
            if let Some(found) = owner.inspect_scheduled(query.clone()).await {
                return Some(found);
            }
        }
        None
    }

    /// Shows a ready queue.
    pub async fn inspect_ready(&self, queue: ReadyQueueName, with_scheduled: bool) -> Option<ReadyView> {
        for owner in self.owners() {
            if let Some(found) = owner.inspect_ready(queue.clone(), with_scheduled).await {
                return Some(found);
            }
        }
        None
    }

    /// What keeps ready queues back: all that are, or those of these names.
    pub async fn ready_states(&self, names: Option<&[String]>) -> BTreeMap<ReadyQueueName, ReadyStates> {
        let mut all = BTreeMap::new();
        for owner in self.owners() {
            all.extend(owner.ready_states().await);
        }
        if let Some(names) = names {
            all.retain(|queue, _| names.iter().any(|name| name == queue.as_str()));
        }
        all
    }

    /// Cuts a session off. False: there is none.
    pub async fn abort(&self, queue: ReadyQueueName, session: String) -> bool {
        for owner in self.owners() {
            if owner.abort(queue.clone(), session.clone()).await {
                return true;
            }
        }
        false
    }

    /// Says how mail for a domain would leave.
    ///
    /// # Errors
    /// Why that cannot be said.
    pub async fn resolve(&self, domain: String, source: Option<String>) -> Result<PathView, NoPath> {
        for owner in self.owners() {
            if let Some(found) = owner.resolve(domain.clone(), source.clone()).await {
                return found;
            }
        }
        Err(NoPath::Starting)
    }

    fn owners(&self) -> Vec<Arc<dyn QueueOwner>> {
        self.shared.read().owners.clone()
    }

    fn orders(&self) -> Vec<Arc<Order>> {
        let now = (self.now)();
        self.shared.read().orders.iter().filter(|order| order.holds(now)).cloned().collect()
    }
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Admin")
    }
}
