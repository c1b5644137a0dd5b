use crate::access::{Access, Guard, guard};
use crate::admin::{self, Control};
use crate::auth::Authenticator;
use crate::config::HttpListenerConfig;
use crate::inject::{Inject, inject};
use crate::liveness;
use crate::machine_info::machine_info;
use crate::metrics::{Metrics, metrics_json, metrics_text};
use crate::openapi::{self, Description};
use crate::queries::{Known, known};
use crate::rights::Rights;
use crate::routes::{Routes, Served};
use crate::tokens;
use crate::voice::{unknown, wrong_method};
use crate::xfer;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use ipnet::IpNet;
use std::sync::Arc;
use tower::ServiceBuilder;
use tower_http::compression::CompressionLayer;
use tower_http::decompression::RequestDecompressionLayer;
use waybill_admin::Admin;
use waybill_authorizer::Authorizer;
use waybill_policy::PolicyHost;
use waybill_spool::{Durability, Intake};
use waybill_trace::Tracers;
use waybill_types::{IdMint, Timestamp};

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What the routes are made of.
#[derive(Clone)]
pub struct Services {
    /// Takes the mail.
    pub intake: Arc<dyn Intake>,
    /// Is asked about credentials and about each generated message.
    pub policy: Arc<dyn PolicyHost>,
    /// Mints message ids.
    pub mint: Arc<IdMint>,
    /// Tells the time.
    pub clock: Clock,
    /// The system's name; a listener may have its own.
    pub hostname: Arc<str>,
    /// The node's id, for records.
    pub node_id: Arc<str>,
    /// What `/metrics` shows.
    pub metrics: Metrics,
    /// The orders of operators, and who obeys them.
    pub admin: Admin,
    /// The daemon itself.
    pub control: Arc<dyn Control>,
    /// Conversations that can be listened to.
    pub traces: Tracers,
    /// Who may do what with that which KumoMTA has not; keeps the tokens.
    pub authorizer: Authorizer,
}

/// Puts a router together. Cheap to clone: make one, clone it for each listener and for the admin socket.
#[derive(Clone)]
pub struct Api {
    services: Services,
    hostname: Arc<str>,
    trusted: Arc<[IpNet]>,
    body_limit: usize,
    durability: Durability,
    online_since: Timestamp,
    authenticator: Arc<Authenticator>,
    rights: Arc<Rights>,
    merged: Vec<(Access, Router)>,
    description: Arc<Description>,
}

impl Api {
    /// With a listener's defaults; mail is synced before it is acknowledged.
    pub fn new(services: Services) -> Self {
        let defaults = HttpListenerConfig::default();
        Api {
            hostname: services.hostname.clone(),
            trusted: defaults.trusted_hosts.into(),
            body_limit: defaults.request_body_limit,
            durability: Durability::Synced,
            online_since: (services.clock)(),
            authenticator: Arc::new(Authenticator::new(services.clone())),
            rights: Arc::new(Rights::new(services.policy.clone())),
            merged: Vec::new(),
            description: Arc::new(Description::own()),
            services,
        }
    }

    /// Takes host name, trusted hosts and body limit from a listener's configuration.
    #[must_use]
    pub fn listener(mut self, config: &HttpListenerConfig) -> Self {
        self.hostname = config.hostname.as_deref().map_or_else(|| self.services.hostname.clone(), Into::into);
        self.trusted = config.trusted_hosts.as_slice().into();
        self.body_limit = config.request_body_limit;
        self
    }

    /// How far an injected message must have come before it is acknowledged (`flush` of `kumo.define_spool`).
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Adds the routes of another crate, open to whom `access` says. Handlers find `Extension<Arc<AuthInfo>>` and
    /// `Extension<Connection>`; body limits are the router's own business. Its fallback, if it has one, counts only
    /// within a nest.
    ///
    /// # Panics
    /// In [`Api::router`], when two routers have the same route: that is a mistake in the program.
    #[must_use]
    pub fn merge(mut self, access: Access, router: Router) -> Self {
        self.merged.push((access, router));
        self
    }

    /// What `/api-docs/openapi.json` says: [`Description::own`] with what other crates say of what was merged.
    #[must_use]
    pub fn described(mut self, description: Description) -> Self {
        self.description = Arc::new(description);
        self
    }

    /// Methods and paths of this crate as they are served, spelled as OpenAPI spells them: `get`, `/token/{id}`.
    pub fn served(&self) -> Vec<Served> {
        self.own().into_iter().flat_map(|(_, routes)| routes.served).collect()
    }

    /// All routes, with authorisation, compression and an answer for unknown paths.
    pub fn router(self) -> Router {
        let known_names = Arc::new(Known::of(&self.description));
        let own = self.own().into_iter().map(|(access, routes)| (access, routes.router));
        let mut all = Router::new();
        for (access, mut router) in own.chain(self.merged).filter(|(_, router)| router.has_routes()) {
            // The others are open to whoever puts something into a query for a cache or a browser.
            if access != Access::Anyone {
                router = router.route_layer(from_fn_with_state(known_names.clone(), known));
            }
            // Not around the fallback: an unknown path is 404 for everybody. A router that asks by itself has no guard: its
            // requests may wait long, and would each hold one.
            if access != Access::Own {
                let guarded = Guard {
                    access,
                    trusted: self.trusted.clone(),
                    authenticator: self.authenticator.clone(),
                    authorizer: self.services.authorizer.clone(),
                    rights: self.rights.clone(),
                    clock: self.services.clock.clone(),
                };
                router = router.route_layer(from_fn_with_state(guarded, guard));
            }
            all = all.merge(router);
        }
        // From outside: only there is it known which methods a path has.
        Router::new()
            .fallback_service(all.fallback(unknown))
            .layer(from_fn(wrong_method))
            .layer(ServiceBuilder::new().layer(RequestDecompressionLayer::new()).layer(CompressionLayer::new()))
    }

    /// The routes of this crate.
    fn own(&self) -> Vec<(Access, Routes)> {
        let inject_state =
            Arc::new(Inject::new(self.services.clone(), self.hostname.clone(), self.body_limit, self.durability));
        let services = self.services.clone();
        let online_since = self.online_since;
        let machine = move || async move { machine_info(&services, online_since) };
        vec![
            (
                Access::Anyone,
                Routes::new()
                    .get("/api/check-liveness/v1", check_liveness)
                    .with_state(self.services.intake.clone())
                    .merge(openapi::routes(&self.description)),
            ),
            (Access::Inject, Routes::new().post("/api/inject/v1", inject).with_state(inject_state)),
            (Access::Trusted, admin::routes(self.services.clone())),
            (Access::Own, tokens::routes(self.services.authorizer.clone())),
            (Access::Trusted, xfer::routes(self.services.clone())),
            (
                Access::Trusted,
                Routes::new()
                    .get("/metrics", metrics_text)
                    .get("/metrics.json", metrics_json)
                    .with_state(self.services.metrics.clone())
                    .merge(Routes::new().get("/api/machine-info", machine)),
            ),
        ]
    }
}

async fn check_liveness(State(intake): State<Arc<dyn Intake>>) -> Response {
    match liveness::check(&*intake) {
        // No content type: that is how KumoMTA answers.
        Ok(()) => Response::new(Body::from("OK")),
        Err(refusal) => refusal.into_response(),
    }
}
