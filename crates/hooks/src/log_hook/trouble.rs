//! What the diagnostics are told of a hook's deliveries: beginnings and ends of trouble, not every failure.

use super::LogHook;
use std::time::Duration;
use waybill_delivery::Outcome;
use waybill_types::Timestamp;

/// Of each word at most one in this time, however often endpoints change their minds.
const NAG: Duration = Duration::from_secs(60);

/// What has been told.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    failing: bool,
    told_failing: Option<Timestamp>,
    told_given_up: Option<Timestamp>,
}

/// Something to tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Word {
    Fails,
    FlowsAgain,
    GivesUp,
}

impl Trouble {
    /// What an attempt gives to tell.
    fn hear(&mut self, now: Timestamp, outcome: &Outcome) -> Option<Word> {
        let due = |told: Option<Timestamp>| told.is_none_or(|told| now.since(told) >= NAG);
        match outcome {
            Outcome::Delivered(_) => std::mem::take(&mut self.failing).then_some(Word::FlowsAgain),
            Outcome::Transient(..) | Outcome::Divided(_) if !self.failing && due(self.told_failing) => {
                (self.failing, self.told_failing) = (true, Some(now));
                Some(Word::Fails)
            }
            Outcome::Permanent(_) if due(self.told_given_up) => {
                self.told_given_up = Some(now);
                Some(Word::GivesUp)
            }
            Outcome::Transient(..) | Outcome::Divided(_) | Outcome::Permanent(_) => None,
        }
    }
}

impl LogHook {
    pub(super) fn tell_trouble(&self, now: Timestamp, outcome: &Outcome) {
        let word = self.trouble.lock().hear(now, outcome);
        let (hook, response) = (self.name(), outcome.response());
        match word {
            Some(Word::Fails) => tracing::warn!(hook, "deliveries fail for now and are tried again: {response}"),
            Some(Word::FlowsAgain) => tracing::info!(hook, "deliveries go through again"),
            Some(Word::GivesUp) => tracing::warn!(
                hook,
                "an event was given up and is a dead letter (see `waybill hooks dead-letters {hook}`): {response}"
            ),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use waybill_types::Response;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn delivered() -> Outcome {
        Outcome::Delivered(Response::plain(200, "200 OK: "))
    }

    fn later() -> Outcome {
        Outcome::Transient(Response::plain(400, "503 Service Unavailable: "), None)
    }

    fn never() -> Outcome {
        Outcome::Permanent(Response::plain(500, "404 Not Found: "))
    }

    #[test]
    fn trouble_is_told_when_it_begins_and_when_it_ends() {
        let mut trouble = Trouble::default();
        let heard =
            [delivered(), later(), later(), delivered(), delivered()].map(|outcome| trouble.hear(NOW, &outcome));
        assert_eq!(heard, [None, Some(Word::Fails), None, Some(Word::FlowsAgain), None]);
    }

    #[test]
    fn an_endpoint_that_changes_its_mind_all_the_time_is_told_of_once_a_minute() {
        let mut trouble = Trouble::default();
        let heard = |trouble: &mut Trouble, now| {
            [later(), delivered()].iter().filter_map(|outcome| trouble.hear(now, outcome)).collect::<Vec<_>>()
        };
        assert_eq!(heard(&mut trouble, NOW), [Word::Fails, Word::FlowsAgain]);
        assert_eq!(heard(&mut trouble, NOW + NAG / 2), []);
        assert_eq!(heard(&mut trouble, NOW + NAG), [Word::Fails, Word::FlowsAgain]);
    }

    #[test]
    fn a_thousand_events_that_are_given_up_are_one_line_a_minute() {
        let mut trouble = Trouble::default();
        let lines = (0..1000).filter_map(|_| trouble.hear(NOW, &never())).count();
        assert_eq!((lines, trouble.hear(NOW + NAG, &never())), (1, Some(Word::GivesUp)));
    }
}
