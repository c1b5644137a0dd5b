use crate::access::{Access, Guard, guard};
use crate::admin::{self, Control};
use crate::auth::Authenticator;
use crate::config::HttpListenerConfig;
use crate::inject::{Inject, inject};
use crate::liveness;
use crate::machine_info::machine_info;
use crate::metrics::{Metrics, metrics_json, metrics_text};
use crate::openapi;
use crate::reply::Refusal;
use crate::rights::Rights;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{StatusCode, Uri, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use ipnet::IpNet;
use serde_json::json;
use std::sync::Arc;
use tower::ServiceBuilder;
use tower_http::compression::CompressionLayer;
use tower_http::decompression::RequestDecompressionLayer;
use waybill_admin::Admin;
use waybill_policy::PolicyHost;
use waybill_spool::{Durability, Intake};
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

    /// All routes, with authorisation, compression and an answer for unknown paths.
    pub fn router(self) -> Router {
        let inject_state =
            Arc::new(Inject::new(self.services.clone(), self.hostname.clone(), self.body_limit, self.durability));
        let services = self.services.clone();
        let online_since = self.online_since;
        let own = [
            (
                Access::Anyone,
                Router::new().route("/api/check-liveness/v1", get(check_liveness)).with_state(services.intake.clone()),
            ),
            (Access::Inject, Router::new().route("/api/inject/v1", post(inject)).with_state(inject_state)),
            (Access::Anyone, openapi::router()),
            (Access::Trusted, admin::router(self.services.clone())),
            (
                Access::Trusted,
                Router::new()
                    .route("/metrics", get(metrics_text))
                    .route("/metrics.json", get(metrics_json))
                    .with_state(services.metrics.clone())
                    .route("/api/machine-info", get(move || async move { machine_info(&services, online_since) })),
            ),
        ];
        let mut all = Router::new();
        for (access, router) in own.into_iter().chain(self.merged).filter(|(_, router)| router.has_routes()) {
            let guarded = Guard {
                access,
                trusted: self.trusted.clone(),
                authenticator: self.authenticator.clone(),
                rights: self.rights.clone(),
                clock: self.services.clock.clone(),
            };
            if access == Access::Itself {
                all = all.merge(router);
                continue;
            }
            // Not around the fallback: an unknown path is 404 for everybody.
            all = all.merge(router.route_layer(from_fn_with_state(guarded, guard)));
        }
        // From outside: only there is it known which methods a path has.
        Router::new()
            .fallback_service(all.fallback(unknown))
            .layer(from_fn(wrong_method))
            .layer(ServiceBuilder::new().layer(RequestDecompressionLayer::new()).layer(CompressionLayer::new()))
    }
}

async fn check_liveness(State(intake): State<Arc<dyn Intake>>) -> Response {
    match liveness::check(&*intake) {
        // No content type: that is how KumoMTA answers.
        Ok(()) => Response::new(Body::from("OK")),
        Err(refusal) => refusal.into_response(),
    }
}

async fn unknown(uri: Uri) -> Response {
    let path = uri.path();
    let ours = |root: &str| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '.']));
    if ["/api", "/metrics", "/rapidoc"].into_iter().any(ours) {
        return Refusal::new(StatusCode::NOT_FOUND, format!("no such path: {path}")).into_response();
    }
    // The rest of the listener speaks klev's language (contract/klev.md section 1).
    let answer = json!({ "code": "path-not-found", "message": format!("no such path: {path}") });
    (StatusCode::NOT_FOUND, axum::Json(answer)).into_response()
}

/// Puts a sentence into the 405 of a path that takes other methods.
async fn wrong_method(request: Request, next: Next) -> Response {
    let asked = format!("{} {}", request.method(), request.uri().path());
    let mut response = next.run(request).await;
    let silent = !response.headers().contains_key(header::CONTENT_TYPE);
    if response.status() == StatusCode::METHOD_NOT_ALLOWED && silent {
        let allowed = response.headers().get(header::ALLOW).and_then(|value| value.to_str().ok()).unwrap_or("another");
        *response.body_mut() = Body::from(format!("{asked}: no such method here, expected {allowed}"));
        let plain = header::HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, plain);
        response.headers_mut().remove(header::CONTENT_LENGTH);
    }
    response
}
