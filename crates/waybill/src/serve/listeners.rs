use super::daemon::Common;
use super::late::LateSpools;
use super::paced::Paced;
use anyhow::{Context, Result};
use futures::FutureExt;
use futures::future::BoxFuture;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;
use waybill_admin::Admin;
use waybill_authorizer::{Authorizer, Decisions};
use waybill_http_api::{Api, CompactError, Control, HttpListenerConfig, Services, bind_admin_socket};
use waybill_log_record::Capture;
use waybill_lua::Engine;
use waybill_runtime::{Stop, Supervisor, say};
use waybill_smtp::inbound::{self, ListenerConfig};
use waybill_spool::Durability;

/// How long a session that is in the middle of a message may take once the daemon stops.
const SMTP_GRACE: Duration = Duration::from_secs(30);

/// Says on stderr where we listen. Tools read these words: they are the last four of the line.
fn announce(protocol: &str, listener: &TcpListener) {
    match listener.local_addr() {
        Ok(address) => say(format_args!("{protocol} listener on {address}")),
        Err(error) => say(format_args!("{protocol} listener on unknown address: {error}")),
    }
}

/// Starts an SMTP listener.
pub(crate) fn smtp(
    common: &Common,
    supervisor: &Supervisor,
    config: ListenerConfig,
    listener: TcpListener,
    durability: Durability,
    told: (Arc<Capture>, Decisions),
    mut stop: Stop,
) -> Result<Arc<inbound::Shared>> {
    announce("smtp", &listener);
    let clock = common.clock.clone();
    let mut shared = inbound::Shared::new(
        config,
        common.hostname.clone(),
        common.policy.clone(),
        common.late.clone(),
        Arc::new(move || clock.now()),
    );
    shared.durability = durability;
    let (capture, decisions) = told;
    shared.capture = Some(capture);
    shared.decisions = decisions;
    shared.mint = common.mint.clone();
    shared.nodeid = common.nodeid.clone();
    shared.shutdown_grace = SMTP_GRACE;
    shared.traces = common.traces.server.clone();
    let shared = Arc::new(shared);
    let listener = tokio::net::TcpListener::from_std(listener).context("take over the SMTP listener")?;
    let serving = shared.clone();
    supervisor.spawn("smtp listener", async move {
        inbound::run(listener, serving, async move { stop.requested().await }).await;
    });
    Ok(shared)
}

/// Starts an HTTP listener.
pub(crate) fn http(
    api: &Api,
    common: &Common,
    supervisor: &Supervisor,
    config: &HttpListenerConfig,
    listener: TcpListener,
    mut stop: Stop,
) -> Result<()> {
    let tls = config.tls();
    if config.has_idle_certificate() {
        tracing::warn!(
            listen = config.listen,
            "tls_certificate and tls_private_key have no effect without use_tls = true"
        );
    }
    announce(if tls.is_some() { "https" } else { "http" }, &listener);
    let listener = tokio::net::TcpListener::from_std(listener).context("take over the HTTP listener")?;
    let mut listener = waybill_http_api::Listener::from(listener).counted(&common.metrics);
    if let Some(params) = tls {
        let host = config.hostname.as_deref().map_or_else(|| common.hostname.clone(), Into::into);
        listener = listener.secured(params, host);
    }
    let router = api.clone().listener(config).router();
    supervisor.spawn("http listener", async move {
        waybill_http_api::run(listener, router, async move { stop.requested().await }).await;
    });
    Ok(())
}

/// Starts the admin socket in the state directory.
pub(crate) fn admin(api: &Api, common: &Common, supervisor: &Supervisor, mut stop: Stop) -> Result<()> {
    let path = common.state.join(crate::home::ADMIN_SOCKET);
    let listener = bind_admin_socket(&path)?;
    let router = api.clone().router();
    supervisor.spawn("admin socket", async move {
        waybill_http_api::run(listener, router, async move { stop.requested().await }).await;
        let _ = std::fs::remove_file(path);
    });
    Ok(())
}

/// What the routes are made of.
pub(crate) fn services(
    common: &Common,
    engine: &Engine,
    orders: Admin,
    spools: Arc<LateSpools>,
    tasks: Vec<(&'static str, Supervisor)>,
    authorizer: Authorizer,
) -> Services {
    let clock = common.clock.clone();
    Services {
        intake: Arc::new(Paced::new(common.late.clone(), engine.injection_pace())),
        policy: common.policy.clone(),
        mint: common.mint.clone(),
        clock: Arc::new(move || clock.now()),
        hostname: common.hostname.clone(),
        node_id: common.nodeid.clone(),
        metrics: common.metrics.clone(),
        admin: orders,
        control: Arc::new(Controlled { engine: engine.clone(), spools, tasks }),
        traces: common.traces.clone(),
        authorizer,
    }
}

/// What of the daemon itself can be changed while it runs.
struct Controlled {
    engine: Engine,
    spools: Arc<LateSpools>,
    /// By the stage of the stop in which they end.
    tasks: Vec<(&'static str, Supervisor)>,
}

impl Control for Controlled {
    fn set_log_filter(&self, filter: &str) -> Result<(), String> {
        crate::diag::set_filter(filter)
    }

    fn bump_epoch(&self) -> BoxFuture<'_, Result<(), String>> {
        async move { self.engine.bump_epoch().await.map(|_| ()).map_err(|error| error.to_string()) }.boxed()
    }

    fn tasks(&self) -> Vec<(&'static str, Vec<String>)> {
        self.tasks.iter().map(|(stage, tasks)| (*stage, tasks.running())).collect()
    }

    fn compact_spool<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), CompactError>> {
        self.spools.compact(name).boxed()
    }
}
