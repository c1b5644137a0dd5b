use super::demand::{Dane, Demands};
use super::destination;
use super::session::SmtpSession;
use super::settings::{Settings, without_effect};
use super::sts::{Policies, PolicyFetch};
use super::told::{Now, Tap};
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use waybill_delivery::{
    BatchPolicy, ConfigError, ConnectContext, ConnectError, DeliveryProtocol, Destination, ResolveError, Route,
    RouteQuery, Session,
};
use waybill_dns::Resolver;
use waybill_policy::PolicyHost;
use waybill_queue_core::config::{EgressPathConfig, SmtpSection};
use waybill_tls::{Connectors, Trust};
use waybill_trace::{ClientConn, Hub, Payload};
use waybill_types::{QueueName, ReadyQueueName, Timestamp};

/// What the SMTP client needs.
#[derive(Clone)]
pub struct SmtpClientOptions {
    /// Who is asked for hosts and addresses.
    pub resolver: Arc<dyn Resolver>,
    /// Which servers' certificates are believed.
    pub trust: Trust,
    /// Fetches the MTA-STS policies of domains.
    pub policies: Arc<dyn PolicyFetch>,
    /// What we are called where policy says nothing.
    pub hostname: Arc<str>,
    /// Who listens to what is said.
    pub traces: Hub<ClientConn>,
    /// Tells the time, for those who listen.
    pub now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// Has a word about what servers answer.
    pub policy: Arc<dyn PolicyHost>,
}

/// Delivers by SMTP: the `smtp` section of a queue's `protocol`, and every queue that names no protocol.
#[derive(Clone)]
pub struct SmtpClient {
    resolver: Arc<dyn Resolver>,
    connectors: Arc<Connectors>,
    policies: Arc<Policies>,
    hostname: Arc<str>,
    traces: Hub<ClientConn>,
    now: Now,
    policy: Arc<dyn PolicyHost>,
    /// Options that an operator was told of.
    warned: Arc<Mutex<BTreeSet<&'static str>>>,
}

impl SmtpClient {
    /// With these surroundings.
    pub fn new(options: SmtpClientOptions) -> Self {
        let SmtpClientOptions { resolver, trust, policies, hostname, traces, now, policy } = options;
        let connectors = Arc::new(Connectors::new(trust));
        let policies = Arc::new(Policies::new(resolver.clone(), policies, now.clone()));
        SmtpClient { resolver, connectors, policies, hostname, traces, now, policy, warned: Arc::default() }
    }
}

impl SmtpClient {
    /// Once for each option: paths are asked for again and again.
    fn warn_of_what_has_no_effect(&self, path: &EgressPathConfig) {
        for option in without_effect(path) {
            if self.warned.lock().insert(option) {
                tracing::warn!(
                    option,
                    "make_egress_path: {option} has no effect: TLS is rustls here; see rustls_cipher_suites"
                );
            }
        }
    }
}

impl SmtpClient {
    fn demands(&self, section: &SmtpSection, path: &EgressPathConfig) -> Demands {
        let of_domain = section.mx_list.is_empty();
        let dane = match path.enable_dane {
            true if of_domain => Dane::Mx,
            true if section.treat_mx_list_as_secure => Dane::List,
            _ => Dane::Off,
        };
        let policies = (of_domain && path.enable_mta_sts).then(|| self.policies.clone());
        Demands { resolver: self.resolver.clone(), policies, dane }
    }
}

/// A queue without a word about its protocol has no section.
fn section_of(section: &Value) -> Result<SmtpSection, ConfigError> {
    if section.is_null() {
        return Ok(SmtpSection::default());
    }
    SmtpSection::deserialize(section).map_err(|error| ConfigError(format!("protocol.smtp: {error}").into()))
}

impl DeliveryProtocol for SmtpClient {
    fn name(&self) -> &'static str {
        "smtp"
    }

    fn resolve<'a>(
        &'a self,
        queue: &'a QueueName,
        section: &'a Value,
    ) -> BoxFuture<'a, Result<Destination, ResolveError>> {
        async move { destination::resolve(&*self.resolver, queue, &section_of(section)?).await }.boxed()
    }

    fn route(&self, query: &RouteQuery<'_>) -> Result<Arc<dyn Route>, ConfigError> {
        let section = section_of(query.section)?;
        let settings = Settings::new(query.egress, &self.hostname)?;
        self.warn_of_what_has_no_effect(&query.egress.path);
        let (resolver, connectors) = (self.resolver.clone(), self.connectors.clone());
        let demands = self.demands(&section, &settings.path);
        let (destination, policy) = (query.destination.clone(), self.policy.clone());
        let way = Arc::new(Way { resolver, connectors, demands, settings, destination, policy });
        let (ready_queue, source) = (query.ready_queue("smtp_client"), query.source().into());
        let pool = query.egress.pool.as_str().into();
        let (traces, now) = (self.traces.clone(), self.now.clone());
        Ok(Arc::new(SmtpRoute { ready_queue, way, pool, source, traces, now }))
    }
}

/// What the sessions of a route go by.
pub(super) struct Way {
    pub(super) resolver: Arc<dyn Resolver>,
    pub(super) connectors: Arc<Connectors>,
    pub(super) demands: Demands,
    pub(super) settings: Settings,
    pub(super) destination: Destination,
    pub(super) policy: Arc<dyn PolicyHost>,
}

struct SmtpRoute {
    ready_queue: ReadyQueueName,
    way: Arc<Way>,
    pool: Arc<str>,
    source: Arc<str>,
    traces: Hub<ClientConn>,
    now: Now,
}

impl Route for SmtpRoute {
    fn ready_queue(&self) -> &ReadyQueueName {
        &self.ready_queue
    }

    fn batch(&self) -> BatchPolicy {
        // One at a time: what became of a message is known, and told, before the next one is begun.
        BatchPolicy::single()
    }

    fn protocol(&self) -> &'static str {
        "ESMTP"
    }

    fn watchdog(&self) -> Duration {
        self.way.settings.watchdog()
    }

    fn connect(&self, context: ConnectContext) -> BoxFuture<'_, Result<Box<dyn Session>, ConnectError>> {
        let way = self.way.clone();
        let (traces, now) = (self.traces.clone(), self.now.clone());
        let egress = [&*self.pool, &*self.source];
        let tap = Tap::new(traces, now, &context, egress, self.ready_queue.as_str());
        async move {
            tap.tell(|| Payload::BeginSession);
            let opened = Box::pin(SmtpSession::open(way, context, tap.clone())).await;
            let session = opened.inspect_err(|error| tap.trouble(&error.response))?;
            Ok(Box::new(session) as Box<dyn Session>)
        }
        .boxed()
    }
}
