//! What must hold: while the actions of a step are taken in, and after it.

use crate::reference::{Path, Phase, Reference, Session};
use std::collections::BTreeMap;
use std::time::Duration;
use waybill_queue_core::queues::{Action, Logged, Queues, SessionId, State};
use waybill_queue_core::ready::wanted_sessions;
use waybill_queue_core::reason::Reason;
use waybill_types::Timestamp;

/// Half the width of the jitter, and the random wait of those that were not tried.
const MINUTE: Duration = Duration::from_secs(60);

impl Reference {
    /// Takes in what the queues want, and objects to what they must not want.
    pub(crate) fn take(&mut self, actions: &[Action<u32>]) {
        for (place, action) in actions.iter().enumerate() {
            let next = actions.get(place + 1);
            match action {
                Action::WakeAt(at) => {
                    assert!(*at >= self.now, "a wake-up in the past");
                    self.wake = Some(*at);
                }
                Action::ResolveRoute { queue } => {
                    let queue = self.queue(queue);
                    self.routes_asked.insert(queue);
                }
                Action::AskBeforeReady { item, .. } => {
                    assert!(self.asked.insert(*item), "{item} asked about twice");
                }
                Action::AskBeforeReturn { item, queue, attempt, delay, reasons, .. } => {
                    let queue = self.queue(queue);
                    let known = self.items.get_mut(item).expect("only a message goes back");
                    assert!(known.queue == queue && !reasons.is_empty() && !self.stopping);
                    (known.with, known.ready, known.due) = (None, None, known.due.min(self.now));
                    assert!(self.returning.insert(*item, (*attempt, *delay)).is_none(), "{item} goes back twice");
                }
                Action::Open { queue, session, representative } => {
                    let path = self.path(queue);
                    self.queue(representative);
                    self.may_move(path);
                    let limit = self.paths[path].limits.connection_limit as usize;
                    assert!(self.count_sessions(path, |_| true) < limit, "more sessions than {limit}");
                    self.paths[path].opened += 1;
                    self.paths[path].opened_at = self.now;
                    let limits = &self.paths[path].limits;
                    let rate = limits.max_connection_rate;
                    assert!(self.keeps(path, rate, self.paths[path].opened), "connections too fast");
                    for (name, limit) in &limits.additional_connection_limits {
                        assert!(self.leases(name) < *limit as usize, "more sessions under {name} than {limit}");
                    }
                    let leases = limits.additional_connection_limits.keys().cloned().collect();
                    let session_state = Session { path, leases, phase: Phase::Opening, served: 0 };
                    assert!(self.sessions.insert(*session, session_state).is_none(), "{session} twice");
                }
                Action::Hand { session, queue, items } => {
                    let path = self.path(queue);
                    self.may_move(path);
                    self.hand(*session, path, items);
                }
                Action::Close { session } => {
                    let session = self.sessions.get_mut(session).expect("only a session can be closed");
                    assert!(matches!(session.phase, Phase::Idle { .. }), "closed while {:?}", session.phase);
                    session.phase = Phase::Closing;
                }
                Action::Log { item, queue, attempts, what } => {
                    let queue = self.queue(queue);
                    self.log(*item, queue, *attempts, what, next);
                }
                Action::Save { item, attempts, due } => {
                    self.save(*item, *attempts, *due);
                    let queue = self.items[item].queue;
                    let row = self.disk.get_mut(item).expect("what is saved was accepted and is not at its end");
                    (row.queue, row.attempts, row.due) = (queue, Some(*attempts), Some(*due));
                }
                Action::Remove { item } => {
                    let gone = self.items.remove(item).expect("removed twice");
                    let silent = self.bounces_silently(gone.queue);
                    assert!(gone.finals == 1 || (gone.finals == 0 && silent), "{item}: {} last records", gone.finals);
                    self.asked.remove(item);
                    self.taken.remove(item);
                    self.returning.remove(item);
                    self.disk.remove(item);
                }
                Action::Taken { queue, items } => {
                    let queue = self.queue(queue);
                    for item in items {
                        let known = self.items.get_mut(item).expect("only a message can be taken");
                        assert!(known.queue == queue && known.with.is_none(), "{item} was not there to be taken");
                        known.ready = None;
                        self.asked.remove(item);
                        assert!(!self.returning.contains_key(item), "{item} is with the policy");
                        assert!(self.taken.insert(*item), "{item} taken twice");
                    }
                }
                Action::Forgotten { queue } => {
                    let queue = self.queue(queue);
                    assert!(self.items.values().all(|item| item.queue != queue), "forgotten with messages in it");
                    self.queues[queue].known = false;
                    self.routes_asked.remove(&queue);
                }
                Action::ReadyForgotten { queue } => {
                    let path = self.path(queue);
                    assert_eq!(self.count_sessions(path, |_| true), 0, "forgotten with sessions");
                    self.paths[path].last_failure = None;
                }
                Action::Stopped => {
                    assert!(self.stopping && !self.stopped && self.sessions.is_empty());
                    self.stopped = true;
                }
            }
        }
    }

    fn may_move(&self, path: usize) {
        assert!(self.moving_allowed() && !self.path_suspended(path), "something moves that must not");
    }

    fn hand(&mut self, id: SessionId, path: usize, items: &[u32]) {
        let now = self.now;
        let Path { name, batch, limits, .. } = &self.paths[path];
        let (name, batch, limits) = (name.clone(), *batch, limits.clone());
        let session = self.sessions.get_mut(&id).expect("a session gets the batch");
        assert!(
            session.path == path && matches!(session.phase, Phase::Idle { .. }),
            "handed while {:?}",
            session.phase
        );
        assert!(session.served < limits.max_deliveries_per_connection, "the session is worn out");
        session.phase = Phase::Busy;
        self.paths[path].passed += items.len() as u64;
        session.served += items.len();
        assert!(self.keeps(path, limits.max_message_rate, self.paths[path].passed), "messages too fast");
        let names = limits.additional_message_rate_throttles.keys().cloned();
        self.named.pass(names, items.len() as u64, now);
        assert!(!items.is_empty() && items.len() <= batch.batch_size(), "a batch of {}", items.len());
        let mut since = Vec::new();
        let mut chosen = 0;
        for key in items {
            let queue = self.items[key].queue;
            assert!(!self.suspended(queue) && !self.bounces(queue), "{key} is handed over against an order");
            assert!(self.disk.contains_key(key), "{key} is handed over after its end");
            let item = self.items.get_mut(key).expect("only a message can be handed over");
            assert_eq!(item.with, None, "{key} is with two sessions");
            assert!(item.due <= now, "{key} is handed over before it is due");
            // One that came over from another ready queue in this step waits since now.
            let here = item.ready.take().filter(|(queue, _)| *queue == name);
            chosen += usize::from(here.is_none());
            since.push(here.map_or(now, |(_, since)| since));
            item.with = Some(id);
        }
        (0..chosen).for_each(|_| self.select(path));
        assert!(since.is_sorted(), "not the oldest first");
        let last = since.last().copied().unwrap_or(now);
        assert!(self.ready_items(path).iter().all(|other| *other >= last), "an older one was passed over");
        let named = limits.additional_message_rate_throttles.values();
        let torn = named.chain(&limits.max_message_rate).any(|rate| rate.burst() < batch.min_batch_size() as u64);
        let in_time = since[0] + batch.max_batch_latency() <= now;
        assert!(items.len() >= batch.min_batch_size() || in_time || torn, "a batch of {} too early", items.len());
    }

    fn log(&mut self, key: u32, queue: usize, attempts: u16, what: &Logged, next: Option<&Action<u32>>) {
        if let Logged::Forwarded = what {
            assert_eq!(self.forwarding.get(&key), Some(&queue), "{key} goes where no session sent it");
            self.items.get_mut(&key).expect("a message").queue = queue;
        } else if let (Some(to), Logged::TransientFailure { .. }) = (self.moving.get(&key).copied(), what) {
            // The record names the queue that the message leaves.
            self.items.get_mut(&key).expect("a message").queue = to;
        } else {
            assert_eq!(self.items.get(&key).expect("a record of nothing").queue, queue);
        }
        let now = self.now;
        let silent = self.bounces_silently(self.items[&key].queue);
        let max_age = self.queues[self.items[&key].queue].config.max_age;
        let item = self.items.get_mut(&key).expect("a record of nothing");
        assert_eq!(item.attempts, attempts, "{key}");
        let of_same = |action: Option<&Action<u32>>| match action {
            Some(Action::Log { item, what, .. }) => *item == key && what.is_final(),
            Some(Action::Save { item, .. }) => *item == key,
            Some(Action::Remove { item }) => *item == key && silent,
            _ => false,
        };
        match what {
            Logged::TransientFailure { .. } => assert!(of_same(next), "{key} failed, and then? {next:?}"),
            Logged::Delayed { due, response, reasons } => {
                assert!(*due > now && !reasons.is_empty() && response.content.starts_with("Context: "));
                item.with = None;
                item.ready = None;
                if reasons.contains(Reason::MessageRateThrottle) {
                    // Held in line: due already, and the record only guesses when its turn comes.
                    item.due = item.due.min(*due);
                } else {
                    assert_eq!(item.allowed(*due), *due, "{key} is due when it must not be tried");
                    item.due = *due;
                    let age = due.since(item.created);
                    let early = item.expires().map_or_else(|| age < max_age, |expires| *due < expires);
                    assert!(early, "{key} should have expired");
                }
            }
            Logged::Expiration { .. } => self.may_expire(key),
            Logged::AdminRebind { .. } => {
                assert!(self.rebound == Some(key) && of_same(next), "{key} was moved, and then? {next:?}");
            }
            Logged::Forwarded => assert!(of_same(next), "{key} was sent on, and then? {next:?}"),
            Logged::Delivery | Logged::Bounce { .. } | Logged::AdminBounce { .. } => {}
        }
        if what.is_final() {
            assert_eq!(next, Some(&Action::Remove { item: key }), "the last record comes with the removal");
            self.items.get_mut(&key).expect("a message").finals += 1;
        }
    }

    /// The naive formula of the contract, with the most that jitter and wishes may add.
    fn wait(&self, key: u32) -> (Duration, Duration) {
        let item = &self.items[&key];
        let config = &self.queues[item.queue].config;
        let mut delay = config.retry_interval;
        for _ in 0..item.attempts {
            delay = delay.saturating_mul(2);
        }
        let delay = delay.min(config.max_retry_interval.unwrap_or(Duration::MAX));
        // Half of a twentieth, a minute at most, whole seconds.
        let jitter = Duration::from_secs((config.retry_interval / 20).min(MINUTE).as_secs_f64().div_euclid(2.0) as u64);
        let asked = self.retry_after.get(&key).copied().unwrap_or_default();
        (delay.saturating_sub(jitter).max(asked), delay.saturating_add(jitter).max(asked))
    }

    fn may_expire(&self, key: u32) {
        let item = &self.items[&key];
        let latest = self.now + self.wait(key).1.max(MINUTE).max(self.longest_delay);
        let latest = item.allowed(latest.max(self.now + Duration::from_secs(3600 + 60)));
        match item.expires() {
            Some(expires) => assert!(latest >= expires, "{key} expired before its time"),
            None => {
                let max_age = self.queues[item.queue].config.max_age;
                assert!(latest.since(item.created) >= max_age, "{key} expired before its time");
            }
        }
    }

    fn save(&mut self, key: u32, attempts: u16, due: Timestamp) {
        if self.rebound == Some(key) {
            // What comes of it in the same step is an outcome of its own.
            self.rebound = None;
            let item = self.items.get_mut(&key).expect("only a message can be saved");
            assert_eq!(item.attempts, attempts, "a rebind is no attempt");
            assert!(due >= self.now && due.since(self.now) < MINUTE);
            item.due = due;
            return;
        }
        if self.forwarding.remove(&key).is_some() {
            // As new: due as soon as its schedule allows, without the attempts that it took to get ready.
            let now = self.now;
            let item = self.items.get_mut(&key).expect("only a message can be saved");
            assert_eq!((attempts, due), (0, item.allowed(now)), "{key}");
            (item.attempts, item.due, item.with, item.ready) = (0, due, None, None);
            return;
        }
        let (least, most) = self.wait(key);
        // Tried again in the same step, it is on its own.
        let moved = self.moving.remove(&key).is_some();
        self.retry_after.remove(&key);
        let now = self.now;
        let max_age = self.queues[self.items[&key].queue].config.max_age;
        let item = self.items.get_mut(&key).expect("only a message can be saved");
        assert_eq!(item.attempts + 1, attempts);
        let wait = due.since(now);
        // The wait first, then the window.
        let (least, most) = if moved { (now, now) } else { (now + least, now + most) };
        assert!(due >= item.allowed(least) && due <= item.allowed(most), "{key} waits {wait:?}");
        match item.expires() {
            Some(expires) => assert!(due < expires, "{key} should have expired"),
            None => assert!(due.since(item.created) <= max_age, "{key} should have expired"),
        }
        (item.attempts, item.due, item.with, item.ready) = (attempts, due, None, None);
    }

    /// After each step: the queues and the model agree, nothing is stuck, and the next wake-up is early enough.
    pub(crate) fn check(&mut self, queues: &Queues<u32>) {
        assert_eq!(queues.len(), self.items.len(), "a message was lost or kept");
        assert_eq!(queues.sessions(), self.sessions.len());
        let now = self.now;
        let moving = self.moving_allowed();
        let suspended: Vec<bool> = (0..self.queues.len()).map(|queue| self.suspended(queue)).collect();
        let bounces: Vec<bool> = (0..self.queues.len()).map(|queue| self.bounces(queue)).collect();
        let selects = |path: &Path| {
            path.limits.source_selection_rate.is_some() || !path.limits.additional_source_selection_rates.is_empty()
        };
        // While a change of a path reaches its queues one by one, the others wait for turns under the old rates.
        let selecting: Vec<bool> = self.paths.iter().map(|path| selects(path) || path.since == now).collect();
        let mut chosen = Vec::new();
        for (key, item) in &mut self.items {
            let state = queues.state(key).expect("a message that was not removed is here");
            match (&state, item.with) {
                (State::InFlight { session }, with) => assert_eq!(Some(*session), with),
                (_, Some(session)) => panic!("{key} should be with {session}, but is {state:?}"),
                _ => {}
            }
            let in_flight = matches!(state, State::InFlight { .. });
            assert!(in_flight || !bounces[item.queue], "{key} outlives a bounce: {state:?}");
            match state {
                State::Ready { queue } => {
                    assert!(item.due <= now, "{key} is ready before it is due");
                    assert!(!suspended[item.queue], "{key} is ready in spite of a suspension");
                    if item.ready.as_ref().is_none_or(|(before, _)| *before != queue) {
                        chosen.push(queue.clone());
                        item.ready = Some((queue, now));
                    }
                }
                State::Scheduled { due, .. } => {
                    item.ready = None;
                    let queue = &self.queues[item.queue];
                    let waits = self.routes_asked.contains(&item.queue)
                        || self.asked.contains(key)
                        || self.taken.contains(key)
                        || self.returning.contains_key(key)
                        || queue.config.max_message_rate.is_some()
                        || queue.ways.iter().any(|(way, _)| selecting[*way])
                        || self.wake == Some(now);
                    assert!(due > now || !moving || waits, "{key} is due and stuck");
                    let aside = self.taken.contains(key);
                    assert!(
                        due <= now || aside || !moving || self.wake.is_some_and(|wake| wake <= due),
                        "{key}: no wake-up"
                    );
                }
                State::InFlight { .. } => {}
            }
        }
        for name in chosen {
            self.select(self.path(&name));
        }
        for queue in 0..self.queues.len() {
            self.check_queue(queue, queues);
        }
        for path in 0..self.paths.len() {
            self.check_path(path, queues);
        }
        self.check_order(queues);
    }

    /// What waited for its time leaves its queue in the order of these times. What was overdue when it came is not among
    /// that: it stands in line as it came.
    fn check_order(&mut self, queues: &Queues<u32>) {
        let mut left: BTreeMap<usize, Timestamp> = BTreeMap::new();
        let mut still: BTreeMap<usize, Timestamp> = BTreeMap::new();
        let now = self.now;
        self.waiting.retain(|key, (queue, was_due)| {
            if self.items.get(key).is_none_or(|item| item.queue != *queue) {
                return false;
            }
            if self.asked.contains(key) || self.taken.contains(key) || self.returning.contains_key(key) {
                return false;
            }
            match queues.state(key) {
                Some(State::Scheduled { due, .. }) if due == *was_due => {
                    let first = still.entry(*queue).or_insert(due);
                    *first = due.min(*first);
                    true
                }
                // Its time has changed while it waited, or it was sent back from where it was.
                Some(State::Scheduled { .. }) | None => false,
                Some(State::Ready { .. } | State::InFlight { .. }) => {
                    let last = left.entry(*queue).or_insert(*was_due);
                    *last = (*was_due).max(*last);
                    false
                }
            }
        });
        for (queue, last) in left {
            let first = still.get(&queue).copied().unwrap_or(Timestamp::MAX);
            assert!(last <= first, "one due at {last} left before one that was due at {first}");
        }
        for (key, item) in &self.items {
            match queues.state(key) {
                Some(State::Scheduled { due, .. }) if due > now && !self.taken.contains(key) => {
                    self.waiting.insert(*key, (item.queue, due));
                }
                _ => {}
            }
        }
    }

    fn check_queue(&self, index: usize, queues: &Queues<u32>) {
        let queue = &self.queues[index];
        let members = || self.items.values().filter(|item| item.queue == index);
        for (name, _) in members().filter_map(|item| item.ready.as_ref()) {
            let path = self.path(name);
            assert!(queue.ways.iter().any(|(way, _)| *way == path), "ready where its queue does not go");
        }
        let ready = members().filter(|item| item.ready.is_some()).count();
        let in_flight = members().filter(|item| item.with.is_some()).count();
        let told = queues.status(&queue.name, self.now);
        let told = told.map_or((0, 0, 0), |told| (told.scheduled, told.ready, told.in_flight));
        assert_eq!(told, (members().count() - ready - in_flight, ready, in_flight));
    }

    fn check_path(&self, path: usize, queues: &Queues<u32>) {
        let Path { name, limits, batch, last_failure, opened_at, .. } = &self.paths[path];
        let ready = self.ready_items(path);
        assert!(ready.len() <= limits.max_ready, "more ready than {}", limits.max_ready);
        let Some(status) = queues.ready_status(name, self.now) else {
            assert!(ready.is_empty());
            return;
        };
        assert_eq!((status.ready, status.reserved), (ready.len(), 0));
        let idle = self.count_sessions(path, |phase| matches!(phase, Phase::Idle { .. }));
        let busy = self.count_sessions(path, |phase| phase == Phase::Busy);
        let opening = self.count_sessions(path, |phase| phase == Phase::Opening);
        let total = self.count_sessions(path, |_| true);
        assert_eq!((status.idle, status.busy, status.opening), (idle, busy, opening));
        for session in self.sessions.values() {
            if let (Phase::Idle { since }, true) = (session.phase, session.path == path) {
                let end = since + limits.idle_timeout;
                assert!(end > self.now, "idle for too long");
                assert!(
                    self.wake.is_some_and(|wake| wake <= end),
                    "no wake-up for an idle session: {:?} > {end} at {}, {status:?} {limits:?}",
                    self.wake,
                    self.now
                );
            }
        }
        if !self.moving_allowed() || self.path_suspended(path) {
            return;
        }
        let formed = self.formed(path);
        if limits.max_message_rate.is_none() && limits.additional_message_rate_throttles.is_empty() {
            assert!(formed == 0 || idle == 0, "{formed} batches are formed and a session is idle");
            let pause = last_failure.is_some_and(|at| at + Duration::from_secs(5) > self.now);
            let wanted = wanted_sessions(limits.connection_limit, formed + busy, limits.aggressive_connection_opening);
            let served = formed == 0 || idle + busy + opening >= wanted || total >= limits.connection_limit as usize;
            let mut names = limits.additional_connection_limits.iter();
            let limited = names.any(|(name, limit)| self.leases(name) >= *limit as usize);
            let excused = pause || limited || limits.max_connection_rate.is_some();
            assert!(served || excused, "nobody comes for {formed} batches");
            if formed > 0 && opening == 0 && total < limits.connection_limit as usize && !excused {
                // What waits has waited for less than a second, or another session was opened since.
                let latest = ready[0] + batch.max_batch_latency();
                let at = ready.get(batch.min_batch_size() - 1).map_or(latest, |full| latest.min(*full));
                let at = at.max(*opened_at) + Duration::from_secs(1);
                assert!(at > self.now && self.wake.is_some_and(|wake| wake <= at), "nobody gets impatient");
            }
        }
        let rest = ready.len() / batch.batch_size() * batch.batch_size();
        if let Some(first) = ready.get(rest) {
            let at = *first + batch.max_batch_latency();
            assert!(at <= self.now || self.wake.is_some_and(|wake| wake <= at), "no wake-up for a batch");
        }
    }
}
