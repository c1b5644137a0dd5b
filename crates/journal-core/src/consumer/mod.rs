mod lanes;
mod orders;
mod outcomes;
mod reading;
mod rebinds;
mod rows;
mod serving;
mod status;

pub use status::{ConsumerStatus, Totals};

use crate::action::{Action, Attempt, Checkpoint, LaneConfig, RowKey};
use crate::event::Event;
use crate::settled::Settled;
use lanes::{LaneNo, Lanes};
use reading::Reading;
use rebinds::Rebinds;
use waybill_types::{Offset, OffsetMap, QueueName, Timestamp};

/// The most settled events that a crash may bring again, beside what is in flight.
pub const MAX_UNSAVED: usize = 256;

/// Where an event is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    Judging,
    Waiting(LaneNo),
    Offered(LaneNo),
    Rebinding,
}

/// An event in memory.
#[derive(Clone, Copy, Debug)]
struct Item {
    created: Timestamp,
    attempts: u16,
    /// Its row, where it has one.
    row: Option<RowKey>,
    place: Place,
    /// An operator brought it back.
    redriven: bool,
}

impl Item {
    fn attempt(&self) -> Attempt {
        Attempt { attempts: self.attempts, created: self.created }
    }
}

/// One consumer of the journal. See the crate's documentation.
#[derive(Debug)]
pub struct Consumer {
    settled: Settled,
    reading: Reading,
    items: OffsetMap<Item>,
    lanes: Lanes,
    rebinds: Rebinds,
    /// Rows that were passed over, by their event.
    passed: OffsetMap<Vec<(LaneNo, RowKey)>>,
    /// Its handlers have chosen more than one lane at some time: then a lane that is stuck must not stop the cursor.
    several: bool,
    announced: Option<Timestamp>,
    /// How many events the sessions of one lane can have in flight.
    window: usize,
    saving: bool,
    paused: bool,
    stopping: bool,
}

impl Consumer {
    /// A consumer that begins at `cursor`. `window` is how many events its sessions can have in flight for one lane.
    pub fn new(cursor: Offset, window: usize) -> Self {
        Consumer {
            settled: Settled::new(cursor, &[]),
            reading: Reading::default(),
            items: OffsetMap::default(),
            lanes: Lanes::default(),
            rebinds: Rebinds::default(),
            passed: OffsetMap::default(),
            several: false,
            announced: None,
            window: window.max(1),
            saving: false,
            paused: false,
            stopping: false,
        }
    }

    /// A consumer that goes on after a restart. `config` gives the settings of each of its lanes.
    pub fn restore(checkpoint: &Checkpoint, window: usize, config: impl Fn(&QueueName) -> LaneConfig) -> Self {
        let mut consumer = Consumer::new(checkpoint.cursor, window);
        consumer.settled = Settled::new(checkpoint.cursor, &checkpoint.islands);
        consumer.several = checkpoint.several;
        consumer.paused = checkpoint.paused;
        for (name, rows) in &checkpoint.lanes {
            let no = consumer.open(name, config(name));
            if let Some(lane) = consumer.lanes.get_mut(no) {
                lane.rows = *rows;
                // When the first row is due is unknown: look.
                lane.next_due = (*rows > 0).then_some(Timestamp::EPOCH);
            }
            consumer.lanes.touch(no);
        }
        consumer
    }

    /// Takes one event, says what to do.
    pub fn step(&mut self, now: Timestamp, event: Event, actions: &mut Vec<Action>) {
        self.step_each(now, [event], actions);
    }

    /// Takes events in order, says what to do. What has become possible is looked for once behind all of them.
    pub fn step_each(&mut self, now: Timestamp, events: impl IntoIterator<Item = Event>, actions: &mut Vec<Action>) {
        for event in events {
            self.take(now, event, actions);
        }
        self.settle_down(now, actions);
    }

    fn take(&mut self, now: Timestamp, event: Event, actions: &mut Vec<Action>) {
        match event {
            Event::Visible(offset) => self.reading.visible(offset),
            Event::Read(read) => self.on_read(read, actions),
            Event::Judged { offset, verdict } => self.on_judged(now, offset, verdict, actions),
            Event::Rebound { offset, rebound } => self.on_rebound(now, offset, rebound, actions),
            Event::Scouted { lanes, next } => self.on_scouted(&lanes, next),
            Event::Loaded { lane, rows, next_due } => self.on_loaded(now, &lane, &rows, next_due, actions),
            Event::Finished { results } => self.on_finished(now, results, actions),
            Event::Returned { offset, delay } => self.on_returned(now, offset, delay, actions),
            Event::Configured { lane, config } => {
                if let Some(no) = self.lanes.no(&lane) {
                    self.lanes.open(&lane, config);
                    // Whatever the ready side had no way for, or no room, there may be now.
                    self.lanes.get_mut(no).into_iter().for_each(|lane| lane.hold_until = None);
                    self.lanes.touch(no);
                }
            }
            Event::Window(window) => {
                self.window = window.max(1);
                self.lanes.touch_all();
            }
            Event::Suspended { lane, until } => self.on_suspended(now, &lane, until, actions),
            Event::Ordered(order) => self.on_ordered(now, order, actions),
            Event::OrderEnded(id) => self.on_order_ended(id),
            Event::Saved => {
                self.settled.saved();
                self.saving = false;
                self.lanes.touch_all();
            }
            Event::Tick => {
                self.announced = None;
                self.lanes.touch_due(now);
            }
            Event::Paused(paused) => self.on_paused(paused, actions),
            Event::Redrive { offset } => self.on_redrive(now, offset, actions),
            Event::Stopping => self.stopping = true,
        }
    }

    /// What a restart will begin with, once everything written so far is committed in one batch with it. Call
    /// [`Event::Saved`] when that is done; between the two no other checkpoint may be committed.
    pub fn checkpoint(&mut self) -> Checkpoint {
        self.settled.saving();
        self.saving = true;
        let lanes = self.lanes.iter().filter(|(_, lane)| lane.rows > 0);
        let mut lanes: Vec<_> = lanes.map(|(name, lane)| (name.clone(), lane.rows)).collect();
        lanes.sort();
        let islands = self.settled.islands().collect();
        Checkpoint { cursor: self.settled.cursor(), islands, several: self.several, paused: self.paused, lanes }
    }

    fn on_suspended(&mut self, now: Timestamp, name: &QueueName, until: Option<Timestamp>, actions: &mut Vec<Action>) {
        let until = until.filter(|until| *until > now);
        let Some(no) = self.lanes.no(name) else { return self.lanes.suspend_ahead(now, name, until) };
        if let Some(lane) = self.lanes.get_mut(no) {
            lane.suspended_until = until;
        }
        if until.is_some() {
            actions.push(Action::Recall { lane: name.clone() });
            if self.several {
                self.park_waiting(now, no, actions);
            }
        }
        self.lanes.touch(no);
    }

    fn on_paused(&mut self, paused: bool, actions: &mut Vec<Action>) {
        if self.paused == paused {
            return;
        }
        self.paused = paused;
        if paused {
            let lanes = self.lanes.iter().map(|(name, _)| Action::Recall { lane: name.clone() });
            actions.extend(lanes);
        }
        self.lanes.touch_all();
        // A restart goes on as it is now.
        actions.push(Action::Save);
    }

    /// Whether nothing new may be read or offered.
    fn rests(&self) -> bool {
        self.paused || self.stopping
    }

    /// The lane of this name with these settings. The second one makes this a consumer of several.
    fn open(&mut self, name: &QueueName, config: LaneConfig) -> LaneNo {
        let no = self.lanes.open(name, config);
        self.several |= self.lanes.len() > 1;
        no
    }

    fn place(&mut self, offset: Offset, place: Place) {
        if let Some(item) = self.items.get_mut(&offset) {
            item.place = place;
        }
    }

    /// The event needs no memory any more: it is settled, or its row is written.
    fn forget(&mut self, offset: Offset, actions: &mut Vec<Action>) {
        self.items.remove(&offset);
        self.rebinds.forget(offset);
        self.settled.close(offset);
        self.pick_up(offset);
        actions.push(Action::Forget { offset });
    }
}
