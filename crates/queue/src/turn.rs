use crate::commit::Stored;
use crate::configs::Announced;
use crate::divide::divide;
use crate::driver::{Driver, Input};
use crate::inbox::News;
use crate::outcomes::{Attempt, Judged, Outcomes, Verdict};
use crate::records::{About, Noted, append};
use crate::returns::Question;
use rand::Rng;
use std::sync::Arc;
use std::time::Duration;
use waybill_delivery::TroubledSource;
use waybill_queue_core::queues::{Action, Event, Logged, SessionId};
use waybill_ready::{Refused, SessionEvent};
use waybill_spool::{Batch, Health, Message};
use waybill_types::{MessageId, QueueName, ReadyQueueName, Timestamp, format_duration};

type Actions = Vec<Action<MessageId>>;

/// What one turn wants stored.
#[derive(Default)]
struct Pending {
    changes: Batch,
    noted: Vec<Noted>,
}

impl Driver {
    /// One turn: everything is decided, then stored, then done.
    pub(crate) async fn turn(&mut self, input: Input) {
        let now = self.shared.options.clock.now();
        let mut actions = Vec::new();
        self.hear(now, input, &mut actions);
        let mut pending = Pending::default();
        let mut later = Vec::new();
        let mut questions = Vec::new();
        let mut actions = actions.into_iter();
        while let Some(action) = self.next_parting().or_else(|| actions.next()) {
            if self.must_wait(&action) {
                self.partings.put_off(action);
                continue;
            }
            match action {
                Action::AskBeforeReturn { item, queue, reasons, attempt, response, delay } => {
                    let tried = self.attempts.remove(&item);
                    let said = tried.as_ref().map(|tried| tried.response.clone());
                    self.asked.extend(tried.map(|tried| (item, tried)));
                    questions.push(Question { item, queue, reasons, attempt, response, delay, said });
                }
                Action::Log { item, queue, attempts, what } => {
                    let held = self.body_for_parting(item, &what).await;
                    let before = pending.noted.len();
                    self.log(now, item, &queue, attempts, &what, &mut pending);
                    match pending.noted.get_mut(before..).and_then(<[Noted]>::last_mut) {
                        Some(noted) => noted.held = held,
                        None => self.writer.let_go(held),
                    }
                }
                Action::Save { item, attempts, due } => self.save(item, attempts, due, &mut pending),
                Action::Remove { item } => {
                    self.shared.messages.remove(item);
                    pending.changes.remove(item);
                }
                other => later.push(other),
            }
        }
        self.attempts.clear();
        if !self.closed {
            self.store(pending).await;
        }
        self.perform(later);
        self.ask_before_return(questions);
    }

    /// Stores what was decided together with its events, however long the store refuses; then tells the sinks. The
    /// driver waits here, so nothing new is handed out while the store is not well.
    async fn store(&mut self, pending: Pending) {
        let Pending { changes: mut batch, noted } = pending;
        append(&mut batch, &noted);
        match self.shared.commit_held(batch).await {
            Stored::Yes => self.writer.write(noted),
            // What cannot be remembered must not be done: it would be done again after every start.
            Stored::Never => {
                self.closed = true;
                self.again.push(Event::Stopping);
            }
        }
    }

    fn hear(&mut self, now: Timestamp, input: Input, actions: &mut Actions) {
        let failing = matches!(self.shared.options.store.health(), Health::Failing(_));
        if failing != self.paused {
            self.paused = failing;
            let event = if failing { Event::Paused } else { Event::Unpaused };
            self.queues.step(now, event, actions);
        }
        for event in std::mem::take(&mut self.again).into_iter().chain(input.events) {
            self.queues.step(now, event, actions);
        }
        for report in input.reports {
            self.hear_report(now, report, actions);
        }
        for news in input.news {
            self.hear_news(now, news, actions);
        }
        self.walk_orders(now, actions);
        self.go_on_rebinding(now, actions);
    }

    fn hear_report(&mut self, now: Timestamp, report: SessionEvent<MessageId>, actions: &mut Actions) {
        match report {
            SessionEvent::Ready(session) => self.queues.step(now, Event::SessionReady { session }, actions),
            SessionEvent::Closed(session, _) => self.queues.step(now, Event::Closed { session }, actions),
            SessionEvent::Refused(session, refused) => self.refused(now, session, &refused, actions),
            SessionEvent::Finished(session, mut finished) => {
                self.shared.stats.worked(&finished);
                let divisions = divide(&mut finished);
                let judged = Judged { session, finished, divisions, verdicts: Vec::new() };
                if self.closed || !self.shared.wants_judgement(&judged) {
                    return self.finished(now, judged, actions);
                }
                let in_queue = |item| self.queues.details(item).map(|details| details.queue);
                let queues = judged.finished.items.iter().map(in_queue).collect();
                let task = self.shared.clone();
                let name = format!("requeue_message of session {session}");
                self.shared.options.supervisor.spawn(name, async move { task.judge(Box::new(judged), queues).await });
            }
        }
    }

    /// A session could not connect. What goes back because it was one too many tells of this attempt.
    fn refused(&mut self, now: Timestamp, session: SessionId, refused: &Refused, actions: &mut Actions) {
        if let Some(source) = &refused.source {
            self.source_troubled(now, source, refused.route.ready_queue(), actions);
        }
        let before = actions.len();
        let response = refused.response.clone();
        self.queues.step(now, Event::SessionRefused { session, response }, actions);
        let path = self.ways.get(refused.route.ready_queue());
        for action in &actions[before..] {
            let (Action::Log {
                item, what: Logged::TransientFailure { response } | Logged::Bounce { response }, ..
            }
            | Action::AskBeforeReturn { item, response, .. }) = action
            else {
                continue;
            };
            if response.as_deref() == Some(&refused.response) {
                self.attempts.insert(*item, Attempt::refused(refused, path));
            }
        }
    }

    /// Connections of a source cannot begin: if it is left alone from now on, what waits goes other ways before the session
    /// fails any of it.
    fn source_troubled(
        &mut self,
        now: Timestamp,
        source: &TroubledSource,
        queue: &ReadyQueueName,
        actions: &mut Actions,
    ) {
        let order = |driver: &Self| driver.queues.ready_status(queue, now).and_then(|status| status.suspended);
        let before = order(self);
        let TroubledSource { name, trouble, rule, why } = source.clone();
        let duration = format_duration(rule.duration);
        self.queues.step(now, Event::SourceTroubled { source: name, trouble, rule, why: why.clone() }, actions);
        if before.is_none() && order(self).is_some() {
            tracing::warn!("{why}; it is suspended for {duration}");
        }
    }

    fn hear_news(&mut self, now: Timestamp, news: News, actions: &mut Actions) {
        match news {
            News::Arrived(arrival, config, stored) => {
                self.shared.stats.inserted.observe(stored.elapsed());
                self.announce(now, &arrival.queue, config, actions);
                self.heed_orders(now, &arrival.queue, actions);
                self.queues.step(now, Event::Arrived(arrival), actions);
            }
            News::Answered(answers) => {
                for (item, delay) in answers {
                    if let Some(message) = self.shared.messages.get(item) {
                        self.hear_schedule(now, &message, actions);
                    }
                    self.queues.step(now, Event::Answered { item, delay }, actions);
                }
            }
            News::Judged(judged) => self.finished(now, *judged, actions),
            News::Returned(returned) => self.returned(now, returned, actions),
            News::Begin(order) => self.begin_order(now, order, actions),
            News::End(order) => self.end_order(now, order, actions),
            News::Rebind(rebind) => self.begin_rebind(now, rebind),
            News::Rebound(rebound) => self.rebound(now, rebound, actions),
            News::Look(look) => look.take(self, now),
            News::Resolved { queue, config, found } => {
                // Reaped while it was asked for: the next message asks again.
                if self.queues.status(&queue, now).is_none() {
                    return;
                }
                if let Some(config) = config {
                    self.announce(now, &queue, config, actions);
                }
                let route = match found {
                    None => return,
                    Some(Ok(found)) => {
                        let queues = &self.queues;
                        self.ways.learn(&queue, found.paths, |name| queues.ready_status(name, now).is_some());
                        Ok(found.route)
                    }
                    Some(Err(unroutable)) => Err(unroutable),
                };
                self.queues.step(now, Event::RouteResolved { queue, route }, actions);
            }
        }
    }

    /// The core goes by this configuration from here on.
    pub(crate) fn announce(&mut self, now: Timestamp, queue: &QueueName, config: Announced, actions: &mut Actions) {
        let known = self.queues.status(queue, now).map(|status| status.config);
        if known.is_some_and(|known| Arc::ptr_eq(&known, &config) || known == config) {
            return;
        }
        self.queues.step(now, Event::ConfigChanged { queue: queue.clone(), config }, actions);
    }

    /// Policy may have set another schedule while it had the message.
    pub(crate) fn hear_schedule(&mut self, now: Timestamp, message: &Message, actions: &mut Actions) {
        if let Some(schedule) = message.take_new_schedule() {
            self.queues.step(now, Event::ScheduleChanged { item: message.id(), schedule }, actions);
        }
    }

    /// A batch comes back, with the last word about each of its messages.
    fn finished(&mut self, now: Timestamp, mut judged: Judged, actions: &mut Actions) {
        let session = judged.session;
        for verdict in &mut judged.verdicts {
            if let Verdict::Moved(to, config) = verdict {
                self.announce(now, to, config.clone(), actions);
                self.heed_orders(now, to, actions);
            }
        }
        for message in judged.finished.messages.iter().flatten() {
            self.hear_schedule(now, message, actions);
        }
        let path = self.ways.get(judged.finished.route.ready_queue());
        let random = &mut self.random;
        let Outcomes { settled: outcomes, attempts, fate } =
            Outcomes::of(judged, path, || Duration::from_secs(random.random_range(1..60)));
        self.attempts.extend(attempts);
        self.queues.step(now, Event::Finished { session, outcomes, fate }, actions);
    }

    fn log(
        &self,
        now: Timestamp,
        item: MessageId,
        queue: &QueueName,
        attempts: u16,
        what: &Logged,
        pending: &mut Pending,
    ) {
        let Some(message) = self.shared.messages.get(item) else { return };
        if let Logged::AdminBounce { silent, .. } = what {
            self.count_bounce(queue);
            if *silent {
                return;
            }
        }
        // Where nobody waited for the policy's answer, this is about what was tried before it was asked.
        let unanswered = || match what {
            Logged::TransientFailure { .. } | Logged::Delayed { .. } => self.asked.get(&item),
            _ => None,
        };
        let attempt = self.attempts.get(&item).or_else(unanswered);
        self.shared.stats.count(queue, what, attempt);
        let about = About { now, message: &message, queue, attempts, attempt };
        self.shared.logged(&about, what, &mut pending.noted);
        if matches!(what, Logged::Delayed { .. }) {
            self.shared.messages.cool(item);
        }
    }

    fn save(&self, item: MessageId, attempts: u16, due: Timestamp, pending: &mut Pending) {
        let Some(message) = self.shared.messages.get(item) else { return };
        message.set_attempts(u32::from(attempts));
        message.set_due(Some(due));
        // Where its body is here, the attempt may have changed it.
        message.capture(&self.shared.options.sink.capture());
        pending.changes.save(&message);
        self.shared.messages.shrink(item);
    }
}
