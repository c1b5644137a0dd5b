use std::time::Duration;
use waybill_queue_core::ready::Fate;
use waybill_types::Response;

/// What became of one message of a batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It is the other side's now.
    Delivered(Response),
    /// Not now: try again, no sooner than the given time.
    Transient(Response, Option<Duration>),
    /// Never.
    Permanent(Response),
}

impl Outcome {
    /// What was said.
    pub fn response(&self) -> &Response {
        match self {
            Outcome::Delivered(response) | Outcome::Transient(response, _) | Outcome::Permanent(response) => response,
        }
    }
}

/// The outcomes of a batch, one for each message in the order in which they were handed over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BatchOutcome {
    /// One for each message.
    pub outcomes: Vec<Outcome>,
    /// Whether the other side is known to have spoken: when not (an error on our side), records show no peer.
    pub peer_spoke: bool,
    /// What is to become of the session.
    pub session: Fate,
}

impl BatchOutcome {
    /// The same outcome for each of `count` messages.
    pub fn all(count: usize, outcome: Outcome, session: Fate) -> Self {
        BatchOutcome { outcomes: vec![outcome; count], peer_spoke: true, session }
    }
}
