//! Messages, and sessions to carry them.

use crate::server::Server;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::{Value as Json, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use waybill_delivery::{
    BatchOutcome, ConnectContext, ConnectError, DeliveryProtocol, Destination, Egress, Outcome, ResolveError, Route,
    RouteQuery, Session,
};
use waybill_dns::Zones;
use waybill_policy::ScriptedPolicy;
use waybill_smtp::outbound::{PolicyFetch, SmtpClient, SmtpClientOptions};
use waybill_spool::Message;
use waybill_tls::Trust;
use waybill_trace::{ClientConn, Hub};
use waybill_types::{IdMint, QueueName, Timestamp};

pub(crate) const BODY: &str = "Subject: Hi\r\n\r\nbody\r\n";

pub(crate) fn message(recipients: &[&str]) -> Message {
    mail("sender@here.example", recipients, BODY)
}

pub(crate) fn mail(sender: &str, recipients: &[&str], body: impl Into<Bytes>) -> Message {
    let id = IdMint::random().message(Timestamp::from_secs(1_700_000_000));
    let recipients = recipients.iter().map(|recipient| recipient.parse().unwrap()).collect();
    Message::new(id, sender.parse().unwrap(), recipients, body.into())
}

/// The way to a server, in the making.
#[derive(Clone)]
pub(crate) struct Way {
    pub(crate) queue: String,
    pub(crate) section: Json,
    pub(crate) path: Json,
    pub(crate) source: Json,
    pub(crate) zones: Zones,
    pub(crate) trust: Trust,
    /// The MTA-STS policies that domains publish.
    pub(crate) policies: HashMap<String, String>,
    pub(crate) traces: Hub<ClientConn>,
    pub(crate) policy: ScriptedPolicy,
    /// How long a session may stand still.
    pub(crate) watchdog: Duration,
}

impl Way {
    /// Straight to one server.
    pub(crate) fn to(server: &Server) -> Way {
        Way::of(json!({"mx_list": [{"name": "mx.test", "addr": server.address.to_string()}]}))
    }

    /// To the servers, in this order.
    pub(crate) fn to_all(servers: &[&Server]) -> Way {
        let host = |(index, server): (usize, &&Server)| json!({"name": format!("mx{}.test", index + 1), "addr": server.address.to_string()});
        Way::of(json!({"mx_list": servers.iter().enumerate().map(host).collect::<Vec<_>>()}))
    }

    pub(crate) fn of(section: Json) -> Way {
        Way {
            queue: "there.example".into(),
            section,
            path: json!({"prohibited_hosts": []}),
            source: json!({"name": "unspecified"}),
            zones: Zones::default(),
            trust: Trust::system(),
            policies: HashMap::new(),
            traces: Hub::default(),
            policy: ScriptedPolicy::new(),
            watchdog: Duration::from_secs(600),
        }
    }

    /// With this in the path's configuration.
    pub(crate) fn path(mut self, fields: Json) -> Way {
        let path = self.path.as_object_mut().unwrap();
        path.extend(fields.as_object().unwrap().clone());
        self
    }

    fn client(&self) -> SmtpClient {
        SmtpClient::new(SmtpClientOptions {
            resolver: Arc::new(self.zones.clone()),
            trust: self.trust.clone(),
            policies: Arc::new(Policies(self.policies.clone())),
            hostname: "us.example".into(),
            traces: self.traces.clone(),
            now: Arc::new(|| waybill_types::Timestamp::EPOCH),
            policy: Arc::new(self.policy.clone()),
        })
    }

    pub(crate) async fn destination(&self) -> Result<Destination, ResolveError> {
        self.client().resolve(&QueueName::new(self.queue.as_str()), &self.section).await
    }

    pub(crate) async fn route(&self) -> Arc<dyn Route> {
        let destination = self.destination().await.unwrap();
        let queue = QueueName::new(self.queue.as_str());
        let egress = Egress {
            source: serde_json::from_value(self.source.clone()).unwrap(),
            path: serde_json::from_value(self.path.clone()).unwrap(),
            ..Egress::default()
        };
        let query = RouteQuery { queue: &queue, section: &self.section, destination: &destination, egress: &egress };
        self.client().route(&query).unwrap()
    }

    pub(crate) async fn open(&self) -> Result<Box<dyn Session>, ConnectError> {
        let context = ConnectContext {
            representative: QueueName::new(self.queue.as_str()),
            session_id: "s1".into(),
            watchdog: self.watchdog,
        };
        self.route().await.connect(context).await
    }

    pub(crate) async fn session(&self) -> Box<dyn Session> {
        self.open().await.unwrap()
    }

    /// Why there is no session.
    pub(crate) async fn refused(&self) -> String {
        self.open().await.err().expect("no session").response.to_string()
    }

    /// One message in a session of its own.
    pub(crate) async fn send(&self, message: &Message) -> BatchOutcome {
        let mut session = self.session().await;
        let outcome = deliver(&mut *session, message).await;
        session.close().await;
        outcome
    }
}

struct Policies(HashMap<String, String>);

impl PolicyFetch for Policies {
    fn fetch<'a>(&'a self, domain: &'a str) -> BoxFuture<'a, Result<Bytes, String>> {
        let found = self.0.get(domain).cloned().map(Bytes::from);
        async move { found.ok_or_else(|| "status 404".to_owned()) }.boxed()
    }
}

pub(crate) async fn deliver(session: &mut dyn Session, message: &Message) -> BatchOutcome {
    let outcome = session.deliver(std::slice::from_ref(message)).await;
    assert_eq!(outcome.outcomes.len(), 1);
    outcome
}

/// `delivered 250 2.0.0 OK`, with the command that it answers.
pub(crate) fn shown(outcome: &Outcome) -> String {
    let kind = match outcome {
        Outcome::Delivered(_) => "delivered",
        Outcome::Transient(..) => "transient",
        Outcome::Permanent(_) => "permanent",
        Outcome::Divided(parts) => return parts.iter().map(shown).collect::<Vec<_>>().join(" | "),
    };
    let response = outcome.response();
    let command = response.command.as_deref().unwrap_or("-").trim_end();
    format!("{kind} {response} [{command}]")
}
