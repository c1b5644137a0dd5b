use super::{Copier, Kept};
use crate::log::Publish;
use crate::registry::filter_position;
use bytes::Bytes;
use std::collections::HashMap;
use std::time::Duration;
use waybill_spool::StoreError;
use waybill_streams_core::{Error, Filter, Keeping, Message, Next, Page, Verdict, is_final};

/// Messages that are looked at together, and about how many bytes of them.
const PAGE: usize = 256;
const PAGE_BYTES: usize = 1 << 20;
/// Conditions that are asked before others have their turn.
const SLICE: usize = 16;
/// Whether the last state of a key is known, for the keys of a page.
type Lives = HashMap<Bytes, bool>;
/// A source that cannot be read, or a target that cannot be written, is tried again after this.
const AGAIN: Duration = Duration::from_secs(5);

impl Copier {
    /// Until the daemon stops or the filter is removed. A page is never broken off: it is short.
    pub(super) async fn run(self) {
        let (mut stop, mut removed) = (self.0.base.stop.clone(), self.0.removed.listen());
        loop {
            let version = *self.0.changed.borrow();
            let mut end = self.0.source.end();
            let next = self.0.state.lock().progress.next(self.0.base.clock.now(), end.now());
            let wait = async {
                match next {
                    Next::Load(_) => {}
                    Next::Rest => self.change(version).await,
                    Next::More => {
                        let from = self.next_offset();
                        tokio::select! {
                            () = end.beyond(from) => {}
                            () = self.change(version) => {}
                        }
                    }
                    Next::Wait(until) => {
                        tokio::select! {
                            () = self.0.base.clock.sleep_until(until) => {}
                            () = self.change(version) => {}
                        }
                    }
                }
            };
            tokio::select! {
                biased;
                () = removed.requested() => return,
                () = stop.requested() => return,
                () = wait => {}
            }
            if let Next::Load(_) = next {
                self.page().await;
            }
        }
    }

    /// Looks at the next page, and copies of it what is wanted.
    async fn page(&self) {
        let turn = self.0.turn.lock().await;
        if !matches!(*turn, Kept::Yes) {
            return;
        }
        if let Err(error) = self.copy().await {
            let id = self.filter().filter_id;
            tracing::error!(filter = %id, "what it would copy was not stored, which is tried again: {error}");
            let until = self.0.base.clock.now() + AGAIN;
            self.0.state.lock().progress.held_up(error.message, until);
        }
    }

    async fn copy(&self) -> Result<(), Error> {
        let (id, keeping, condition, mut progress) = {
            let state = self.0.state.lock();
            (state.filter.filter_id, state.filter.keeping, state.condition.clone(), state.progress.clone())
        };
        let from = progress.next_offset();
        let failed = |error| crate::log::failed(&error);
        let found = self.0.source.read(from, PAGE, PAGE_BYTES).await.map_err(failed)?;
        let (mut page, mut copies, mut lives) = (Page::from(from), Vec::<Message>::new(), Lives::new());
        for (number, (offset, message)) in found.messages.into_iter().enumerate() {
            if number % SLICE == SLICE - 1 {
                tokio::task::yield_now().await;
            }
            let verdict = match Filter::wants(&condition, offset, &message) {
                Ok(true) if keeping == Keeping::LastState => {
                    let late = self.is_late(&message, &mut lives).await.map_err(failed)?;
                    if late { Verdict::Late } else { Verdict::Wanted }
                }
                Ok(true) => Verdict::Wanted,
                Ok(false) => Verdict::Unwanted,
                Err(error) => Verdict::Untold(error.to_string()),
            };
            page.saw(offset, &verdict);
            if verdict == Verdict::Wanted {
                copies.push(message);
            }
        }
        progress.looked_at(&page, found.next, self.0.base.clock.now());
        if copies.is_empty() {
            self.0.base.registry.set_filter_position(id, &progress).await.map_err(failed)?;
        } else {
            // In one batch: a crash leaves both or none.
            let beside = Some(filter_position(id, &progress));
            self.0.target.put(Publish { messages: copies, beside, once: None }).await?;
        }
        self.0.state.lock().progress = progress;
        Ok(())
    }

    /// Whether the last state of this message's key is in the target, or among what this page copies, already. What has no
    /// key is nobody's state.
    async fn is_late(&self, message: &Message, lives: &mut Lives) -> Result<bool, StoreError> {
        let Some(key) = &message.key else { return Ok(true) };
        let ended = match lives.get(key) {
            Some(ended) => *ended,
            None => self.0.target.by_key(key).await?.is_some_and(|(_, newest)| is_final(&newest)),
        };
        lives.insert(key.clone(), ended || is_final(message));
        Ok(ended)
    }

    /// Waits for a change behind this one.
    async fn change(&self, version: u64) {
        let mut changed = self.0.changed.subscribe();
        // The sender lives in `self`.
        let _ = changed.wait_for(|count| *count != version).await;
    }
}
