//! A session: connections to the hosts of one site, one at a time, and the messages that they carry.

use super::connection::Connection;
use super::delivery::{After, Carriage};
use super::demand::Demand;
use super::failure::{Trouble, lost, no_connection};
use super::plan::{Candidate, plan};
use super::protocol::Way;
use super::rewrite::rewritten;
use super::told::Tap;
use super::transaction::Lost;
use futures::FutureExt;
use futures::future::BoxFuture;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use waybill_delivery::{BatchOutcome, ConnectContext, ConnectError, Fate, Outcome, Peer, Session, SessionFacts};
use waybill_queue_core::config::Reconnect;
use waybill_spool::Message;
use waybill_types::{Response, format_duration};

/// A server that takes a message more slowly than this, in bytes a second, is not taking it.
const SLOWEST: u64 = 16 * 1024;
/// So many failed addresses are told of; the rest is counted.
const TOLD: usize = 4;

/// Carries messages to the hosts of one site.
pub(super) struct SmtpSession {
    way: Arc<Way>,
    context: ConnectContext,
    /// What the domain asks for that the plan was made for.
    demand: Demand,
    /// Addresses that were not tried yet.
    plan: VecDeque<Candidate>,
    connection: Option<Connection>,
    /// Where the last connection went: records tell of it also after it was lost.
    last: Option<(Candidate, Peer, SessionFacts)>,
    spoke: bool,
    tap: Tap,
}

impl SmtpSession {
    /// Makes a plan, and connects to the first address that answers as it should.
    pub(super) async fn open(way: Arc<Way>, context: ConnectContext, tap: Tap) -> Result<Self, ConnectError> {
        let limit = context.watchdog;
        let opening = async {
            let demand = way.demands.of(&context.representative).await?;
            let plan = plan(&*way.resolver, &way.destination, &way.settings, &demand).await?;
            let (connection, last, spoke) = (None, None, false);
            let mut session = SmtpSession { way, context, demand, plan, connection, last, spoke, tap };
            session.connect_next().await?;
            Ok(session)
        };
        match timeout(limit, opening).await {
            Ok(opened) => opened,
            Err(_) => Err(no_connection(format_args!("it took longer than {}", format_duration(limit)))),
        }
    }

    /// Connects to the next address of the plan that answers as it should.
    async fn connect_next(&mut self) -> Result<(), ConnectError> {
        let mut told = Vec::new();
        let mut untold = 0_usize;
        let mut source = None;
        while let Some(candidate) = self.plan.pop_front() {
            match Connection::open(&candidate, &self.way.settings, &self.way.connectors, &self.tap).await {
                Ok(connection) => {
                    self.demand.note(&candidate, connection.security);
                    self.last = Some((candidate, connection.peer(), connection.facts.clone()));
                    self.connection = Some(connection);
                    return Ok(());
                }
                Err(refusal) => {
                    let session = &*self.context.session_id;
                    tracing::debug!(session, %candidate, "no connection: {refusal}");
                    source = self.way.settings.troubled_source(&refusal);
                    if refusal.is_ours_alone() {
                        self.plan.clear();
                    }
                    self.tap.trouble(format_args!("no connection: {refusal}"));
                    match told.len() < TOLD {
                        true => told.push(format!("{candidate}: {refusal}")),
                        false => untold += 1,
                    }
                }
            }
        }
        let mut why = if told.is_empty() { "there are no more of them".to_owned() } else { told.join("; ") };
        if untold > 0 {
            why = format!("{why}; and {untold} more");
        }
        Err(no_connection(why).of_source(source))
    }

    /// The address of the connection that was lost is tried before all others.
    fn same_again(&mut self) {
        if let Some((candidate, ..)) = &self.last {
            self.plan.push_front(candidate.clone());
        }
    }

    async fn carry(&mut self, message: &Message) -> (Outcome, Fate) {
        let Some(mut carriage) = Carriage::of(message) else {
            let response = Response::new(451, "4.3.0 KumoMTA internal: the body of the message is not in memory");
            return (Outcome::Transient(response, None), Fate::Keep);
        };
        let limit = self.patience(&carriage);
        let carrying = async {
            match self.demand_of(message).await {
                Ok(demand) => self.carry_on(&mut carriage, &demand).await,
                Err(error) => {
                    self.spoke = false;
                    (ended(error.response), Fate::Keep)
                }
            }
        };
        match timeout(limit, carrying).await {
            Ok((rest, fate)) => (carriage.finish(|| rest), fate),
            Err(_) => {
                // Nobody knows where the server is.
                self.connection = None;
                let why = format!("it took longer than {} in all", format_duration(limit));
                let trouble = Trouble::new(super::failure::Step::Content, why);
                let host = self.host();
                (carriage.finish(|| lost(&host, &trouble)), Fate::Broken)
            }
        }
    }

    /// Over this connection or, where the message has not been touched yet, another one. Gives the outcome of those who
    /// have none.
    async fn carry_on(&mut self, carriage: &mut Carriage, demand: &Demand) -> (Outcome, Fate) {
        let nobody = || Outcome::Transient(Response::plain(400, ""), None);
        let mut again = true;
        loop {
            if self.demand != *demand
                && let Err(error) = self.suit(demand).await
            {
                self.spoke = false;
                return (ended(error.response), Fate::Close);
            }
            let Some(connection) = &mut self.connection else {
                if let Err(error) = self.connect_next().await {
                    self.spoke = false;
                    return (Outcome::Transient(error.response, None), Fate::Broken);
                }
                continue;
            };
            let used = connection.transactions > 0;
            let Lost { trouble, unheard, sent } = match carriage.carry(connection, &self.way.settings).await {
                After::Usable => return (nobody(), Fate::Keep),
                After::Goodbye => return (nobody(), Fate::Close),
                After::Lost(lost) => lost,
            };
            let host = self.host();
            self.connection = None;
            tracing::debug!(session = &*self.context.session_id, %host, "connection lost: {trouble}");
            self.tap.trouble(format_args!("connection lost: {trouble}"));
            if used && unheard && again && carriage.is_whole() {
                // It was closed while it had nothing to do: no fault of this message.
                again = false;
                self.same_again();
                continue;
            }
            let path = &self.way.settings.path;
            if path.try_next_host_on_transport_error && !sent && carriage.is_whole() && !self.plan.is_empty() {
                continue;
            }
            let fate = match path.reconnect_strategy {
                Reconnect::TerminateSession => Fate::Broken,
                Reconnect::ConnectNextHost if self.plan.is_empty() => Fate::Broken,
                Reconnect::ConnectNextHost => Fate::Keep,
                Reconnect::ReconnectSameHost => {
                    self.same_again();
                    Fate::Keep
                }
            };
            return (lost(&host, &trouble), fate);
        }
    }

    /// What the domain of a message asks for.
    async fn demand_of(&mut self, message: &Message) -> Result<Demand, ConnectError> {
        match message.queue_name() {
            Ok(queue) => self.way.demands.of(&queue).await,
            Err(_) => self.way.demands.of(&self.context.representative).await,
        }
    }

    /// Makes sure that mail of a domain that asks for something else than the one before goes over a connection that will
    /// do: this one, or one of a new plan.
    async fn suit(&mut self, demand: &Demand) -> Result<(), ConnectError> {
        if let Some(connection) = self.connection.take_if(|open| !demand.is_met_by(&open.candidate, open.security)) {
            connection.quit().await;
        }
        if self.connection.is_none() {
            self.plan = plan(&*self.way.resolver, &self.way.destination, &self.way.settings, demand).await?;
            self.demand = demand.clone();
        }
        Ok(())
    }

    fn host(&self) -> String {
        self.last.as_ref().map(|(candidate, ..)| candidate.to_string()).unwrap_or_default()
    }

    /// The longest that one message may take, whatever the server does in between: a new connection, all the waits of
    /// its transactions, and the time for its bytes.
    fn patience(&self, carriage: &Carriage) -> Duration {
        let path = &self.way.settings.path;
        let recipients = u32::try_from(carriage.recipients()).unwrap_or(u32::MAX);
        let transactions =
            u32::try_from(carriage.recipients().div_ceil(path.max_recipients_per_batch)).unwrap_or(u32::MAX);
        let each = [path.rset_timeout, path.mail_from_timeout, path.data_timeout, path.data_dot_timeout];
        let transaction = each.into_iter().fold(Duration::ZERO, Duration::saturating_add)
            + Duration::from_secs(carriage.size() as u64 / SLOWEST);
        let answers = path.rcpt_to_timeout.saturating_mul(recipients.min(2)) + Duration::from_secs(recipients.into());
        // LMTP answers the dot once for each of them, and what was answered must not be forgotten.
        let dots = if path.use_lmtp { path.data_dot_timeout.saturating_mul(recipients) } else { Duration::ZERO };
        let all = transaction.saturating_mul(transactions.max(1)).saturating_add(answers).saturating_add(dots);
        self.context.watchdog.saturating_add(all)
    }
}

/// There is nowhere to go: for now, or for good.
fn ended(response: Response) -> Outcome {
    if response.code >= 500 { Outcome::Permanent(response) } else { Outcome::Transient(response, None) }
}

impl Session for SmtpSession {
    fn peer(&self) -> Option<Peer> {
        self.last.as_ref().map(|(_, peer, _)| peer.clone())
    }

    fn facts(&self) -> SessionFacts {
        self.last.as_ref().map(|(.., facts)| facts.clone()).unwrap_or_default()
    }

    fn deliver<'a>(&'a mut self, batch: &'a [Message]) -> BoxFuture<'a, BatchOutcome> {
        async move {
            self.spoke = true;
            let mut outcomes = Vec::with_capacity(batch.len());
            let mut session = Fate::Keep;
            for message in batch {
                // One that is not sent because the session ended before its turn is not to blame.
                if session != Fate::Keep {
                    let response = Response::plain(400, "KumoMTA internal: the session ended before this message");
                    outcomes.push(Outcome::Transient(response, None));
                    continue;
                }
                self.tap.carry(Some(message));
                let (outcome, fate) = self.carry(message).await;
                let outcome = rewritten(&*self.way.policy, message, outcome).await;
                self.tap.carry(None);
                outcomes.push(outcome);
                session = fate;
            }
            BatchOutcome { outcomes, peer_spoke: self.spoke, session }
        }
        .boxed()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        async move {
            if let Some(connection) = self.connection {
                connection.quit().await;
            }
        }
        .boxed()
    }
}
