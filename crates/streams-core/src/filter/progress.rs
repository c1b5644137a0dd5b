use super::FilterStatus;
use crate::egress::{PAUSED, View, signed};
use crate::{Id, Next};
use serde::{Deserialize, Serialize};
use waybill_types::Timestamp;

/// How far a filter has come. It is stored as it is here, in the batch that holds what it copied: after a crash either
/// both are there or none, so that each message arrives in the target once.
///
/// ```
/// use waybill_streams_core::{Next, Page, Progress, Verdict};
/// use waybill_types::Timestamp;
/// let mut progress = Progress::from_offset(5);
/// assert_eq!(progress.next(Timestamp::EPOCH, 8), Next::Load(5));
/// let mut page = Page::from(5);
/// page.saw(5, &Verdict::Wanted);
/// page.saw(6, &Verdict::Unwanted);
/// progress.looked_at(&page, 8, Timestamp::EPOCH);
/// assert_eq!(progress.next(Timestamp::EPOCH, 8), Next::More);
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    next: u64,
    copied: u64,
    failed: u64,
    skipped: u64,
    late: u64,
    last: Option<(u64, Timestamp)>,
    /// The last message that could not be told of.
    error: Option<String>,
    /// Why the target cannot be written now.
    trouble: Option<String>,
    not_before: Option<Timestamp>,
    resting: Option<String>,
}

/// What a condition says of a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It is copied.
    Wanted,
    /// It is not.
    Unwanted,
    /// It is not, for it came behind the last state of its key.
    Late,
    /// It cannot be told, for this reason: it is not copied, and counted.
    Untold(String),
}

/// Messages that were looked at together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page {
    expected: u64,
    copied: u64,
    failed: u64,
    skipped: u64,
    late: u64,
    last: Option<u64>,
    error: Option<String>,
}

impl Page {
    /// None yet, from this offset on.
    pub fn from(offset: u64) -> Self {
        Page { expected: offset, copied: 0, failed: 0, skipped: 0, late: 0, last: None, error: None }
    }

    /// A message, in the order of offsets. Offsets between it and the last one are of messages that are gone.
    pub fn saw(&mut self, offset: u64, verdict: &Verdict) {
        self.gone_until(offset);
        self.expected = offset.saturating_add(1);
        match verdict {
            Verdict::Wanted => {
                self.copied += 1;
                self.last = Some(offset);
            }
            Verdict::Unwanted => {}
            Verdict::Late => self.late += 1,
            Verdict::Untold(why) => {
                self.failed += 1;
                self.error = Some(format!("message {offset}: {why}"));
            }
        }
    }

    fn gone_until(&mut self, offset: u64) {
        self.skipped = self.skipped.saturating_add(offset.saturating_sub(self.expected));
    }
}

impl Progress {
    /// Begins at this offset of the source.
    pub fn from_offset(next: u64) -> Self {
        Progress { next, ..Progress::default() }
    }

    /// The message of the source that is looked at next.
    pub fn next_offset(&self) -> u64 {
        self.next
    }

    /// What to do now, the source having given all offsets below `end`.
    pub fn next(&self, now: Timestamp, end: u64) -> Next {
        match self.not_before {
            _ if self.resting.is_some() => Next::Rest,
            Some(time) if now < time => Next::Wait(time),
            _ if self.next >= end => Next::More,
            _ => Next::Load(self.next),
        }
    }

    /// These messages were looked at, and none is left below `next`. What is to be copied of them is stored with this.
    pub fn looked_at(&mut self, page: &Page, next: u64, now: Timestamp) {
        self.next = self.next.max(next);
        self.copied = self.copied.saturating_add(page.copied);
        self.failed = self.failed.saturating_add(page.failed);
        self.late = self.late.saturating_add(page.late);
        self.skipped = self.skipped.saturating_add(page.skipped + next.saturating_sub(page.expected));
        self.not_before = None;
        if let Some(offset) = page.last {
            self.last = Some((offset, now));
        }
        self.trouble = None;
        if page.error.is_some() {
            self.error.clone_from(&page.error);
        }
    }

    /// The target could not be written: the same page is tried again later.
    pub fn held_up(&mut self, why: String, until: Timestamp) {
        self.trouble = Some(why);
        self.not_before = Some(until);
    }

    /// Rests until it is activated.
    pub fn pause(&mut self) {
        self.resting = Some(PAUSED.to_owned());
    }

    /// Goes on, at once.
    pub fn activate(&mut self) {
        self.resting = None;
        self.not_before = None;
    }

    /// How it stands.
    pub fn status(&self, filter_id: Id, view: View, now: Timestamp) -> FilterStatus {
        FilterStatus {
            filter_id,
            active: self.resting.is_none(),
            inactive_reason: self.resting.clone(),
            available_offset: signed(view.available),
            next_offset: self.next,
            next_deliver_offset: self.next,
            deliver_offset: signed(self.last.map(|(offset, _)| offset)),
            deliver_time: self.last.map(|(_, time)| time.secs()),
            deliver_error: self.trouble.clone().or_else(|| self.error.clone()),
            next_deliver_time: self.not_before.filter(|_| self.resting.is_none()).map(Timestamp::secs),
            lag_count: view.end.saturating_sub(self.next),
            lag_seconds: view.age(now),
            copied: self.copied,
            failed: self.failed,
            skipped: self.skipped,
            late: self.late,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(seconds)
    }

    fn status(progress: &Progress) -> FilterStatus {
        progress.status(Id::mint(Kind::Filter, 0, [0; 16]), View { end: 10, available: Some(9), oldest: None }, at(50))
    }

    #[test]
    fn a_page_counts_what_was_copied_what_could_not_be_told_and_what_was_gone() {
        let mut progress = Progress::from_offset(2);
        let mut page = Page::from(2);
        page.saw(4, &Verdict::Wanted);
        page.saw(5, &Verdict::Untold("no such field".to_owned()));
        page.saw(6, &Verdict::Unwanted);
        progress.looked_at(&page, 8, at(9));
        let status = status(&progress);
        assert_eq!((status.copied, status.failed, status.skipped), (1, 1, 3), "2, 3 and 7 are gone");
        assert_eq!((status.deliver_offset, status.deliver_time, status.next_offset), (4, Some(9), 8));
        assert_eq!(status.deliver_error.unwrap(), "message 5: no such field");
        assert_eq!(status.lag_count, 2);
    }

    #[test]
    fn a_target_that_cannot_be_written_is_tried_again_and_nothing_is_passed_over() {
        let mut progress = Progress::from_offset(0);
        progress.held_up("no room".to_owned(), at(5));
        assert_eq!(progress.next(at(4), 3), Next::Wait(at(5)));
        assert_eq!(progress.next(at(5), 3), Next::Load(0));
        let told = status(&progress);
        assert_eq!((told.deliver_error.as_deref(), told.next_deliver_time), (Some("no room"), Some(5)));
        progress.looked_at(&Page::from(0), 3, at(6));
        assert_eq!((progress.next(at(6), 3), status(&progress).deliver_error), (Next::More, None));
    }

    #[test]
    fn it_rests_and_goes_on_and_a_restart_finds_it_where_it_was() {
        let mut progress = Progress::from_offset(7);
        progress.pause();
        let again: Progress = serde_json::from_slice(&serde_json::to_vec(&progress).unwrap()).unwrap();
        assert_eq!((again.next(at(0), 9), &again), (Next::Rest, &progress));
        assert!(status(&again).inactive_reason.is_some());
        progress.activate();
        assert_eq!(progress.next(at(0), 9), Next::Load(7));
    }
}
