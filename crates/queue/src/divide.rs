//! A message whose recipients fared differently: each of them gets its record, and those who are to be tried again
//! stay with the message.

use waybill_delivery::Outcome;
use waybill_log_record::RecordType;
use waybill_ready::Finished;
use waybill_spool::Message;
use waybill_types::{EnvelopeAddress, MessageId, Response};

/// How the recipients of one message fared.
pub(crate) struct Division {
    /// Those whom the outcome of the message is about.
    pub(crate) main: Vec<EnvelopeAddress>,
    /// The others, who have theirs: a record for each.
    pub(crate) others: Vec<Part>,
}

/// Recipients who were told the same.
#[derive(Clone)]
pub(crate) struct Part {
    pub(crate) kind: RecordType,
    pub(crate) recipients: Vec<EnvelopeAddress>,
    pub(crate) response: Response,
}

/// Makes one outcome of each divided one. Recipients who have theirs leave the message where it is to be tried again.
pub(crate) fn divide(finished: &mut Finished<MessageId>) -> Vec<Option<Division>> {
    let all = finished.outcome.outcomes.iter_mut().zip(&finished.messages);
    all.map(|(outcome, message)| {
        let Outcome::Divided(parts) = &*outcome else { return None };
        let deciding = outcome.deciding().clone();
        let division = message.as_ref().map(|message| Division::of(message, parts, &deciding));
        *outcome = deciding;
        division
    })
    .collect()
}

impl Division {
    fn of(message: &Message, outcomes: &[Outcome], deciding: &Outcome) -> Self {
        let mut division = Division { main: Vec::new(), others: Vec::new() };
        let again = matches!(deciding, Outcome::Transient(..));
        for (recipient, outcome) in message.recipients().into_iter().zip(outcomes) {
            let kind = match outcome {
                // Those who are tried again stay together, with what the first of them was told.
                Outcome::Transient(..) if again => {
                    division.main.push(recipient);
                    continue;
                }
                _ if outcome == deciding => {
                    division.main.push(recipient);
                    continue;
                }
                Outcome::Delivered(_) => RecordType::Delivery,
                _ => RecordType::Bounce,
            };
            division.add(kind, recipient, outcome.response());
        }
        if again {
            message.set_recipients(division.main.clone());
        }
        division
    }

    fn add(&mut self, kind: RecordType, recipient: EnvelopeAddress, response: &Response) {
        match self.others.iter_mut().find(|part| part.kind == kind && part.response == *response) {
            Some(part) => part.recipients.push(recipient),
            None => {
                self.others.push(Part { kind, recipients: vec![recipient], response: response.clone() });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use waybill_types::{IdMint, Timestamp};

    fn message(recipients: &[&str]) -> Message {
        let id = IdMint::random().message(Timestamp::from_secs(1_700_000_000));
        let recipients = recipients.iter().map(|text| text.parse().unwrap()).collect();
        Message::new(id, "s@x.example".parse().unwrap(), recipients, Bytes::from_static(b"x"))
    }

    fn names(recipients: &[EnvelopeAddress]) -> Vec<&str> {
        recipients.iter().map(EnvelopeAddress::user).collect()
    }

    fn said(code: u16) -> Response {
        Response::plain(code, "said")
    }

    #[test]
    fn who_is_tried_again_stays_with_the_message() {
        let message = message(&["a@x", "b@x", "c@x", "d@x", "e@x"]);
        let outcomes = [
            Outcome::Delivered(said(250)),
            Outcome::Transient(said(450), None),
            Outcome::Permanent(said(550)),
            Outcome::Delivered(said(250)),
            Outcome::Transient(said(451), None),
        ];
        let division = Division::of(&message, &outcomes, &outcomes[1]);
        assert_eq!(names(&division.main), ["b", "e"]);
        assert_eq!(names(&message.recipients()), ["b", "e"]);
        let others: Vec<_> = division.others.iter().map(|part| (part.kind, names(&part.recipients))).collect();
        assert_eq!(others, [(RecordType::Delivery, vec!["a", "d"]), (RecordType::Bounce, vec!["c"])]);
    }

    #[test]
    fn when_nobody_is_tried_again_the_message_keeps_its_recipients() {
        let message = message(&["a@x", "b@x"]);
        let outcomes = [Outcome::Permanent(said(550)), Outcome::Delivered(said(250))];
        let division = Division::of(&message, &outcomes, &outcomes[1]);
        assert_eq!((names(&division.main), division.others[0].kind), (vec!["b"], RecordType::Bounce));
        assert_eq!(message.recipients().len(), 2);
    }
}
