//! The HTTP side of Waybill: listeners, authorisation, injection, liveness and metrics.
//!
//! [`Api`] puts the routes of contract/kumomta.md section 7 together, with whatever routers other crates hand over
//! ([`Api::merge`]); [`run`] answers them on a socket that somebody else has bound. Everything that the routes need
//! comes in through [`Services`]: this crate binds no port (but for the admin socket, on request), reads no clock, has
//! no globals and knows neither the queue nor Lua.
//!
//! ```
//! use std::sync::Arc;
//! use waybill_http_api::{Access, Api, HttpListenerConfig, Metrics, Services};
//! # fn build(intake: Arc<dyn waybill_spool::Intake>, policy: Arc<dyn waybill_policy::PolicyHost>,
//! # control: Arc<dyn waybill_http_api::Control>, authorizer: waybill_authorizer::Authorizer)
//! # -> Result<axum::Router, Box<dyn std::error::Error>> {
//! let services = Services {
//!     intake,
//!     policy,
//!     mint: Arc::new(waybill_types::IdMint::random()),
//!     clock: Arc::new(|| waybill_types::Timestamp::EPOCH),
//!     hostname: "mta.example".into(),
//!     node_id: "1c9695c6-71e7-4e48-b54f-5531e6875160".into(),
//!     metrics: Metrics::new()?,
//!     admin: waybill_admin::Admin::new(Arc::new(|| waybill_types::Timestamp::EPOCH)),
//!     control,
//!     traces: waybill_trace::Tracers::default(),
//!     authorizer,
//! };
//! let config: HttpListenerConfig = serde_json::from_str(r#"{"listen":"127.0.0.1:8000"}"#)?;
//! config.check()?;
//! let hooks = axum::Router::new().route("/api/hooks/v1", axum::routing::get(|| async { "[]" }));
//! Ok(Api::new(services).merge(Access::Control, hooks).listener(&config).router())
//! # }
//! ```

mod access;
mod acl;
mod admin;
mod admin_socket;
mod api;
mod auth;
mod body;
mod caches;
mod config;
mod credentials;
mod detached;
mod door;
mod inject;
mod line;
mod liveness;
mod machine_info;
mod metrics;
mod openapi;
mod queries;
mod reply;
mod rights;
mod routes;
mod serve;
mod tls;
mod tokens;
mod voice;
mod xfer;

pub use access::Access;
pub use admin::{CompactError, Control};
pub use admin_socket::{AdminSocketError, bind_admin_socket};
pub use api::{Api, Clock, Services};
pub use auth::{AuthInfo, Identity};
pub use caches::{CacheInfo, caches};
pub use config::HttpListenerConfig;
pub use inject::{InjectionGenerator, ScriptInjection, ScriptRequest};
pub use metrics::{
    DiskMetrics, EgressMetrics, EventHookMetrics, HistogramTotals, HookMetrics, LuaMetrics, MailMetrics, MemoryMetrics,
    MetricInfo, Metrics, MetricsError, QueueMetrics, ScrapeCollector,
};
pub use openapi::Description;
pub use serve::{Listener, run};
// Every request carries them; a shell that cannot name this crate asks for them there.
pub use waybill_authorizer::{Connection, Peer};
