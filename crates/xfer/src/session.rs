use crate::protocol::Way;
use crate::{Parcel, Reply};
use futures::FutureExt;
use futures::future::BoxFuture;
use serde::Deserialize;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use waybill_delivery::{BatchOutcome, Fate, Outcome, Peer, Session};
use waybill_spool::{Message, transfer};
use waybill_types::{MessageId, Response, format_duration};

/// So much of what the other node says about a refusal stands in the record.
const SHOWN: usize = 512;

/// One parcel after the other to one node.
pub(crate) struct XferSession {
    way: Arc<Way>,
    watchdog: Duration,
    address: Option<SocketAddr>,
}

/// What a node answers that has the message.
#[derive(Deserialize)]
struct Taken {
    id: MessageId,
}

impl XferSession {
    pub(crate) fn new(way: Arc<Way>, watchdog: Duration) -> Self {
        XferSession { way, watchdog, address: None }
    }

    async fn hand(&mut self, batch: &[Message]) -> BatchOutcome {
        let mut outcomes = Vec::with_capacity(batch.len());
        for message in batch {
            match self.post(message).await {
                Ok(outcome) => outcomes.push(outcome),
                Err(why) => {
                    // The others would fare no better.
                    outcomes.resize(batch.len(), self.later("4.4.1", &why));
                    return BatchOutcome { outcomes, peer_spoke: false, session: Fate::Close };
                }
            }
        }
        BatchOutcome { outcomes, peer_spoke: self.address.is_some(), session: Fate::Keep }
    }

    /// # Errors
    /// Why no answer came.
    async fn post(&mut self, message: &Message) -> Result<Outcome, String> {
        let way = &self.way;
        let body = transfer::pack(message, &way.node).ok_or("its body is not in memory")?;
        let limit = way.limit.min(self.watchdog);
        let url = format!("{}{}", way.target, transfer::INJECT_PATH);
        let parcel = Parcel { id: message.id(), url, body, limit };
        let carried = tokio::time::timeout(limit, way.carrier.carry(parcel)).await;
        let reply = carried.map_err(|_| format!("no answer within {}", format_duration(limit)))??;
        self.address = reply.address;
        Ok(self.judge(&reply))
    }

    fn judge(&self, reply: &Reply) -> Outcome {
        if reply.status != 200 {
            let text = String::from_utf8_lossy(&reply.body);
            let text: String = text.chars().take(SHOWN).collect();
            return self.later("4.4.0", &format!("it answered {} {text}", reply.status));
        }
        match serde_json::from_slice::<Taken>(&reply.body) {
            Ok(Taken { id }) => Outcome::Delivered(Response::plain(250, format!("new id is {id}"))),
            // Whoever answers 200 to everything has not got our mail.
            Err(_) => self.later("4.4.0", "it answered 200 without the id of a message: is that the URL of a node?"),
        }
    }

    /// Whatever it is: never for good. Who sent the mail has nothing to do with it, and the operator can call it back.
    fn later(&self, enhanced: &str, why: &str) -> Outcome {
        let text = format!("{enhanced} xfer to {}: {}", self.way.target, why.trim_end());
        Outcome::Transient(Response::new(451, text), None)
    }
}

impl Session for XferSession {
    fn peer(&self) -> Option<Peer> {
        let addr = self.address.map_or_else(String::new, |address| address.ip().to_string());
        Some(Peer { name: self.way.target.authority().to_owned(), addr })
    }

    fn deliver<'a>(&'a mut self, batch: &'a [Message]) -> BoxFuture<'a, BatchOutcome> {
        self.hand(batch).boxed()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        async {}.boxed()
    }
}
