//! What looking ahead found out, kept for when the events come: handlers are asked about each event once, whether its
//! turn had come or not.

use serde_json::{Map, Value};
use std::collections::VecDeque;
use std::sync::Arc;
use waybill_policy::Epoch;
use waybill_spool::Message;
use waybill_types::Offset;

/// The most runs that are remembered; what is seen beyond them is asked about again. Where all events of a read have one
/// answer a run is hundreds of events.
const MOST_RUNS: usize = 16_384;

/// An answer of the handlers, with all that it means for the message.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Foreseen {
    /// Nobody wants it.
    Unwanted,
    /// It is wanted, with these changes of its meta.
    Wanted(Arc<Map<String, Value>>),
}

impl Foreseen {
    /// `None` where more was changed than meta: such an event is asked about again.
    pub(super) fn of(is_wanted: bool, message: &Message) -> Option<Foreseen> {
        if !is_wanted {
            return Some(Foreseen::Unwanted);
        }
        let is_plain = !message.must_materialise()
            && message.due().is_none()
            && message.schedule().is_none()
            && message.attempts() == 0;
        is_plain.then(|| Foreseen::Wanted(message.overlay().into()))
    }
}

/// Events one behind the other that have the same answer.
#[derive(Debug)]
struct Run {
    first: Offset,
    last: Offset,
    answer: Arc<Foreseen>,
}

/// The answers of one policy. A policy that is read again may have others.
#[derive(Debug, Default)]
pub(super) struct Foresight {
    epoch: Epoch,
    /// In the order of the journal.
    runs: VecDeque<Run>,
}

impl Foresight {
    /// Keeps the answers about a piece of the journal: events one behind the other, none of them left out; `None` for one
    /// that is to be asked about again.
    pub(super) fn keep(&mut self, epoch: Epoch, piece: impl IntoIterator<Item = (Offset, Option<Foreseen>)>) {
        if self.epoch != epoch {
            *self = Foresight { epoch, runs: VecDeque::new() };
        }
        let mut goes_on = false;
        for (offset, answer) in piece {
            let Some(answer) = answer else {
                goes_on = false;
                continue;
            };
            // Behind all that is known: else it was read meanwhile.
            if self.runs.back().is_some_and(|last| last.last >= offset) {
                continue;
            }
            let same = self.runs.back_mut().filter(|last| *last.answer == answer);
            match same {
                Some(last) if goes_on => last.last = offset,
                same => {
                    let answer = same.map_or_else(|| Arc::new(answer), |last| last.answer.clone());
                    if self.runs.len() >= MOST_RUNS {
                        return;
                    }
                    self.runs.push_back(Run { first: offset, last: offset, answer });
                }
            }
            goes_on = true;
        }
    }

    /// The answer about an event whose turn has come, if it is known. Those about events before it are forgotten.
    pub(super) fn take(&mut self, epoch: Epoch, offset: Offset) -> Option<Arc<Foreseen>> {
        if self.epoch != epoch {
            self.runs.clear();
        }
        while self.runs.front().is_some_and(|run| run.last < offset) {
            self.runs.pop_front();
        }
        let run = self.runs.front().filter(|run| run.first <= offset)?;
        Some(run.answer.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Epoch = Epoch(1);

    fn wanted(queue: &str) -> Option<Foreseen> {
        let overlay: Map<_, _> = [("queue".to_owned(), queue.into())].into_iter().collect();
        Some(Foreseen::Wanted(overlay.into()))
    }

    fn piece(from: u64, answers: Vec<Option<Foreseen>>) -> Vec<(Offset, Option<Foreseen>)> {
        (from..).map(Offset).zip(answers).collect()
    }

    fn taken(foresight: &mut Foresight, offsets: std::ops::Range<u64>) -> Vec<Option<Foreseen>> {
        offsets.map(|offset| foresight.take(NOW, Offset(offset)).map(|answer| (*answer).clone())).collect()
    }

    #[test]
    fn each_answer_is_given_for_its_event_and_no_other() {
        let answers = vec![wanted("a"), wanted("a"), Some(Foreseen::Unwanted), None, wanted("a"), wanted("b")];
        let mut foresight = Foresight::default();
        foresight.keep(NOW, piece(10, answers.clone()));
        assert_eq!(taken(&mut foresight, 8..18), [vec![None; 2], answers, vec![None; 2]].concat());
    }

    #[test]
    fn equal_answers_take_no_room_and_what_lies_between_two_pieces_is_not_known() {
        let mut foresight = Foresight::default();
        foresight.keep(NOW, piece(0, vec![wanted("a"); 500]));
        foresight.keep(NOW, piece(600, vec![wanted("a"); 500]));
        assert_eq!(foresight.runs.len(), 2);
        assert!(Arc::ptr_eq(&foresight.runs[0].answer, &foresight.runs[1].answer));
        assert_eq!(taken(&mut foresight, 499..601), [vec![wanted("a")], vec![None; 100], vec![wanted("a")]].concat());
    }

    #[test]
    fn another_policy_knows_nothing_of_the_answers_of_the_one_before() {
        let mut foresight = Foresight::default();
        foresight.keep(NOW, piece(0, vec![wanted("a"); 2]));
        assert_eq!(foresight.take(Epoch(2), Offset(0)), None);
        foresight.keep(Epoch(2), piece(5, vec![wanted("b")]));
        assert_eq!(foresight.take(Epoch(2), Offset(1)), None);
        assert_eq!(foresight.take(Epoch(2), Offset(5)).as_deref(), wanted("b").as_ref());
    }

    #[test]
    fn a_handler_that_answers_differently_all_the_time_fills_no_memory() {
        let mut foresight = Foresight::default();
        let answers = (0..MOST_RUNS + 10).map(|at| wanted(&at.to_string())).collect();
        foresight.keep(NOW, piece(0, answers));
        assert_eq!(foresight.runs.len(), MOST_RUNS);
    }
}
