use crate::{Breaker, BreakerConfig, Concurrency, EndpointConfig, Gate, Rate};
use std::time::Duration;
use waybill_types::Timestamp;

/// When the next attempt at one endpoint may begin: its rate, how many may be under way, its breaker, and the time for
/// which it asked for quiet. Whoever sends asks [`Pace::ask`] before and tells [`Pace::ended`] after.
#[derive(Clone, Debug)]
pub struct Pace {
    rate: Option<Rate>,
    concurrency: Concurrency,
    breaker: Breaker,
    quiet_until: Timestamp,
    busy: u32,
}

/// The answer to one who wants to send.
#[derive(Debug)]
#[must_use]
pub enum Turn {
    /// Send.
    Go(Ticket),
    /// Ask again at this time.
    At(Timestamp),
    /// Ask again when an attempt has ended.
    Full,
}

/// The right to one attempt. It must come back, through [`Pace::ended`] or [`Pace::cancelled`]: until then its place
/// is taken.
#[derive(Debug)]
#[must_use]
pub struct Ticket {
    started: Timestamp,
    epoch: u64,
}

/// What an attempt told of the endpoint's health.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signal {
    /// It answered, be it with a refusal of this one event.
    Well,
    /// It asked for less: 429 or 503 with or without a time, 5xx, or no answer in time.
    Overloaded(Option<Duration>),
    /// It could not be reached.
    Unreachable,
}

impl Pace {
    /// For an endpoint of which nothing is known yet.
    pub fn new(endpoint: &EndpointConfig, breaker: BreakerConfig) -> Self {
        Pace {
            rate: endpoint.max_rate.map(Rate::new),
            concurrency: Concurrency::new(endpoint.max_connections),
            breaker: Breaker::new(breaker),
            quiet_until: Timestamp::EPOCH,
            busy: 0,
        }
    }

    /// It takes the place of another, whose attempts under way will end here.
    pub fn follow(&mut self, before: &Pace) {
        self.busy = before.busy;
    }

    /// May one begin now?
    pub fn ask(&mut self, now: Timestamp) -> Turn {
        match self.breaker.gate(now) {
            Gate::Until(time) => return Turn::At(time.max(self.quiet_until)),
            Gate::Probing => return Turn::Full,
            Gate::Pass | Gate::Probe => {}
        }
        if self.busy >= self.concurrency.limit() {
            return Turn::Full;
        }
        let next = self.rate.as_ref().map_or(now, |rate| rate.next(now)).max(self.quiet_until);
        if next > now {
            return Turn::At(next);
        }
        if let Some(rate) = &mut self.rate {
            rate.begin(now);
        }
        self.busy += 1;
        Turn::Go(Ticket { started: now, epoch: self.breaker.pass(now) })
    }

    /// An attempt has ended. `random` is in `0..1`. Returns true when the endpoint broke down or came back by it.
    pub fn ended(&mut self, ticket: Ticket, signal: Signal, now: Timestamp, random: f64) -> bool {
        let busy = self.busy;
        self.busy = busy.saturating_sub(1);
        let least = match signal {
            Signal::Well => {
                self.concurrency.well(busy);
                None
            }
            Signal::Overloaded(least) => {
                self.concurrency.overloaded(ticket.started, now);
                least
            }
            Signal::Unreachable => {
                self.concurrency.overloaded(ticket.started, now);
                None
            }
        };
        if let Some(least) = least {
            self.quiet_until = self.quiet_until.max(now + least);
        }
        self.breaker.ended(ticket.epoch, signal == Signal::Well, now, random, least)
    }

    /// An attempt was not made after all.
    pub fn cancelled(&mut self, ticket: Ticket, now: Timestamp) {
        self.busy = self.busy.saturating_sub(1);
        if let Some(rate) = &mut self.rate {
            rate.give_back();
        }
        self.breaker.cancelled(ticket.epoch, now);
    }

    /// How many are under way, and how many may be.
    pub fn load(&self) -> (u32, u32) {
        (self.busy, self.concurrency.limit())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    fn pace(json: &str) -> Pace {
        Pace::new(&EndpointConfig::from_json(json.as_bytes()).unwrap(), BreakerConfig::default())
    }

    fn go(pace: &mut Pace, now: i64) -> Ticket {
        match pace.ask(at(now)) {
            Turn::Go(ticket) => ticket,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn as_many_are_under_way_as_went_well_before() {
        let mut pace = pace(r#"{"url": "https://a.example", "max_connections": 3}"#);
        let (first, second) = (go(&mut pace, 0), go(&mut pace, 0));
        assert!(matches!(pace.ask(at(0)), Turn::Full));
        pace.ended(first, Signal::Well, at(1), 0.0);
        pace.ended(second, Signal::Well, at(1), 0.0);
        let _held: Vec<Ticket> = (0..2).map(|_| go(&mut pace, 1)).collect();
        assert_eq!(pace.load(), (2, 2));
    }

    #[test]
    fn retry_after_keeps_the_endpoint_quiet() {
        let mut pace = pace(r#"{"url": "https://a.example"}"#);
        let ticket = go(&mut pace, 0);
        pace.ended(ticket, Signal::Overloaded(Some(Duration::from_secs(60))), at(1), 0.0);
        assert!(matches!(pace.ask(at(2)), Turn::At(time) if time == at(61)));
        let _ = go(&mut pace, 61);
    }

    #[test]
    fn a_rate_is_kept_and_an_attempt_that_was_not_made_does_not_count() {
        let mut pace = pace(r#"{"url": "https://a.example", "max_rate": "1/10s"}"#);
        let ticket = go(&mut pace, 100);
        assert!(matches!(pace.ask(at(100)), Turn::At(time) if time == at(110)));
        pace.cancelled(ticket, at(101));
        let _ = go(&mut pace, 101);
    }

    #[test]
    fn what_is_under_way_takes_its_places_after_a_change_too() {
        let mut before = pace(r#"{"url": "https://a.example"}"#);
        let (first, second) = (go(&mut before, 0), go(&mut before, 0));
        let mut after = pace(r#"{"url": "https://a.example", "max_connections": 1}"#);
        after.follow(&before);
        assert!(matches!(after.ask(at(1)), Turn::Full));
        after.ended(first, Signal::Well, at(1), 0.0);
        assert!(matches!(after.ask(at(1)), Turn::Full));
        after.ended(second, Signal::Well, at(1), 0.0);
        let _ = go(&mut after, 1);
    }

    #[test]
    fn an_endpoint_that_is_down_gets_one_probe_at_a_time() {
        let mut pace = pace(r#"{"url": "https://a.example"}"#);
        let mut broke = Vec::new();
        for second in 0..5 {
            let ticket = go(&mut pace, second);
            broke.push(pace.ended(ticket, Signal::Unreachable, at(second), 0.0));
        }
        assert_eq!(broke, [false, false, false, false, true]);
        assert!(matches!(pace.ask(at(4)), Turn::At(time) if time == at(9)));
        let probe = go(&mut pace, 9);
        assert!(matches!(pace.ask(at(9)), Turn::Full));
        assert!(pace.ended(probe, Signal::Well, at(10), 0.0), "it came back");
        let _ = go(&mut pace, 10);
    }
}
