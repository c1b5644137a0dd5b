use std::sync::LazyLock;
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
    /// It has several recipients, and they fared differently: one outcome for each, in the order of the message's
    /// recipients. None of them is itself divided.
    Divided(Vec<Outcome>),
}

impl Outcome {
    /// What was said: of a divided outcome, what decides about the message.
    pub fn response(&self) -> &Response {
        match self.deciding() {
            Outcome::Delivered(response) | Outcome::Transient(response, _) | Outcome::Permanent(response) => response,
            Outcome::Divided(_) => nothing_said(),
        }
    }

    /// The part of a divided outcome that decides what becomes of the message: it is tried again while one recipient
    /// wants that, else it has failed if all have. Any other outcome is its own.
    pub fn deciding(&self) -> &Outcome {
        let Outcome::Divided(all) = self else { return self };
        let transient = all.iter().find(|part| matches!(part, Outcome::Transient(..)));
        let delivered = || all.iter().find(|part| matches!(part, Outcome::Delivered(_)));
        transient.or_else(delivered).or_else(|| all.first()).unwrap_or(self)
    }

    /// One outcome for a message of these: divided only where they differ.
    pub fn of_recipients(mut all: Vec<Outcome>) -> Self {
        match all.first() {
            Some(first) if all.iter().all(|other| other == first) => all.swap_remove(0),
            _ => Outcome::Divided(all),
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

/// A divided outcome without parts breaks its contract; there is nothing that it could say.
fn nothing_said() -> &'static Response {
    static NOTHING: LazyLock<Response> =
        LazyLock::new(|| Response::plain(400, "KumoMTA internal: the protocol gave no outcome for this message"));
    &NOTHING
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivered() -> Outcome {
        Outcome::Delivered(Response::plain(250, "ok"))
    }

    fn later() -> Outcome {
        Outcome::Transient(Response::plain(450, "later"), None)
    }

    fn never() -> Outcome {
        Outcome::Permanent(Response::plain(550, "never"))
    }

    #[test]
    fn recipients_that_fared_alike_are_one_outcome() {
        assert_eq!(Outcome::of_recipients(vec![later(), later()]), later());
        assert_eq!(Outcome::of_recipients(vec![later(), never()]), Outcome::Divided(vec![later(), never()]));
    }

    #[test]
    fn a_message_is_tried_again_while_one_recipient_wants_that() {
        assert_eq!(Outcome::Divided(vec![delivered(), never(), later()]).deciding(), &later());
        assert_eq!(Outcome::Divided(vec![never(), delivered()]).deciding(), &delivered());
        assert_eq!(Outcome::Divided(vec![never()]).response(), never().response());
        assert_eq!(Outcome::Divided(vec![]).response().code, 400);
    }
}
