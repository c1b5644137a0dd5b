use super::Status;
use crate::Id;
use serde::{Deserialize, Serialize};
use waybill_types::Timestamp;
use waybill_webhook_core::{Backoff, Outcome};

/// Where an egress webhook stands: strictly in the order of offsets, one message in flight. It is stored as it is here,
/// so that a restart goes on at the same message with the same wait.
///
/// ```
/// use waybill_streams_core::{Delivery, Next};
/// use waybill_types::Timestamp;
/// let mut delivery = Delivery::from_offset(5);
/// assert_eq!(delivery.next(Timestamp::EPOCH, 5), Next::More);
/// assert_eq!(delivery.next(Timestamp::EPOCH, 8), Next::Load(5));
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Delivery {
    /// The message to deliver next, or the first one behind it that exists.
    next: u64,
    /// Messages that were gone before they were delivered.
    skipped: u64,
    /// Failed attempts for the message that is next.
    attempts: u32,
    /// Nothing is sent before this.
    not_before: Option<Timestamp>,
    /// The last attempt.
    last: Option<Last>,
    /// When a message last arrived.
    last_success: Option<Timestamp>,
    /// Why nothing is sent, if it is so.
    resting: Option<String>,
    /// In parallel by key: offsets behind the next one that are delivered or parked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    settled: Vec<u64>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Last {
    offset: u64,
    at: Timestamp,
    response: Option<String>,
    error: Option<String>,
}

/// What to do now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// Nothing until somebody activates it.
    Rest,
    /// Nothing until the log has more.
    More,
    /// Nothing until then.
    Wait(Timestamp),
    /// Load the first message at this offset or behind it, and send it.
    Load(u64),
}

/// An attempt that was made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attempted {
    /// The message's offset.
    pub offset: u64,
    /// When the attempt ended.
    pub at: Timestamp,
    /// What came back, raw.
    pub response: Option<String>,
    /// Why nothing came back, or why it is no success.
    pub error: Option<String>,
    /// What it means.
    pub outcome: Outcome,
}

/// Five seconds, doubling to ten minutes, up to a fifth on top.
pub fn backoff() -> Backoff {
    Backoff::default()
}

/// Why a webhook rests whose endpoint wants nothing more.
const GONE: &str = "the endpoint answered 410 Gone";
/// Why a webhook that an operator stopped rests.
pub(crate) const PAUSED: &str = "paused by an operator";
/// Why one rests whose secret nobody can read any more.
const LOST: &str =
    "its secret was lost with the key that sealed it, and it has a new one: tell the receiver, then activate it";

impl Delivery {
    /// Begins at this offset.
    pub fn from_offset(next: u64) -> Self {
        Delivery { next, ..Delivery::default() }
    }

    /// The offset of the next message.
    pub fn next_offset(&self) -> u64 {
        self.next
    }

    /// Whether it sends.
    pub fn is_active(&self) -> bool {
        self.resting.is_none()
    }

    /// What to do now, the log having given all offsets below `end`.
    pub fn next(&self, now: Timestamp, end: u64) -> Next {
        match self.not_before {
            _ if self.resting.is_some() => Next::Rest,
            Some(time) if now < time => Next::Wait(time),
            _ if self.next >= end => Next::More,
            _ => Next::Load(self.next),
        }
    }

    /// The first message that exists at or behind the next offset has this one: what was between is gone.
    pub fn found(&mut self, offset: u64) {
        if offset > self.next {
            self.skipped = self.skipped.saturating_add(offset - self.next);
            self.next = offset;
            self.attempts = 0;
        }
    }

    /// No message exists from the next offset up to this end.
    pub fn found_nothing(&mut self, end: u64) {
        self.found(end);
        // There is nothing left that the wait was for.
        self.not_before = None;
    }

    /// An attempt has ended. `random` is in `0..1`.
    pub fn finished(&mut self, attempted: Attempted, backoff: &Backoff, random: f64) {
        let Attempted { offset, at, response, error, outcome } = attempted;
        self.last = Some(Last { offset, at, response, error });
        if offset != self.next {
            // Somebody moved it meanwhile: what was in flight does not count.
            return;
        }
        match outcome {
            Outcome::Delivered => {
                self.next = offset.saturating_add(1);
                self.attempts = 0;
                self.not_before = None;
                self.last_success = Some(at);
            }
            Outcome::Disabled => {
                self.attempts = self.attempts.saturating_add(1);
                self.not_before = None;
                self.resting = Some(GONE.to_owned());
            }
            // Whatever else happened, the message stays: order counts for more here than a single refusal.
            Outcome::Transient { retry_after } => self.retry(at, backoff, random, retry_after),
            Outcome::Permanent | Outcome::Blocked(_) => self.retry(at, backoff, random, None),
        }
    }

    /// An attempt has ended, in parallel by key: what it means for its message is [`crate::Lanes`]' business.
    pub fn noted(&mut self, attempted: Attempted) {
        let Attempted { offset, at, response, error, outcome } = attempted;
        self.last = Some(Last { offset, at, response, error });
        match outcome {
            Outcome::Delivered => self.last_success = Some(at),
            Outcome::Disabled => self.resting = Some(GONE.to_owned()),
            Outcome::Transient { .. } | Outcome::Permanent | Outcome::Blocked(_) => {}
        }
    }

    /// In parallel by key: where it stands.
    pub fn stands(&mut self, (next, settled): (u64, Vec<u64>)) {
        (self.next, self.settled) = (next, settled);
    }

    /// In parallel by key: what behind the next offset is delivered or parked.
    pub fn settled(&self) -> &[u64] {
        &self.settled
    }

    /// So many messages were gone before they were delivered.
    pub fn skip(&mut self, messages: u64) {
        self.skipped = self.skipped.saturating_add(messages);
    }

    fn retry(&mut self, at: Timestamp, backoff: &Backoff, random: f64, least: Option<std::time::Duration>) {
        self.attempts = self.attempts.saturating_add(1);
        self.not_before = Some(at + backoff.wait(self.attempts, random, least));
    }

    /// Goes on at this offset, at once.
    pub fn seek(&mut self, offset: u64) {
        self.next = offset;
        self.attempts = 0;
        self.not_before = None;
        self.settled.clear();
    }

    /// The next message, if it is at this offset, is not sent any more.
    pub fn pass(&mut self, offset: u64) {
        if self.next == offset {
            self.seek(offset.saturating_add(1));
            self.skip(1);
        }
    }

    /// Rests until it is activated.
    pub fn pause(&mut self) {
        self.resting = Some(PAUSED.to_owned());
    }

    /// Rests until it is activated: what it would be signed with is nothing that the receiver knows.
    pub fn lose_secret(&mut self) {
        self.resting = Some(LOST.to_owned());
    }

    /// Goes on, at once, with the message that is next.
    pub fn activate(&mut self) {
        self.resting = None;
        self.not_before = None;
    }

    /// How it stands. `end` is the offset behind the log's last message, `available` that of the last one that exists,
    /// `waiting` how many messages wait, and `oldest` the time of the oldest of them in microseconds.
    pub fn status(&self, webhook_id: Id, view: View, now: Timestamp) -> Status {
        let last = self.last.as_ref();
        let next_time = match (self.not_before, last) {
            _ if self.resting.is_some() => None,
            (Some(time), _) => Some(time),
            (None, last) => last.map(|last| last.at),
        };
        Status {
            webhook_id,
            active: self.is_active(),
            inactive_reason: self.resting.clone(),
            available_offset: signed(view.available),
            next_offset: self.next,
            next_deliver_offset: self.next,
            deliver_offset: signed(last.map(|last| last.offset)),
            deliver_time: last.map(|last| last.at.secs()),
            deliver_resp: last.and_then(|last| last.response.clone()),
            deliver_error: last.and_then(|last| last.error.clone()),
            next_deliver_time: next_time.map(Timestamp::secs),
            lag_count: view.end.saturating_sub(self.next),
            lag_seconds: view.age(now),
            attempts: self.attempts,
            skipped: self.skipped,
            last_success_time: self.last_success.map(Timestamp::secs),
            parked: None,
            parked_keys: None,
            parked_offset: None,
            held_up: None,
        }
    }
}

/// What a status needs to know of the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct View {
    /// The offset behind the last message.
    pub end: u64,
    /// The last message that exists.
    pub available: Option<u64>,
    /// The time of the oldest message that waits, in microseconds.
    pub oldest: Option<i64>,
}

impl View {
    /// The age of the oldest message that waits, in seconds.
    pub(crate) fn age(&self, now: Timestamp) -> i64 {
        self.oldest.map_or(0, |time| (now.nanos() / 1000).saturating_sub(time).max(0) / 1_000_000)
    }
}

/// -1 where there is none.
pub(crate) fn signed(offset: Option<u64>) -> i64 {
    offset.map_or(-1, |offset| i64::try_from(offset).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;
    use std::time::Duration;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(seconds)
    }

    fn attempted(offset: u64, seconds: i64, outcome: Outcome) -> Attempted {
        Attempted { offset, at: at(seconds), response: Some("raw".to_owned()), error: None, outcome }
    }

    const LATER: Outcome = Outcome::Transient { retry_after: None };

    #[test]
    fn a_message_that_fails_stays_and_waits_double_each_time() {
        let mut delivery = Delivery::from_offset(0);
        let mut now = 0;
        for wait in [5, 10, 20, 40, 80, 160, 320, 600, 600] {
            assert_eq!(delivery.next(at(now), 2), Next::Load(0));
            delivery.finished(attempted(0, now, LATER), &backoff(), 0.0);
            assert_eq!(delivery.next(at(now + wait - 1), 2), Next::Wait(at(now + wait)));
            now += wait;
        }
        delivery.finished(attempted(0, now, Outcome::Delivered), &backoff(), 0.0);
        assert_eq!(delivery.next(at(now), 2), Next::Load(1), "the next one waits for nothing");
        delivery.finished(attempted(1, now, LATER), &backoff(), 0.0);
        assert_eq!(delivery.next(at(now), 2), Next::Wait(at(now + 5)), "and begins anew");
    }

    #[test]
    fn every_refusal_but_410_keeps_the_message_and_retries() {
        for outcome in [LATER, Outcome::Permanent, Outcome::Blocked(waybill_webhook_core::Blocked::Loop(9))] {
            let mut delivery = Delivery::from_offset(3);
            delivery.finished(attempted(3, 0, outcome), &backoff(), 0.0);
            assert_eq!((delivery.next_offset(), delivery.next(at(5), 9)), (3, Next::Load(3)));
        }
    }

    #[test]
    fn retry_after_is_the_least_wait_and_jitter_only_lengthens() {
        let asked = Outcome::Transient { retry_after: Some(Duration::from_secs(120)) };
        let mut delivery = Delivery::from_offset(0);
        delivery.finished(attempted(0, 0, asked), &backoff(), 0.0);
        assert_eq!(delivery.next(at(119), 1), Next::Wait(at(120)));
        let mut jittered = Delivery::from_offset(0);
        jittered.finished(attempted(0, 0, LATER), &backoff(), 1.0);
        assert_eq!(jittered.next(at(0), 1), Next::Wait(at(6)));
    }

    #[test]
    fn gone_makes_it_inactive_with_its_position_kept_until_somebody_activates_it() {
        let mut delivery = Delivery::from_offset(4);
        delivery.finished(attempted(4, 0, Outcome::Disabled), &backoff(), 0.0);
        assert_eq!((delivery.is_active(), delivery.next(at(9999), 9)), (false, Next::Rest));
        let status = delivery.status(Id::mint(Kind::Egress, 0, [0; 16]), View::default(), at(0));
        assert!(status.inactive_reason.unwrap().contains("410"));
        assert_eq!((status.next_offset, status.next_deliver_time), (4, None));
        delivery.activate();
        assert_eq!(delivery.next(at(0), 9), Next::Load(4));
    }

    #[test]
    fn what_was_trimmed_before_it_was_delivered_is_counted_as_skipped() {
        let mut delivery = Delivery::from_offset(2);
        delivery.finished(attempted(2, 0, LATER), &backoff(), 0.0);
        delivery.found(7);
        assert_eq!(delivery.next_offset(), 7);
        delivery.finished(attempted(7, 100, LATER), &backoff(), 0.0);
        assert_eq!(delivery.next(at(100), 9), Next::Wait(at(105)), "another message's failures do not count");
        delivery.found_nothing(9);
        assert_eq!(delivery.next(at(100), 9), Next::More);
        assert_eq!(delivery.status(Id::mint(Kind::Egress, 0, [0; 16]), View::default(), at(0)).skipped, 7);
    }

    #[test]
    fn an_operator_pauses_seeks_and_skips() {
        let mut delivery = Delivery::from_offset(5);
        delivery.finished(attempted(5, 0, LATER), &backoff(), 0.0);
        delivery.seek(6);
        assert_eq!(delivery.next(at(0), 9), Next::Load(6), "skipped, and without a wait");
        delivery.finished(attempted(5, 1, Outcome::Delivered), &backoff(), 0.0);
        assert_eq!(delivery.next_offset(), 6, "an attempt that was under way moves nothing any more");
        delivery.seek(0);
        assert_eq!(delivery.next(at(0), 9), Next::Load(0));
        delivery.pause();
        assert_eq!(delivery.next(at(0), 9), Next::Rest);
        delivery.activate();
        assert_eq!(delivery.next(at(0), 9), Next::Load(0));
    }

    #[test]
    fn the_status_is_that_of_the_seed() {
        let id = Id::parse(Kind::Egress, "ewh_2Vo4QwZuZy1sK1zwbgrUOgwOaZB").unwrap();
        let mut delivery = Delivery::from_offset(0);
        delivery.finished(attempted(0, 1_695_490_928, Outcome::Delivered), &backoff(), 0.0);
        let view = View { end: 1, available: Some(0), oldest: None };
        let shown = serde_json::to_value(delivery.status(id, view, at(1_695_490_930))).unwrap();
        let seed = serde_json::json!({
            "webhook_id": "ewh_2Vo4QwZuZy1sK1zwbgrUOgwOaZB", "active": true, "available_offset": 0, "next_offset": 1,
            "deliver_offset": 0, "deliver_time": 1_695_490_928, "deliver_resp": "raw", "next_deliver_time": 1_695_490_928,
        });
        for (field, value) in seed.as_object().unwrap() {
            assert_eq!(&shown[field], value, "{field}");
        }
        assert_eq!((&shown["next_deliver_offset"], &shown["lag_count"]), (&1.into(), &0.into()));
    }

    #[test]
    fn before_the_first_message_there_is_nothing_to_tell() {
        let status = Delivery::from_offset(0).status(Id::mint(Kind::Egress, 0, [0; 16]), View::default(), at(50));
        assert_eq!((status.available_offset, status.deliver_offset, status.deliver_time), (-1, -1, None));
        let waiting = View { end: 3, available: Some(2), oldest: Some(10_000_000) };
        let status = Delivery::from_offset(0).status(Id::mint(Kind::Egress, 0, [0; 16]), waiting, at(50));
        assert_eq!((status.lag_count, status.lag_seconds), (3, 40));
    }

    #[test]
    fn a_restart_finds_the_same_message_with_the_same_wait() {
        let mut delivery = Delivery::from_offset(2);
        delivery.finished(attempted(2, 7, LATER), &backoff(), 0.5);
        let again: Delivery = serde_json::from_slice(&serde_json::to_vec(&delivery).unwrap()).unwrap();
        assert_eq!(again, delivery);
    }
}
