//! What operators tell a runner to do.

use super::Runner;
use super::jobs::Done;
use crate::control::{Chosen, Command};
use crate::layout::{self, DeadLetter};
use futures::FutureExt;
use std::collections::{HashMap, VecDeque};
use waybill_journal_core::Event;
use waybill_spool::{Key, StoreError, Table};
use waybill_types::{Offset, Timestamp};

/// Dead letters that are tried again at a time.
const LETTERS: usize = 256;

/// Dead letters that are being tried again.
#[derive(Debug, Default)]
pub(super) struct Redriving {
    /// Where they are stored. There may be several of one event, as replays leave theirs with the hook.
    letters: HashMap<Offset, Vec<Key>>,
    /// What was asked for and may have more letters, in order.
    rest: VecDeque<Rest>,
    /// The store is being asked for them.
    asking: bool,
}

/// Letters that are still to be looked at.
#[derive(Clone, Debug)]
pub(super) struct Rest {
    chosen: Chosen,
    after: Option<(Timestamp, Offset)>,
    /// Those that were written later are left: one that fails again is not tried for ever.
    until: Timestamp,
}

impl Redriving {
    /// Whether some of what was asked for is still to come.
    pub(super) fn goes_on(&self) -> bool {
        self.asking || !self.letters.is_empty() || !self.rest.is_empty()
    }

    /// Whether the event is one of those.
    pub(super) fn is_about(&self, offset: Offset) -> bool {
        self.letters.contains_key(&offset)
    }

    /// The event has left memory: where its letters are, that have had their time.
    pub(super) fn done(&mut self, offset: Offset) -> Vec<Key> {
        // Mostly there are none: then nothing is hashed.
        if self.letters.is_empty() { Vec::new() } else { self.letters.remove(&offset).unwrap_or_default() }
    }
}

impl Runner {
    pub(super) fn on_command(&mut self, command: Command) {
        // Whoever asked may have gone away since; what was asked for is done all the same.
        match command {
            Command::Pause(paused, answer) => {
                self.paused = paused;
                self.feed(Event::Paused(paused));
                let _ = answer.send(());
            }
            Command::Status(answer) => {
                let _ = answer.send(self.consumer.status(self.options.clock.now()));
            }
            Command::Redrive(chosen, answer) => {
                let until = self.options.clock.now();
                self.redriving.rest.push_back(Rest { chosen, after: None, until });
                self.redrive_more();
                // Whoever asked looks next whether it goes on.
                self.show();
                let _ = answer.send(());
            }
            Command::Order(order, answer) => {
                // What the journal holds by now is part of the backlog.
                self.feed(Event::Visible(self.end()));
                self.feed(Event::Ordered(order));
                let _ = answer.send(());
            }
            Command::EndOrder(id, answer) => {
                self.feed(Event::OrderEnded(id));
                let _ = answer.send(());
            }
            Command::Cancel(answer) => {
                if self.options.replay.is_some() {
                    self.cancelled = true;
                }
                let _ = answer.send(());
            }
        }
    }

    /// Looks for more letters once those before are done.
    pub(super) fn redrive_more(&mut self) {
        if self.redriving.asking || !self.redriving.letters.is_empty() || self.stopping {
            return;
        }
        let Some(rest) = self.redriving.rest.front().cloned() else { return };
        self.redriving.asking = true;
        let (store, name) = (self.options.store.clone(), self.options.name.clone());
        self.jobs.push(
            async move {
                let all = layout::dead_letters(&name);
                let from = rest.after.map_or(all, |(at, offset)| layout::dead_key(&name, at, offset).after());
                let until = layout::dead_key(&name, rest.until, Offset(u64::MAX));
                Done::Letters(store.range(Table::Dead, from, until, LETTERS).await)
            }
            .boxed(),
        );
    }

    pub(super) fn on_letters(&mut self, found: Result<Vec<(Key, bytes::Bytes)>, StoreError>) {
        self.redriving.asking = false;
        // There may be nothing to try: then nothing else happens that would show the end of it.
        self.look.notice();
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                tracing::error!(hook = self.options.name, "dead letters cannot be read, no more are tried: {error}");
                self.redriving.rest.pop_front();
                return self.redrive_more();
            }
        };
        let Some(mut rest) = self.redriving.rest.pop_front() else { return };
        let letters: Vec<(Key, DeadLetter)> =
            found.iter().filter_map(|(key, value)| Some((key.clone(), DeadLetter::decode(key, value)?))).collect();
        if found.len() == LETTERS
            && let Some((_, last)) = letters.last()
        {
            rest.after = Some((last.at, last.offset));
            self.redriving.rest.push_front(rest.clone());
        }
        for (key, letter) in letters.into_iter().filter(|(_, letter)| rest.chosen.has(letter)) {
            if let Some(others) = self.redriving.letters.get_mut(&letter.offset) {
                // Of the same event: one attempt is for all of them, so that it does not arrive once for each.
                others.push(key);
            } else if !self.entries.contains_key(&letter.offset) {
                // One whose event is in memory is being tried already.
                self.redriving.letters.insert(letter.offset, vec![key]);
                self.entries.insert(letter.offset, letter.entry);
                self.feed(Event::Redrive { offset: letter.offset });
            }
        }
        self.redrive_more();
    }
}
