//! An authorizer over a store in memory, and requests as they come out of a connection.

use http::Request;
use http::request::Parts;
use std::sync::Arc;
use waybill_authorizer::{
    Acl, Action, Authorizer, Bearer, Caller, Connection, Grant, Need, Peer, Subject, Token, TokenStore,
};
use waybill_runtime::{Clock, ManualClock, Supervisor};
use waybill_spool::{MemoryStore, Store};
use waybill_types::Timestamp;

pub(crate) struct World {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: ManualClock,
    pub(crate) tasks: Supervisor,
    pub(crate) authorizer: Authorizer,
}

impl World {
    pub(crate) async fn new() -> Self {
        World::over(Arc::new(MemoryStore::new())).await
    }

    pub(crate) async fn over(store: Arc<dyn Store>) -> Self {
        let world = World::closed(store);
        world.tokens().open(world.store.clone()).await.unwrap();
        world
    }

    /// Before the spool is open.
    pub(crate) fn closed(store: Arc<dyn Store>) -> Self {
        let clock = ManualClock::at(Timestamp::parse_rfc3339("2026-11-26T08:00:00Z").unwrap());
        let tasks = Supervisor::current();
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let authorizer = Authorizer::new(TokenStore::new(shared.clone(), tasks.clone()), shared);
        World { store, clock, tasks, authorizer }
    }

    /// A daemon that starts on what this one left.
    pub(crate) async fn restarted(&self) -> Self {
        World::over(self.store.clone()).await
    }

    pub(crate) fn tokens(&self) -> &TokenStore {
        self.authorizer.tokens()
    }

    /// The operator, at the admin socket.
    pub(crate) fn operator(&self) -> Caller {
        self.authorizer.authorize(&asked(Peer::Admin, &[]), Need::new(Subject::Tokens, Action::Create)).unwrap()
    }

    /// A token of the operator's making.
    pub(crate) async fn token(&self, acl: &[&str], tenant: Option<&str>) -> (Token, Bearer) {
        let acl = Acl::parse(acl).unwrap();
        let tenant = tenant.map(str::to_owned);
        self.tokens().create(&self.operator(), "made by the operator".into(), Some(acl), tenant).await.unwrap()
    }

    /// Whoever shows this bearer, for some request that needs this.
    pub(crate) fn bearer_of(&self, bearer: &Bearer, need: Need<'_>) -> Caller {
        let shown = format!("Bearer {}", bearer.reveal());
        self.authorizer.authorize(&asked(stranger(), &[("authorization", &shown)]), need).unwrap()
    }
}

pub(crate) const MAKE_TOKENS: Need<'static> = Need::new(Subject::Tokens, Action::Create);

pub(crate) fn stranger() -> Peer {
    Peer::ip([192, 0, 2, 9].into())
}

pub(crate) fn loopback() -> Peer {
    Peer::ip([127, 0, 0, 1].into())
}

/// The head of a request, from this peer and with these headers.
pub(crate) fn asked(peer: Peer, headers: &[(&str, &str)]) -> Parts {
    let request = headers.iter().fold(Request::get("/logs"), |request, (name, value)| request.header(*name, *value));
    let mut head = request.body(()).unwrap().into_parts().0;
    head.extensions.insert(Connection { peer, via: "127.0.0.1:8000".into() });
    head
}

pub(crate) fn grant(acl: &[&str], tenant: Option<&str>) -> Grant {
    Grant::parse(acl, tenant).unwrap()
}
