use crate::action::{
    Action, Attempt, Checkpoint, DeadReason, Event, LaneConfig, LoadedRow, Outcome, Read, RowKey, Verdict, Write,
};
use crate::lane::{FIRST_ROW, Lane, LaneStatus, Loading};
use crate::settled::Settled;
use std::collections::HashMap;
use waybill_queue_core::due::DueIndex;
use waybill_queue_core::retry::{Expiry, at_least};
use waybill_types::{Offset, QueueName, Timestamp};

/// The most settled events that a crash may bring again, beside what is in flight.
pub const MAX_UNSAVED: usize = 256;
/// At half of that a save is asked for at once.
const SAVE_AT: usize = MAX_UNSAVED / 2;
/// With so many settled events above an open one, the open ones are saved as rows.
const MOST_ISLANDS: usize = 1024;
/// The most events of one read.
const READ_LIMIT: usize = 512;
/// About how many events a consumer with several lanes keeps in memory; a lane that would exceed its share parks.
const SHARED_MEMORY: usize = 10_000;
/// Every lane may keep so many in memory, however many lanes there are.
const LEAST_SHARE: usize = 64;
/// The most rows of one load.
const LOAD_LIMIT: usize = 512;

type LaneNo = u32;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    Judging,
    Waiting(LaneNo),
    Offered(LaneNo),
}

#[derive(Clone, Copy, Debug)]
struct Item {
    created: Timestamp,
    attempts: u16,
    row: Option<RowKey>,
    place: Place,
}

/// One consumer of the journal. See the crate's documentation.
#[derive(Debug)]
pub struct Consumer {
    settled: Settled,
    visible: Offset,
    /// Only events below are read; `None`: no end.
    end: Option<Offset>,
    reading: bool,
    judging: usize,
    items: HashMap<Offset, Item>,
    lanes: Vec<Option<Lane>>,
    free: Vec<LaneNo>,
    by_name: HashMap<QueueName, LaneNo>,
    names: Vec<QueueName>,
    timers: DueIndex<LaneNo>,
    touched: Vec<LaneNo>,
    announced: Option<Timestamp>,
    /// How many events may be in flight at once, all lanes together need not fit.
    window: usize,
    saving: bool,
    stopping: bool,
    /// Its handlers have chosen more than one lane at some time: then a lane that is stuck must not stop the cursor.
    several: bool,
    /// Up to here it is known that there is only the one lane.
    scouted: Offset,
    scouting: bool,
}

/// A consumer, to be looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConsumerStatus {
    /// Every event below is settled or has a row.
    pub cursor: Offset,
    /// Behind the last event read.
    pub read: Offset,
    /// Events in memory.
    pub in_memory: usize,
    /// Of those: events that have no row. Together with the rows they are all that was read and is not settled.
    pub without_row: usize,
    /// Events offered: in a ready queue or being tried.
    pub offered: usize,
    /// Rows on disk, all lanes.
    pub rows: u64,
    /// Its lanes.
    pub lanes: Vec<(QueueName, LaneStatus)>,
}

impl Consumer {
    /// A consumer that begins at `cursor`. `window` is how many events its sessions can have in flight for one lane.
    pub fn new(cursor: Offset, window: usize) -> Self {
        Consumer {
            settled: Settled::new(cursor, &[]),
            visible: Offset::ZERO,
            end: None,
            reading: false,
            judging: 0,
            items: HashMap::new(),
            lanes: Vec::new(),
            free: Vec::new(),
            by_name: HashMap::new(),
            names: Vec::new(),
            timers: DueIndex::new(),
            touched: Vec::new(),
            announced: None,
            window: window.max(1),
            saving: false,
            stopping: false,
            several: false,
            scouted: Offset::ZERO,
            scouting: false,
        }
    }

    /// A consumer that goes on after a restart. `config` gives the settings of each of its lanes.
    pub fn restore(checkpoint: &Checkpoint, window: usize, config: impl Fn(&QueueName) -> LaneConfig) -> Self {
        let mut consumer = Consumer::new(checkpoint.cursor, window);
        consumer.settled = Settled::new(checkpoint.cursor, &checkpoint.islands);
        consumer.several = checkpoint.several;
        for (name, rows) in &checkpoint.lanes {
            let no = consumer.lane(name, config(name));
            if let Some(lane) = consumer.lane_mut(no) {
                lane.rows = *rows;
                // When the first row is due is unknown: look.
                lane.next_due = (*rows > 0).then_some(Timestamp::EPOCH);
            }
        }
        consumer
    }

    /// Takes one event, says what to do.
    pub fn step(&mut self, now: Timestamp, event: Event, actions: &mut Vec<Action>) {
        match event {
            Event::Visible(offset) => self.visible = self.visible.max(offset),
            Event::Read(read) => self.on_read(read, actions),
            Event::Judged { offset, verdict } => self.on_judged(now, offset, verdict, actions),
            Event::Scouted { lanes, next } => self.on_scouted(&lanes, next),
            Event::Loaded { lane, rows, next_due } => self.on_loaded(now, &lane, &rows, next_due, actions),
            Event::Finished { results } => self.on_finished(now, results, actions),
            Event::Returned { offset, delay } => self.on_returned(now, offset, delay, actions),
            Event::Configured { lane, config } => {
                let no = self.by_name.get(&lane).copied();
                if let Some(lane) = no.and_then(|no| self.lane_mut(no)) {
                    lane.config = config;
                }
            }
            Event::Window(window) => {
                self.window = window.max(1);
                self.touch_all();
            }
            Event::Suspended { lane, until } => self.on_suspended(now, &lane, until, actions),
            Event::Saved => {
                self.settled.saved();
                self.saving = false;
                self.touch_all();
            }
            Event::Tick => {
                self.announced = None;
                self.touch_due(now);
            }
            Event::Stopping => self.stopping = true,
        }
        self.settle_down(now, actions);
    }

    /// What a restart will begin with, once everything written so far is committed in one batch with it. Call
    /// [`Event::Saved`] when that is done; between the two no other checkpoint may be taken.
    pub fn checkpoint(&mut self) -> Checkpoint {
        self.settled.saving();
        self.saving = true;
        let lanes = self.by_name.iter().filter_map(|(name, no)| {
            let lane = self.lanes.get(*no as usize)?.as_ref()?;
            Some((name.clone(), lane.rows))
        });
        let mut lanes: Vec<_> = lanes.collect();
        lanes.sort();
        let islands = self.settled.islands().iter().copied().collect();
        Checkpoint { cursor: self.settled.cursor(), islands, several: self.several, lanes }
    }

    /// Every event below is settled or has a row.
    pub fn cursor(&self) -> Offset {
        self.settled.cursor()
    }

    /// Whether nothing is in the hands of a session or handler.
    pub fn is_quiet(&self) -> bool {
        self.judging == 0
            && !self.reading
            && !self.scouting
            && self.lanes.iter().flatten().all(|lane| lane.offered == 0 && lane.loading.is_none())
    }

    /// Events that were tried and would be sent again after a crash.
    pub fn unsaved(&self) -> usize {
        self.settled.unsaved()
    }

    /// How it stands.
    pub fn status(&self, now: Timestamp) -> ConsumerStatus {
        let mut lanes: Vec<_> = self
            .by_name
            .iter()
            .filter_map(|(name, no)| Some((name.clone(), self.lanes.get(*no as usize)?.as_ref()?.status(now))))
            .collect();
        lanes.sort_by(|a, b| a.0.cmp(&b.0));
        ConsumerStatus {
            cursor: self.settled.cursor(),
            read: self.settled.read_to(),
            in_memory: self.items.len(),
            without_row: self.items.values().filter(|item| item.row.is_none()).count(),
            offered: lanes.iter().map(|(_, lane)| lane.offered).sum(),
            rows: lanes.iter().map(|(_, lane)| lane.rows).sum(),
            lanes,
        }
    }

    fn on_read(&mut self, read: Read, actions: &mut Vec<Action>) {
        self.reading = false;
        let (known, fresh): (Vec<_>, Vec<_>) =
            read.events.into_iter().partition(|(offset, _)| self.settled.knows(*offset));
        for (offset, _) in known {
            // Its row may have been loaded in the meantime: then it is in memory for that.
            if !self.items.contains_key(&offset) {
                actions.push(Action::Forget { offset });
            }
        }
        let offsets: Vec<Offset> = fresh.iter().map(|(offset, _)| *offset).collect();
        for (offset, created) in fresh {
            self.items.insert(offset, Item { created, attempts: 0, row: None, place: Place::Judging });
        }
        self.judging += offsets.len();
        self.settled.read(offsets.iter().copied(), read.next);
        if !offsets.is_empty() {
            actions.push(Action::Judge { offsets });
        }
    }

    fn on_judged(&mut self, now: Timestamp, offset: Offset, verdict: Verdict, actions: &mut Vec<Action>) {
        match self.items.get(&offset) {
            Some(item) if item.place == Place::Judging => self.judging -= 1,
            _ => return,
        }
        match verdict {
            Verdict::Skip | Verdict::Materialised => self.done(offset, actions),
            Verdict::Dead(reason) => {
                actions.push(Action::Write(Write::Dead { offset, lane: None, attempts: 0, reason }));
                self.done(offset, actions);
            }
            Verdict::Lane(name, config) => {
                let no = self.lane(&name, config);
                let share = self.share(no);
                let takes = self.lane_mut(no).is_some_and(|lane| {
                    lane.config = config;
                    lane.takes_in_memory(now) && lane.in_memory() < share
                });
                self.place(offset, Place::Waiting(no));
                if let Some(lane) = self.lane_mut(no) {
                    lane.waiting.push_back(offset);
                }
                // A consumer with one lane stops its cursor instead of writing rows.
                if !takes && self.several {
                    self.park(now, no, offset, actions);
                }
                self.touched.push(no);
            }
        }
    }

    /// Moves a waiting event to disk.
    fn park(&mut self, now: Timestamp, no: LaneNo, offset: Offset, actions: &mut Vec<Action>) {
        let Some(item) = self.items.get(&offset).copied() else { return };
        if let Some(lane) = self.lane_mut(no) {
            lane.waiting.retain(|waiting| *waiting != offset);
        }
        match item.row {
            // It is on disk already: forget that it was loaded.
            Some(key) => self.unload(no, key),
            None => self.put_row(no, RowKey { due: now, offset }, item.attempts, None, actions),
        }
        self.settled.close(offset);
        self.items.remove(&offset);
        actions.push(Action::Forget { offset });
    }

    fn unload(&mut self, no: LaneNo, key: RowKey) {
        if let Some(lane) = self.lane_mut(no) {
            lane.loaded = lane.loaded.saturating_sub(1);
            lane.put_on_disk(key);
        }
    }

    /// Writes a row that is not (any more) in memory.
    fn put_row(&mut self, no: LaneNo, key: RowKey, attempts: u16, replaces: Option<RowKey>, actions: &mut Vec<Action>) {
        let name = self.names[no as usize].clone();
        if let Some(lane) = self.lane_mut(no) {
            match replaces {
                Some(old) => lane.row_gone(old.offset),
                None => lane.rows += 1,
            }
            lane.put_on_disk(key);
        }
        actions.push(Action::Write(Write::PutRow { lane: name, key, attempts, replaces }));
        self.touched.push(no);
    }

    fn on_loaded(
        &mut self,
        now: Timestamp,
        name: &QueueName,
        rows: &[LoadedRow],
        next_due: Option<Timestamp>,
        actions: &mut Vec<Action>,
    ) {
        let Some(no) = self.by_name.get(name).copied() else { return };
        let loading = self.lane_mut(no).and_then(|lane| lane.loading.take()).unwrap_or_default();
        let mut fresh = Vec::new();
        for row in rows {
            if self.items.contains_key(&row.key.offset) {
                continue;
            }
            if loading.gone.contains(&row.key.offset) {
                actions.push(Action::Forget { offset: row.key.offset });
                continue;
            }
            let item =
                Item { created: row.created, attempts: row.attempts, row: Some(row.key), place: Place::Waiting(no) };
            self.items.insert(row.key.offset, item);
            fresh.push(row.key.offset);
        }
        if let Some(lane) = self.lane_mut(no) {
            lane.next_due = next_due;
            if let Some(last) = rows.last() {
                lane.load_from = RowKey { due: last.key.due, offset: last.key.offset.next() };
            }
            lane.loaded += fresh.len() as u64;
            // The count of rows is for people; where it differs from what was seen, what was seen is true.
            lane.rows = lane.rows.max(lane.loaded);
            match loading.put {
                Some(key) => lane.put_on_disk(key),
                None if next_due.is_none() => lane.rows = lane.loaded,
                None => {}
            }
            for offset in fresh.iter().rev() {
                lane.waiting.push_front(*offset);
            }
        }
        let stale: Vec<_> = fresh.into_iter().filter(|offset| self.too_old(now, no, *offset).is_some()).collect();
        for offset in stale {
            if let Some(text) = self.too_old(now, no, offset) {
                if let Some(lane) = self.lane_mut(no) {
                    lane.waiting.retain(|waiting| *waiting != offset);
                }
                self.bury(no, offset, DeadReason::Expired(text), actions);
            }
        }
        self.touched.push(no);
    }

    /// What the Expiration record says, when the event is too old to be tried now.
    fn too_old(&self, now: Timestamp, no: LaneNo, offset: Offset) -> Option<String> {
        let item = self.items.get(&offset)?;
        let lane = self.lanes.get(no as usize)?.as_ref()?;
        let expiry = Expiry { created: item.created, max_age: lane.config.retry.max_age, expires: None };
        expiry.after_return(now).map(|expired| expired.response().content)
    }

    /// The event goes to the dead letters.
    fn bury(&mut self, no: LaneNo, offset: Offset, reason: DeadReason, actions: &mut Vec<Action>) {
        let attempts = self.items.get(&offset).map_or(0, |item| item.attempts);
        let lane = Some(self.names[no as usize].clone());
        actions.push(Action::Write(Write::Dead { offset, lane, attempts, reason }));
        self.finish(no, offset, actions);
    }

    /// The event of a lane is done for good; its row goes.
    fn finish(&mut self, no: LaneNo, offset: Offset, actions: &mut Vec<Action>) {
        if let Some(key) = self.items.get(&offset).and_then(|item| item.row) {
            let lane = self.names[no as usize].clone();
            if let Some(lane) = self.lane_mut(no) {
                lane.rows = lane.rows.saturating_sub(1);
                lane.row_gone(offset);
            }
            actions.push(Action::Write(Write::DeleteRow { lane, key }));
        }
        self.done(offset, actions);
    }

    fn done(&mut self, offset: Offset, actions: &mut Vec<Action>) {
        self.items.remove(&offset);
        self.settled.close(offset);
        actions.push(Action::Forget { offset });
    }

    fn on_finished(&mut self, now: Timestamp, results: Vec<(Offset, Outcome)>, actions: &mut Vec<Action>) {
        let mut judged: Option<(LaneNo, bool)> = None;
        for (offset, outcome) in results {
            let Some(no) = self.take_offered(offset) else { continue };
            self.settled.tried();
            let transient = matches!(outcome, Outcome::Transient { .. });
            judged = Some((no, judged.is_none_or(|(_, all)| all) && transient));
            match outcome {
                Outcome::Delivered => self.finish(no, offset, actions),
                Outcome::Permanent(text) => self.bury(no, offset, DeadReason::Permanent(text), actions),
                Outcome::Transient { retry_after, unit } => {
                    self.retry(now, no, offset, retry_after, unit, actions);
                }
            }
        }
        if let Some((no, all_transient)) = judged {
            self.on_batch(now, no, all_transient, actions);
        }
    }

    /// A batch went well enough or failed for now as a whole.
    fn on_batch(&mut self, now: Timestamp, no: LaneNo, all_transient: bool, actions: &mut Vec<Action>) {
        let name = self.names[no as usize].clone();
        let several = self.several;
        let Some(lane) = self.lane_mut(no) else { return };
        let was_failing = lane.is_failing();
        lane.streak = if all_transient { lane.streak.saturating_add(1) } else { 0 };
        // Flowing => Failing. What was offered but not begun comes back, what waits goes to disk.
        if lane.is_failing() && !was_failing {
            actions.push(Action::Recall { lane: name });
        }
        if lane.is_failing() && several {
            let waiting: Vec<_> = lane.waiting.iter().copied().collect();
            for offset in waiting {
                self.park(now, no, offset, actions);
            }
        }
        self.touched.push(no);
    }

    fn retry(
        &mut self,
        now: Timestamp,
        no: LaneNo,
        offset: Offset,
        retry_after: Option<std::time::Duration>,
        unit: f64,
        actions: &mut Vec<Action>,
    ) {
        let Some(item) = self.items.get_mut(&offset) else { return };
        let before = item.attempts;
        item.attempts = item.attempts.saturating_add(1);
        let item = *item;
        let Some(lane) = self.lanes.get_mut(no as usize).and_then(Option::as_mut) else { return };
        let delay = at_least(lane.config.retry.delay_with_jitter(before, unit), retry_after);
        let due = now + delay;
        lane.hold_probe(due);
        let expiry = Expiry { created: item.created, max_age: lane.config.retry.max_age, expires: None };
        match expiry.after_attempt(due) {
            Some(expired) => self.bury(no, offset, DeadReason::Expired(expired.response().content), actions),
            None => {
                self.put_row(no, RowKey { due, offset }, item.attempts, item.row, actions);
                self.items.remove(&offset);
                self.settled.close(offset);
                actions.push(Action::Forget { offset });
            }
        }
    }

    fn on_returned(
        &mut self,
        now: Timestamp,
        offset: Offset,
        delay: Option<std::time::Duration>,
        actions: &mut Vec<Action>,
    ) {
        let Some(no) = self.take_offered(offset) else { return };
        self.place(offset, Place::Waiting(no));
        let several = self.several;
        let Some(lane) = self.lane_mut(no) else { return };
        // Back to the front, in order.
        let at = lane.waiting.iter().position(|waiting| *waiting > offset).unwrap_or(lane.waiting.len());
        lane.waiting.insert(at, offset);
        if let Some(delay) = delay {
            lane.hold_until = Some(lane.hold_until.map_or(now + delay, |until| until.max(now + delay)));
        }
        if several && (lane.is_failing() || lane.rests(now)) {
            self.park(now, no, offset, actions);
        }
    }

    fn on_suspended(&mut self, now: Timestamp, name: &QueueName, until: Option<Timestamp>, actions: &mut Vec<Action>) {
        let Some(no) = self.by_name.get(name).copied() else { return };
        let Some(lane) = self.lane_mut(no) else { return };
        lane.suspended_until = until.filter(|until| *until > now);
        if lane.suspended_until.is_some() {
            actions.push(Action::Recall { lane: name.clone() });
        }
        self.touched.push(no);
    }

    /// An offered event is ours again; `None` when it was not offered.
    fn take_offered(&mut self, offset: Offset) -> Option<LaneNo> {
        let Some(Item { place: Place::Offered(no), .. }) = self.items.get(&offset) else { return None };
        let no = *no;
        let lane = self.lane_mut(no)?;
        lane.offered = lane.offered.saturating_sub(1);
        self.touched.push(no);
        Some(no)
    }

    fn place(&mut self, offset: Offset, place: Place) {
        if let Some(item) = self.items.get_mut(&offset) {
            item.place = place;
        }
    }

    /// How many events lane `no` may keep in memory.
    fn share(&self, no: LaneNo) -> usize {
        let capacity = self.lanes.get(no as usize).and_then(Option::as_ref).map_or(0, |lane| lane.config.capacity);
        if !self.several {
            return capacity;
        }
        capacity.min((SHARED_MEMORY / (2 * self.by_name.len().max(2))).max(LEAST_SHARE))
    }

    fn lane(&mut self, name: &QueueName, config: LaneConfig) -> LaneNo {
        if let Some(no) = self.by_name.get(name) {
            return *no;
        }
        let lane = Some(Lane::new(config));
        let no = if let Some(no) = self.free.pop() {
            self.lanes[no as usize] = lane;
            self.names[no as usize] = name.clone();
            no
        } else {
            self.lanes.push(lane);
            self.names.push(name.clone());
            LaneNo::try_from(self.lanes.len() - 1).unwrap_or(LaneNo::MAX)
        };
        self.by_name.insert(name.clone(), no);
        self.several |= self.by_name.len() > 1;
        no
    }

    fn lane_mut(&mut self, no: LaneNo) -> Option<&mut Lane> {
        self.lanes.get_mut(no as usize).and_then(Option::as_mut)
    }

    fn touch_all(&mut self) {
        self.touched.extend(self.by_name.values());
    }

    fn touch_due(&mut self, now: Timestamp) {
        while let Some((_, no)) = self.timers.pop_due(now) {
            if let Some(lane) = self.lane_mut(no) {
                lane.timer = None;
            }
            self.touched.push(no);
        }
    }

    /// After every event: offer, load, read, save, wake, whatever has become possible.
    fn settle_down(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        let mut touched = std::mem::take(&mut self.touched);
        touched.sort_unstable();
        touched.dedup();
        for no in touched.iter().copied() {
            self.serve(now, no, actions);
        }
        for no in touched {
            self.reap(no);
        }
        self.read_on(now, actions);
        self.unblock(now, actions);
        if self.settled.unsaved() >= SAVE_AT && !self.saving {
            actions.push(Action::Save);
        }
        let next = self.timers.next_due();
        if let Some(at) = next.filter(|at| self.announced.is_none_or(|announced| *at < announced)) {
            self.announced = Some(at);
            actions.push(Action::WakeAt(at));
        }
    }

    /// Offers and loads for one lane, and sets its timer.
    fn serve(&mut self, now: Timestamp, no: LaneNo, actions: &mut Vec<Action>) {
        let room = MAX_UNSAVED.saturating_sub(self.settled.unsaved());
        let window = self.window;
        let extra = room / self.by_name.len().max(1);
        let share = self.share(no);
        let name = self.names[no as usize].clone();
        let stopping = self.stopping;
        let Some(lane) = self.lanes.get_mut(no as usize).and_then(Option::as_mut) else { return };
        let may_offer = !stopping && !lane.rests(now) && room > 0;
        lane.calm_down(now);
        let most = match lane.is_failing() {
            true if lane.probe_at.is_some_and(|at| at > now) => 0,
            true => 1,
            false => window + extra,
        };
        let mut offers = Vec::new();
        if may_offer {
            while lane.offered < most {
                let Some(offset) = lane.waiting.pop_front() else { break };
                lane.offered += 1;
                offers.push(offset);
            }
        }
        // Load where there is room, and a failing lane only for its next probe.
        let due = lane.next_due.is_some_and(|due| due <= now) && lane.loading.is_none() && may_offer;
        let room = if lane.is_failing() {
            usize::from(most > 0 && lane.in_memory() == 0)
        } else {
            share.saturating_sub(lane.in_memory())
        };
        if due && room > share / 2 || due && lane.is_failing() && room > 0 {
            lane.loading = Some(Loading::default());
            if lane.loaded == 0 {
                lane.load_from = FIRST_ROW;
            }
            let (from, limit) = (lane.load_from, room.min(LOAD_LIMIT));
            actions.push(Action::Load { lane: name.clone(), from, until: now, limit });
        }
        if let Some(key) = lane.timer.take() {
            self.timers.remove(key);
        }
        lane.timer = lane.wake(now).map(|at| self.timers.insert(at, no));
        for offset in offers {
            let Some(item) = self.items.get_mut(&offset) else { continue };
            item.place = Place::Offered(no);
            let attempt = Attempt { attempts: item.attempts, created: item.created };
            actions.push(Action::Offer { lane: name.clone(), offset, attempt });
        }
    }

    /// A lane without events and rows is forgotten; it comes back with the next event.
    fn reap(&mut self, no: LaneNo) {
        let several = self.several;
        let Some(lane) = self.lane_mut(no) else { return };
        let empty = lane.in_memory() == 0 && lane.rows == 0 && lane.loading.is_none() && lane.suspended_until.is_none();
        // An only lane stays: the next event will be its own.
        if empty && several && !lane.is_failing() {
            if let Some(key) = lane.timer.take() {
                self.timers.remove(key);
            }
            self.lanes[no as usize] = None;
            self.by_name.remove(&self.names[no as usize]);
            self.free.push(no);
        }
    }

    fn read_on(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        let from = self.settled.read_to();
        let until = self.end.map_or(self.visible, |end| end.min(self.visible));
        if self.reading || self.stopping || self.judging > 0 || from >= until {
            return;
        }
        let limit = match self.by_name.values().next() {
            Some(no) if !self.several => {
                let Some(lane) = self.lanes.get(*no as usize).and_then(Option::as_ref) else { return };
                if !lane.takes_in_memory(now) {
                    return self.scout_on(actions);
                }
                lane.config.capacity - lane.in_memory()
            }
            _ => READ_LIMIT,
        };
        self.reading = true;
        actions.push(Action::Read { from, limit: limit.min(READ_LIMIT) });
    }

    /// A consumer whose only lane is stuck does not write the whole backlog to rows: it stops its cursor. But there may
    /// be events of other lanes behind (I6), so it looks ahead, once at every event.
    fn scout_on(&mut self, actions: &mut Vec<Action>) {
        let from = self.scouted.max(self.settled.read_to());
        if !self.scouting && from < self.visible {
            self.scouting = true;
            actions.push(Action::Scout { from, limit: READ_LIMIT });
        }
    }

    fn on_scouted(&mut self, lanes: &[QueueName], next: Offset) {
        self.scouting = false;
        self.scouted = self.scouted.max(next);
        self.several |= lanes.iter().any(|lane| !self.by_name.contains_key(lane));
        if self.several {
            self.touch_all();
        }
    }

    /// Too many settled events above an open one: save the open ones as rows, so that the cursor can pass.
    fn unblock(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        if self.settled.islands().len() < MOST_ISLANDS {
            return;
        }
        for offset in self.settled.blockers() {
            let Some(item) = self.items.get(&offset).copied() else { continue };
            let (Place::Waiting(no) | Place::Offered(no)) = item.place else { continue };
            let key = RowKey { due: now, offset };
            if item.row.is_none() {
                if let Some(lane) = self.lane_mut(no) {
                    lane.rows += 1;
                    lane.loaded += 1;
                }
                let lane = self.names[no as usize].clone();
                let write = Write::PutRow { lane, key, attempts: item.attempts, replaces: None };
                actions.push(Action::Write(write));
                if let Some(item) = self.items.get_mut(&offset) {
                    item.row = Some(key);
                }
            }
            self.settled.close(offset);
        }
    }
}
