use crate::constructor::{Constructor, Made};
use crate::{failure, results};
use futures::FutureExt;
use futures::future::BoxFuture;
use std::mem;
use tokio::time::timeout;
use waybill_delivery::{BatchOutcome, BatchPolicy, ConnectContext, ConnectError, Fate, Outcome, Peer, Session};
use waybill_policy::{Epoch, PolicyError, PolicyObject, Returned, Value};
use waybill_spool::Message;

/// How a session calls its script.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Method {
    /// One message a call.
    Send,
    /// A list, also for a single message.
    SendBatch,
}

impl Method {
    fn name(self) -> &'static str {
        match self {
            Method::Send => "send",
            Method::SendBatch => "send_batch",
        }
    }
}

/// The script's object and what may still be done with it.
enum Connection {
    /// It takes the next batch.
    Live(Box<dyn PolicyObject>),
    /// It failed, or said 421: only its `close` may be called.
    Spent(Box<dyn PolicyObject>),
    /// It was stopped in the middle of a call. Its state is gone, so there is nothing to close.
    Gone,
}

/// One connection object, used until it fails.
pub(crate) struct LuaSession {
    connection: Connection,
    /// Of the policy that the connection is of.
    epoch: Epoch,
    constructor: Constructor,
    context: ConnectContext,
    method: Method,
    /// What records say of the other end.
    peer: Peer,
}

impl LuaSession {
    pub(crate) fn new(made: Made, constructor: Constructor, batch: BatchPolicy, context: ConnectContext) -> Self {
        LuaSession {
            connection: Connection::Live(made.object),
            epoch: made.epoch,
            peer: Peer { name: format!("Lua via {}", constructor.name), addr: "0.0.0.0".into() },
            constructor,
            context,
            method: if batch.batch_size() > 1 { Method::SendBatch } else { Method::Send },
        }
    }

    /// A policy that was read again counts for the next batch: a session that is busy would go by the old one for ever.
    async fn renew(&mut self) -> Result<(), ConnectError> {
        if !matches!(self.connection, Connection::Live(_)) || !self.constructor.is_past(self.epoch) {
            return Ok(());
        }
        self.close_connection().await;
        let Made { object, epoch } = self.constructor.make(&self.context).await?;
        self.connection = Connection::Live(object);
        self.epoch = epoch;
        Ok(())
    }

    async fn close_connection(&mut self) {
        let object = match mem::replace(&mut self.connection, Connection::Gone) {
            Connection::Live(object) | Connection::Spent(object) => object,
            Connection::Gone => return,
        };
        let (constructor, session) = (&*self.constructor.name, &*self.context.session_id);
        match timeout(self.context.watchdog, object.close()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(target: "lua", constructor, session, %error, "failed to close a connection");
            }
            Err(_) => {
                let limit = self.context.watchdog;
                tracing::error!(target: "lua", constructor, session, ?limit, "closing a connection took too long");
            }
        }
    }

    async fn hand(&mut self, batch: &[Message]) -> BatchOutcome {
        if let ([message], Method::Send) = (batch, self.method) {
            return self.call(1, Value::Message(message.clone())).await;
        }
        let mut all = BatchOutcome { outcomes: Vec::with_capacity(batch.len()), peer_spoke: true, session: Fate::Keep };
        if self.method == Method::SendBatch {
            return if batch.is_empty() { all } else { self.call(batch.len(), Value::Messages(batch.to_vec())).await };
        }
        // The batch policy makes this one message; more would be a mistake that must not lose any of them.
        for message in batch {
            let one = self.call(1, Value::Message(message.clone())).await;
            all.outcomes.extend(one.outcomes);
            all.peer_spoke &= one.peer_spoke;
            if all.session == Fate::Keep {
                all.session = one.session;
            }
        }
        all
    }

    /// One call of the script with `count` messages.
    async fn call(&mut self, count: usize, messages: Value) -> BatchOutcome {
        let method = self.method.name();
        // The object leaves its place while it runs: when this future is dropped, the interrupted state goes with it,
        // and `close` cannot enter it again.
        let mut object = match mem::replace(&mut self.connection, Connection::Gone) {
            Connection::Live(object) => object,
            ended => {
                self.connection = ended;
                return failure::script(count, "the session has ended");
            }
        };
        let Ok(answer) = timeout(self.context.watchdog, object.invoke(method, vec![messages])).await else {
            return failure::watchdog(count, method, self.context.watchdog);
        };
        let outcome = match answer.and_then(|returned| self.read(returned, count)) {
            Ok(outcomes) => answered(outcomes),
            Err(PolicyError::Rejected(rejected)) => answered(vec![results::rejection(&rejected); count]),
            Err(PolicyError::Missing(_)) if !object.has(method) => {
                failure::script(count, format_args!("sender:{method} method not found"))
            }
            Err(error) => failure::script(count, format_args!("sender:{method} method failed: {error}")),
        };
        self.connection = match outcome.session {
            Fate::Keep => Connection::Live(object),
            Fate::Close | Fate::Broken => Connection::Spent(object),
        };
        outcome
    }

    fn read(&self, returned: Returned, count: usize) -> Result<Vec<Outcome>, PolicyError> {
        match self.method {
            Method::Send => results::of_send(returned).map(|outcome| vec![outcome]),
            Method::SendBatch => results::of_send_batch(&returned, count),
        }
    }
}

/// The script gave an outcome for each message. With a 421 among them it asks to end the session.
fn answered(outcomes: Vec<Outcome>) -> BatchOutcome {
    let goodbye = outcomes.iter().any(|outcome| outcome.response().code == 421);
    BatchOutcome { outcomes, peer_spoke: true, session: if goodbye { Fate::Close } else { Fate::Keep } }
}

impl Session for LuaSession {
    fn peer(&self) -> Option<Peer> {
        Some(self.peer.clone())
    }

    fn deliver<'a>(&'a mut self, batch: &'a [Message]) -> BoxFuture<'a, BatchOutcome> {
        async move {
            match self.renew().await {
                Ok(()) => self.hand(batch).await,
                Err(error) => failure::refused(batch.len(), &error),
            }
        }
        .boxed()
    }

    fn close(mut self: Box<Self>) -> BoxFuture<'static, ()> {
        async move { self.close_connection().await }.boxed()
    }
}
