//! Random events, and the answers that a driver owes.

use crate::reference::{Item, Named, Path, Phase, Reference, Row, Scheduled, Session};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use waybill_queue_core::config::QueueConfig;
use waybill_queue_core::queues::{
    Arrival, Choice, Event, Fate, Order, Outcome, Queues, Route, SessionId, State, Unroutable, Verdict,
};
use waybill_queue_core::ready::{BatchPolicy, PathLimits};
use waybill_queue_core::reason::Reason;
use waybill_types::{QueueName, ReadyQueueName, Response, Schedule, ThrottleSpec, Timestamp};

/// When every run begins.
const START: Timestamp = Timestamp::from_secs(1_700_000_000);

pub(crate) struct Driver {
    random: StdRng,
    queues: Queues<u32>,
    model: Reference,
    next_item: u32,
    ask: bool,
    ask_back: bool,
    /// `MODEL_SEED=n` runs one seed and shows what happens.
    trace: bool,
}

impl Driver {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        // Half of the seeds have no rates: there the checks for "nothing is stuck" are strict.
        let rates = random.random_bool(0.5);
        let named = random_names(&mut random, rates);
        let paths = (0..3).map(|n| random_path(&mut random, n, rates, &named)).collect();
        let queues = (0..4).map(|n| random_queue(&mut random, n, rates)).collect();
        let now = START;
        let model = Reference {
            now,
            items: BTreeMap::new(),
            disk: BTreeMap::new(),
            disk_before: BTreeMap::new(),
            waiting: BTreeMap::new(),
            sessions: BTreeMap::new(),
            queues,
            paths,
            named,
            routes_asked: BTreeSet::new(),
            asked: BTreeSet::new(),
            returning: BTreeMap::new(),
            taken: BTreeSet::new(),
            rebound: None,
            wake: None,
            paused: false,
            stopping: false,
            stopped: false,
            retry_after: BTreeMap::new(),
            longest_delay: Duration::ZERO,
            moving: BTreeMap::new(),
            forwarding: BTreeMap::new(),
        };
        let (ask, ask_back) = (random.random_bool(0.2), random.random_bool(0.3));
        let mut queues = Queues::new(random.random());
        queues.ask_before_ready(ask);
        queues.ask_before_return(ask_back);
        let trace = std::env::var_os("MODEL_SEED").is_some();
        Driver { random, queues, model, next_item: 0, ask, ask_back, trace }
    }

    pub(crate) fn random_step(&mut self) {
        match self.random.random_range(0..100) {
            0..25 if self.model.items.len() < 60 => self.arrive(),
            0..45 => self.tick(),
            45..52 => self.answer_route(),
            52..66 => self.session_event(),
            66..84 => self.finish(),
            84..86 => self.answer_question(),
            86 => self.answer_return(),
            87..90 => self.order(),
            90..92 => self.change_path(),
            92..94 => self.change_queue(),
            94..97 => self.touch_item(),
            97 => self.pause(),
            98 => self.restart(),
            _ => self.nonsense(),
        }
    }

    /// Everything that is needed is granted until nothing is left.
    pub(crate) fn deliver_everything(&mut self) {
        self.lift_orders();
        for _ in 0..20_000 {
            if self.model.items.is_empty() {
                return;
            }
            if let Some(queue) = self.model.routes_asked.first().copied() {
                self.resolve(queue);
            } else if let Some(item) = self.model.asked.first().copied() {
                self.model.asked.remove(&item);
                self.step(Event::Answered { item, delay: None });
            } else if let Some(item) = self.model.returning.keys().next().copied() {
                self.answer(item, Verdict::Stands);
            } else if let Some(item) = self.model.taken.first().copied() {
                self.rebind(item, self.model.items[&item].queue);
            } else if let Some((id, phase)) = self.session(|phase| !matches!(phase, Phase::Idle { .. })) {
                match phase {
                    Phase::Opening => self.connected(id),
                    Phase::Closing => self.closed(id),
                    Phase::Busy | Phase::Idle { .. } => {
                        let items = self.held_by(id);
                        let outcomes = items.into_iter().map(|item| (item, Outcome::Delivered)).collect();
                        self.finished(id, outcomes, Fate::Keep);
                    }
                }
            } else {
                self.model.now =
                    self.model.wake.expect("something is left, so something is to come").max(self.model.now);
                self.step(Event::Tick);
            }
        }
        panic!("{} messages are never delivered: {:?}", self.model.items.len(), self.model.items);
    }

    /// Everything in flight finishes, everything else stays.
    pub(crate) fn stop(&mut self) {
        self.wind_down();
        let kept: Vec<u32> = self.model.items.keys().copied().collect();
        self.model.now = self.model.now + Duration::from_secs(86_400);
        self.step(Event::Tick);
        assert!(kept.iter().all(|item| !matches!(self.queues.state(item), None | Some(State::InFlight { .. }))));
    }

    fn wind_down(&mut self) {
        self.model.stopping = true;
        // Nobody waits for what the policy would have said: each attempt is on the disk with the step of the stop.
        let unanswered = std::mem::take(&mut self.model.returning);
        let tried = unanswered.iter().filter(|(_, (attempt, _))| *attempt);
        let tried: Vec<(u32, u16)> = tried.map(|(item, _)| (*item, self.model.items[item].attempts)).collect();
        self.model.longest_delay = unanswered.values().filter_map(|(_, delay)| *delay).max().unwrap_or_default();
        self.step(Event::Stopping);
        for (item, before) in tried {
            let kept = self.model.disk.get(&item).is_none_or(|row| row.attempts == Some(before + 1));
            assert!(kept, "the attempt of {item} is lost");
        }
        while let Some((id, phase)) = self.session(|_| true) {
            match phase {
                Phase::Opening if self.random.random_bool(0.5) => self.connected(id),
                Phase::Opening => self.failed(id),
                Phase::Busy => self.finish_session(id),
                Phase::Closing => self.closed(id),
                Phase::Idle { .. } => panic!("{id} is idle after the stop"),
            }
        }
        assert!(self.model.stopped, "nobody said that the last session is gone");
    }

    /// The daemon ends, in order or in the middle of things, and the next one finds what the spool holds.
    fn restart(&mut self) {
        match self.random.random_range(0..3) {
            0 => self.wind_down(),
            1 => {}
            // Before the last step was stored: what it did outside was done, and nobody knows.
            _ => self.model.disk = self.model.disk_before.clone(),
        }
        let down = if self.random.random_bool(0.1) { self.seconds(0, 90_000) } else { self.seconds(0, 900) };
        self.model.now = self.model.now + down;
        self.model.forget();
        self.queues = Queues::new(self.random.random());
        self.queues.ask_before_ready(self.ask);
        self.queues.ask_before_return(self.ask_back);
        if self.trace {
            eprintln!("{} restart", self.model.now);
        }
        let mut found: Vec<u32> = self.model.disk.keys().copied().collect();
        while !found.is_empty() {
            // A spool is read page by page, and its pages in whatever order.
            let key = found.swap_remove(self.random.random_range(0..found.len()));
            let row = self.model.disk[&key].clone();
            self.introduce(row.queue);
            let arrival = row.enumerated(key, self.model.queues[row.queue].name.clone());
            let ahead = row.due.map_or(Duration::ZERO, |due| due.since(self.model.now));
            self.take_in(row.queue, arrival, ahead);
            let Some(item) = self.model.items.get(&key) else {
                assert!(!self.model.disk.contains_key(&key), "{key} was lost");
                continue;
            };
            if item.due > self.model.now {
                let due = match self.queues.state(&key) {
                    Some(State::Scheduled { due, .. }) => due,
                    other => panic!("{key} is not due, and is {other:?}"),
                };
                assert_eq!(due, item.due, "{key} waits for another time than before");
            }
        }
    }

    /// A message comes in that the spool has.
    fn take_in(&mut self, queue: usize, arrival: Arrival<u32>, longest_delay: Duration) {
        let (key, now) = (arrival.item, self.model.now);
        let retry = self.model.queues[queue].config.retry();
        let inferred = retry.infer(now.since(arrival.created));
        let attempts = arrival.attempts.unwrap_or(inferred.attempts);
        let wait = if arrival.attempts.is_some() { Duration::ZERO } else { inferred.wait };
        let due = arrival.due.unwrap_or_else(|| now + wait);
        let (created, schedule) = (arrival.created, arrival.schedule.clone());
        let mut item = Item { queue, created, schedule, attempts, with: None, ready: None, finals: 0, due };
        item.due = item.allowed(due);
        self.model.items.insert(key, item);
        self.model.longest_delay = longest_delay.max(inferred.wait);
        self.step(Event::Arrived(arrival));
    }

    fn step(&mut self, event: Event<u32>) {
        let mut actions = Vec::new();
        self.model.disk_before.clone_from(&self.model.disk);
        let told = self.trace.then(|| format!("{} {event:?}", self.model.now));
        self.queues.step(self.model.now, event, &mut actions);
        if let Some(told) = told {
            eprintln!("{told}");
            actions.iter().for_each(|action| eprintln!("    {action:?}"));
        }
        self.model.take(&actions);
        self.model.check(&self.queues);
        self.model.retry_after.clear();
        self.model.moving.clear();
        self.model.forwarding.clear();
        self.model.rebound = None;
        self.model.longest_delay = Duration::ZERO;
    }

    fn arrive(&mut self) {
        let queue = self.random.random_range(0..self.model.queues.len());
        self.introduce(queue);
        let (key, now) = (self.next_item, self.model.now);
        self.next_item += 1;
        let name = self.model.queues[queue].name.clone();
        let mut arrival = Arrival::received(key, name, now);
        match self.random.random_range(0..10) {
            0 => arrival.due = Some(now + self.seconds(1, 300)),
            1 => arrival.schedule = Some(Schedule::until(now + self.seconds(1, 300)).into()),
            3 => arrival.schedule = Some(self.schedule().into()),
            2 => {
                let created = now - self.seconds(0, 2000);
                arrival = Arrival::enumerated(key, arrival.queue, created);
            }
            _ => {}
        }
        let (created, schedule) = (arrival.created, arrival.schedule.clone());
        let row = Row { queue, created, schedule, attempts: arrival.attempts, due: arrival.due };
        self.model.disk.insert(key, row);
        self.take_in(queue, arrival, Duration::from_secs(300));
    }

    /// Some minutes of each day, near the present.
    fn schedule(&mut self) -> Schedule {
        let now = self.model.now;
        let start = now - Duration::from_secs(900) + self.seconds(60, 1800);
        let (end, later) = (start + self.seconds(60, 1800), now + self.seconds(60, 1800));
        let clock = |moment: Timestamp| moment.to_rfc3339()[11..16].to_owned();
        let (start, end) = (clock(start), clock(end));
        let mut json = json!({"dow": "Mon,Tue,Wed,Thu,Fri,Sat,Sun", "tz": "UTC", "start": start, "end": end});
        if self.random.random_bool(0.3) {
            json["first_attempt"] = later.to_rfc3339().into();
        }
        if self.random.random_bool(0.3) {
            json["expires"] = (later + Duration::from_secs(600)).to_rfc3339().into();
        }
        serde_json::from_value(json).expect("a schedule")
    }

    /// A queue gets its configuration before its first message.
    fn introduce(&mut self, queue: usize) {
        let Scheduled { name, config, known, .. } = &mut self.model.queues[queue];
        if !*known {
            *known = true;
            let (queue, config) = (name.clone(), Arc::new(config.clone()));
            self.step(Event::ConfigChanged { queue, config });
        }
    }

    fn tick(&mut self) {
        let to_wake = self.model.wake.filter(|wake| *wake > self.model.now);
        let step = match self.random.random_range(0..10) {
            0 => Duration::ZERO,
            1..5 => self.seconds(0, 2) + Duration::from_millis(self.random.random_range(0..1000)),
            5 => self.seconds(0, 1000),
            _ => to_wake.map_or(Duration::ZERO, |wake| wake.since(self.model.now)),
        };
        // A driver ticks at the wake-up it was asked for, and not much later.
        let now = self.model.now + step;
        self.model.now = to_wake.map_or(now, |wake| now.min(wake));
        self.step(Event::Tick);
    }

    fn answer_route(&mut self) {
        let Some(queue) = self.model.routes_asked.first().copied() else { return self.tick() };
        if self.random.random_bool(0.8) {
            return self.resolve(queue);
        }
        self.model.routes_asked.remove(&queue);
        let code = if self.random.random_bool(0.3) { 556 } else { 451 };
        let unroutable = Unroutable { response: Response::new(code, "no way"), reason: Reason::MxWasSkipped };
        let queue = self.model.queues[queue].name.clone();
        self.step(Event::RouteResolved { queue, route: Err(unroutable) });
    }

    fn resolve(&mut self, queue: usize) {
        self.model.routes_asked.remove(&queue);
        let Scheduled { name, ways, .. } = &self.model.queues[queue];
        let choices = ways.iter().map(|(path, weight)| {
            let Path { name, limits, batch, .. } = &self.model.paths[*path];
            (Choice { ready_queue: name.clone(), limits: limits.clone(), batch: *batch }, *weight)
        });
        let route = Ok(Arc::new(Route::weighted(choices).expect("weights are above zero")));
        let event = Event::RouteResolved { queue: name.clone(), route };
        self.step(event);
    }

    fn session_event(&mut self) {
        let Some((id, phase)) = self.session(|phase| matches!(phase, Phase::Opening | Phase::Closing)) else {
            return self.tick();
        };
        match (phase, self.random.random_range(0..10)) {
            (Phase::Opening, 0..7) => self.connected(id),
            (Phase::Opening, 7) => self.failed(id),
            (Phase::Opening, 8) => self.refused(id),
            _ => self.closed(id),
        }
    }

    fn connected(&mut self, id: SessionId) {
        let now = self.model.now;
        if let Some(session) = self.model.sessions.get_mut(&id) {
            session.phase = Phase::Idle { since: now };
            let path = session.path;
            self.model.paths[path].last_failure = None;
        }
        self.step(Event::SessionReady { session: id });
    }

    fn failed(&mut self, id: SessionId) {
        if let Some(Session { path, .. }) = self.model.sessions.remove(&id) {
            self.model.paths[path].last_failure = Some(self.model.now);
        }
        self.step(Event::SessionFailed { session: id, response: Response::new(400, "refused") });
    }

    /// It waits for a batch as if it were connected, or is closed at once.
    fn refused(&mut self, id: SessionId) {
        let now = self.model.now;
        if let Some(session) = self.model.sessions.get_mut(&id) {
            session.phase = Phase::Idle { since: now };
            let path = session.path;
            self.model.paths[path].last_failure = Some(now);
        }
        self.step(Event::SessionRefused { session: id, response: Response::new(400, "refused") });
    }

    fn closed(&mut self, id: SessionId) {
        self.model.sessions.remove(&id);
        for item in self.model.items.values_mut().filter(|item| item.with == Some(id)) {
            item.with = None;
        }
        self.step(Event::Closed { session: id });
    }

    fn finish(&mut self) {
        let Some((id, _)) = self.session(|phase| phase == Phase::Busy) else { return self.session_event() };
        if self.random.random_bool(0.05) { self.closed(id) } else { self.finish_session(id) }
    }

    fn finish_session(&mut self, id: SessionId) {
        let mut outcomes = Vec::new();
        for item in self.held_by(id) {
            let outcome = match self.random.random_range(0..20) {
                0..9 => Outcome::Delivered,
                9..14 => Outcome::Transient { retry_after: None },
                14 => {
                    let wait = self.seconds(0, 600);
                    self.model.retry_after.insert(item, wait);
                    Outcome::Transient { retry_after: Some(wait) }
                }
                15 => Outcome::Permanent,
                16 => Outcome::Requeue { reason: Reason::TooManyRecipients, delay: None },
                17 => {
                    let delay = self.seconds(0, 100);
                    self.model.longest_delay = self.model.longest_delay.max(delay);
                    // Due at once has no record that tells the model.
                    self.model.items.get_mut(&item).expect("a message").due = self.model.now;
                    Outcome::Requeue { reason: Reason::TooManyRecipients, delay: Some(delay) }
                }
                18 => {
                    let to = self.random.random_range(0..self.model.queues.len());
                    self.introduce_quietly(to);
                    let name = self.model.queues[to].name.clone();
                    if self.random.random_bool(0.5) {
                        self.model.forwarding.insert(item, to);
                        Outcome::Forwarded { to: name }
                    } else {
                        self.model.moving.insert(item, to);
                        Outcome::Moved { to: name }
                    }
                }
                // The session says nothing about it.
                _ => continue,
            };
            outcomes.push((item, outcome));
        }
        let fate = match self.random.random_range(0..10) {
            0 => Fate::Close,
            1 => Fate::Broken,
            _ => Fate::Keep,
        };
        self.finished(id, outcomes, fate);
    }

    /// As `introduce`, where a step in between would forget what this one is about.
    fn introduce_quietly(&mut self, queue: usize) {
        let (retry_after, moving) = (self.model.retry_after.clone(), self.model.moving.clone());
        let forwarding = self.model.forwarding.clone();
        self.introduce(queue);
        (self.model.retry_after, self.model.moving) = (retry_after, moving);
        self.model.forwarding = forwarding;
    }

    fn finished(&mut self, id: SessionId, outcomes: Vec<(u32, Outcome)>, fate: Fate) {
        let now = self.model.now;
        if let Some(session) = self.model.sessions.get_mut(&id) {
            session.phase = Phase::Idle { since: now };
        }
        for item in self.model.items.values_mut().filter(|item| item.with == Some(id)) {
            item.with = None;
        }
        self.step(Event::Finished { session: id, outcomes, fate });
    }

    fn answer_question(&mut self) {
        let Some(item) = self.model.asked.first().copied() else { return self.tick() };
        self.model.asked.remove(&item);
        let delay = if self.random.random_bool(0.7) { None } else { Some(self.seconds(1, 100)) };
        self.model.longest_delay = delay.unwrap_or_default();
        self.step(Event::Answered { item, delay });
    }

    fn answer_return(&mut self) {
        let Some(item) = self.model.returning.keys().next().copied() else { return self.tick() };
        let verdict = match self.random.random_range(0..4) {
            0 => Verdict::Refused(Response::new(550, "not again")),
            1 => {
                let to = self.random.random_range(0..self.model.queues.len());
                self.introduce(to);
                Verdict::Moved { to: self.model.queues[to].name.clone() }
            }
            _ => Verdict::Stands,
        };
        self.answer(item, verdict);
    }

    fn answer(&mut self, item: u32, verdict: Verdict) {
        // A bounce may have come first.
        let Some((attempt, delay)) = self.model.returning.remove(&item) else { return };
        self.model.longest_delay = delay.unwrap_or_default();
        if let Verdict::Moved { to } = &verdict {
            let to = self.model.queue(to);
            self.model.moving.insert(item, to);
            if !attempt {
                self.model.items.get_mut(&item).expect("a message").queue = to;
            }
        }
        self.step(Event::ReturnAnswered { item, verdict });
    }

    fn order(&mut self) {
        let until = self.model.now + self.seconds(1, 120);
        let order = Order { reason: "because".into(), until: Some(until) };
        let index = self.random.random_range(0..3);
        let (scheduled, path) = (&mut self.model.queues[index], &mut self.model.paths[index]);
        let (queue, ready) = (scheduled.name.clone(), path.name.clone());
        let event = match self.random.random_range(0..6) {
            0 => {
                scheduled.suspended = Some(until);
                Event::Suspended { queue, order }
            }
            1 => {
                scheduled.suspended = None;
                Event::Resumed { queue }
            }
            2 => {
                path.suspended = Some(until);
                Event::ReadySuspended { queue: ready, order }
            }
            3 => {
                path.suspended = None;
                Event::ReadyResumed { queue: ready }
            }
            4 => {
                (scheduled.bounce, scheduled.silent) = (Some(until), self.random.random_bool(0.5));
                Event::Bounced { queue, order, silent: scheduled.silent }
            }
            _ => {
                scheduled.bounce = None;
                Event::BounceEnded { queue }
            }
        };
        self.introduce(index);
        self.step(event);
    }

    fn lift_orders(&mut self) {
        for index in 0..self.model.queues.len() {
            self.model.queues[index].suspended = None;
            let queue = self.model.queues[index].name.clone();
            self.step(Event::Resumed { queue: queue.clone() });
            self.model.queues[index].bounce = None;
            self.step(Event::BounceEnded { queue });
        }
        for index in 0..self.model.paths.len() {
            self.model.paths[index].suspended = None;
            let queue = self.model.paths[index].name.clone();
            self.step(Event::ReadyResumed { queue });
        }
        self.model.paused = false;
        self.step(Event::Unpaused);
    }

    fn change_path(&mut self) {
        let index = self.random.random_range(0..self.model.paths.len());
        // A change reaches a ready queue through a scheduled queue that is in memory.
        let uses = |queue: &Scheduled| queue.known && queue.ways.iter().any(|(way, _)| *way == index);
        if !self.model.queues.iter().any(uses) {
            return self.tick();
        }
        let rates = self.model.paths.iter().any(|path| path.limits.max_message_rate.is_some());
        let fresh = random_path(&mut self.random, index, rates, &self.model.named);
        let path = &mut self.model.paths[index];
        (path.limits, path.batch) = (fresh.limits, fresh.batch);
        (path.since, path.passed, path.opened, path.selected) = (self.model.now, 0, 0, 0);
        for queue in 0..self.model.queues.len() {
            if uses(&self.model.queues[queue]) {
                self.resolve(queue);
            }
        }
    }

    fn change_queue(&mut self) {
        let index = self.random.random_range(0..self.model.queues.len());
        let rates = self.model.queues.iter().any(|queue| queue.config.max_message_rate.is_some());
        let config = random_queue(&mut self.random, index, rates).config;
        let queue = &mut self.model.queues[index];
        (queue.config, queue.known) = (config.clone(), true);
        let queue = queue.name.clone();
        self.step(Event::ConfigChanged { queue, config: Arc::new(config) });
    }

    fn touch_item(&mut self) {
        let count = self.model.items.len();
        if count == 0 {
            return self.tick();
        }
        let place = self.random.random_range(0..count);
        let Some(key) = self.model.items.keys().nth(place).copied() else { return };
        let in_flight = self.model.items[&key].with.is_some() || self.model.returning.contains_key(&key);
        let ready = matches!(self.queues.state(&key), Some(State::Ready { .. }));
        let due = self.model.now + self.seconds(0, 200);
        self.model.longest_delay = Duration::from_secs(200);
        // It may leave at once, before those that it waited behind: its time was changed.
        self.model.waiting.remove(&key);
        match self.random.random_range(0..5) {
            0 => {
                let queue = self.model.queues[self.model.items[&key].queue].name.clone();
                let limit = self.random.random_range(0..5);
                self.step(Event::Take { queue, limit });
            }
            1 => {
                // Also of one that is not aside: nothing happens then.
                let item = self.model.taken.first().copied().unwrap_or(key);
                let to = self.random.random_range(0..self.model.queues.len());
                self.introduce(to);
                self.rebind(item, to);
            }
            2 => {
                let to = self.random.random_range(0..self.model.queues.len());
                self.introduce(to);
                self.model.longest_delay = Duration::from_secs(200);
                if let Some(item) = self.model.items.get_mut(&key).filter(|_| !in_flight) {
                    (item.queue, item.due, item.ready) = (to, item.allowed(due), None);
                    self.model.asked.remove(&key);
                    self.model.taken.remove(&key);
                }
                let to = self.model.queues[to].name.clone();
                self.step(Event::Moved { item: key, to, due: Some(due), reason: Reason::AdminRebind });
            }
            3 => {
                if let Some(item) = self.model.items.get_mut(&key).filter(|_| !in_flight && !ready) {
                    item.due = item.allowed(due);
                    self.model.asked.remove(&key);
                    self.model.taken.remove(&key);
                }
                self.step(Event::Rescheduled { item: key, due });
            }
            _ => {
                if !in_flight {
                    self.model.items.remove(&key);
                    self.model.disk.remove(&key);
                    self.model.asked.remove(&key);
                    self.model.taken.remove(&key);
                }
                self.step(Event::Dropped { item: key });
            }
        }
    }

    /// An operator gives a message back, to its own queue or another one.
    fn rebind(&mut self, item: u32, to: usize) {
        if self.model.taken.remove(&item) {
            self.model.rebound = Some(item);
            self.model.items.get_mut(&item).expect("a message").queue = to;
            self.model.longest_delay = Duration::from_secs(60);
        }
        let (to, flush) = (self.model.queues[to].name.clone(), self.random.random_bool(0.5));
        self.step(Event::Rebound { item, to, note: Some("model".into()), flush });
    }

    fn pause(&mut self) {
        self.model.paused = !self.model.paused;
        self.step(if self.model.paused { Event::Paused } else { Event::Unpaused });
    }

    /// Reports about what nobody knows, or knows otherwise.
    fn nonsense(&mut self) {
        let session = self.session(|phase| !matches!(phase, Phase::Busy)).map(|(id, _)| id);
        let item = self.random.random_range(0..self.next_item.max(1));
        let event = match (self.random.random_range(0..4), session) {
            (0, Some(session)) => {
                Event::Finished { session, outcomes: vec![(item, Outcome::Delivered)], fate: Fate::Broken }
            }
            (1, _) if !self.ask => Event::Answered { item, delay: None },
            (2, _) if self.model.items.contains_key(&item) => {
                let queue = self.model.items[&item].queue;
                Event::Arrived(Arrival::received(item, self.model.queues[queue].name.clone(), self.model.now))
            }
            (3, _) if !self.ask_back => Event::ReturnAnswered { item, verdict: Verdict::Stands },
            _ => Event::Tick,
        };
        self.step(event);
    }

    fn session(&mut self, wanted: impl Fn(Phase) -> bool) -> Option<(SessionId, Phase)> {
        let fitting: Vec<_> = self
            .model
            .sessions
            .iter()
            .filter(|(_, session)| wanted(session.phase))
            .map(|(id, session)| (*id, session.phase))
            .collect();
        if fitting.is_empty() { None } else { Some(fitting[self.random.random_range(0..fitting.len())]) }
    }

    fn held_by(&self, id: SessionId) -> Vec<u32> {
        self.model.items.iter().filter(|(_, item)| item.with == Some(id)).map(|(key, _)| *key).collect()
    }

    fn seconds(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_secs(self.random.random_range(least..=most))
    }
}

/// Some names, with the numbers that stand beside them in all paths that have them.
fn random_names(random: &mut StdRng, rates: bool) -> Named {
    let names = || ["a", "b"].map(Arc::<str>::from).into_iter();
    let limits = names().map(|name| (name, random.random_range(1..5))).collect();
    let mut chosen = |specs: [&str; 3]| -> BTreeMap<Arc<str>, ThrottleSpec> {
        let mut spec = || specs[random.random_range(0..3)].parse().expect("a rate");
        names().filter(|_| rates).map(|name| (name, spec())).collect()
    };
    let (rates, selections) = (chosen(["3/s", "30/s", "60/m"]), chosen(["2/s", "20/s", "20/m"]));
    Named { limits, rates, selections, passed: BTreeMap::new(), selected: BTreeMap::new(), since: START }
}

/// Some of these.
fn some<T: Copy>(random: &mut StdRng, all: &BTreeMap<Arc<str>, T>) -> BTreeMap<Arc<str>, T> {
    all.iter().filter(|_| random.random_bool(0.3)).map(|(name, value)| (name.clone(), *value)).collect()
}

fn random_path(random: &mut StdRng, n: usize, rates: bool, named: &Named) -> Path {
    let mut rate = |specs: [&str; 4]| {
        if rates && random.random_bool(0.5) { specs[random.random_range(0..4)].parse().ok() } else { None }
    };
    let (max_message_rate, max_connection_rate) =
        (rate(["2/s", "20/s", "6/m", "100/m"]), rate(["1/s", "5/s", "6/m", "1/m"]));
    let source_selection_rate = rate(["2/s", "20/s", "6/m", "100/m"]);
    let limits = PathLimits {
        additional_connection_limits: some(random, &named.limits),
        additional_message_rate_throttles: some(random, &named.rates),
        source_selection_rate,
        additional_source_selection_rates: some(random, &named.selections),
        connection_limit: random.random_range(1..5),
        aggressive_connection_opening: random.random_bool(0.3),
        max_ready: random.random_range(1..12),
        max_deliveries_per_connection: random.random_range(1..20),
        idle_timeout: Duration::from_millis(random.random_range(1..20_000)),
        max_message_rate,
        max_connection_rate,
        consecutive_connection_failures: random.random_range(0..6),
        reap_after: Duration::from_secs(random.random_range(1..700)),
    };
    let size = random.random_range(1..8);
    let latency =
        if random.random_bool(0.4) { Duration::ZERO } else { Duration::from_secs(random.random_range(1..20)) };
    let batch = BatchPolicy::new(size, random.random_range(1..=size), latency);
    Path {
        name: ReadyQueueName::new(format!("path{n}")),
        limits,
        batch,
        suspended: None,
        last_failure: None,
        since: START,
        passed: 0,
        opened: 0,
        selected: 0,
        opened_at: START,
    }
}

fn random_queue(random: &mut StdRng, n: usize, rates: bool) -> Scheduled {
    let config = QueueConfig {
        retry_interval: Duration::from_secs([1, 5, 60, 1200][random.random_range(0..4)]),
        max_retry_interval: random.random_bool(0.5).then(|| Duration::from_secs(random.random_range(1..2000))),
        max_age: Duration::from_secs([60, 600, 86_400][random.random_range(0..3)]),
        max_message_rate: if rates && random.random_bool(0.5) {
            ["30/m", "3/m"][random.random_range(0..2)].parse().ok()
        } else {
            None
        },
        egress_pool: random.random_bool(0.2).then(|| "other".to_owned()),
        reap_interval: Duration::from_secs(random.random_range(1..700)),
        ..QueueConfig::default()
    };
    let mut ways: Vec<(usize, u32)> = (0..3).filter(|_| random.random_bool(0.5)).map(|way| (way, 1)).collect();
    if ways.is_empty() {
        ways.push((n % 3, 1));
    }
    for (_, weight) in &mut ways {
        *weight = random.random_range(1..4);
    }
    let name = QueueName::new(format!("queue{n}"));
    Scheduled { name, config, known: false, ways, suspended: None, bounce: None, silent: false }
}
