use crate::action::LaneConfig;
use crate::lane::{FIRST_ROW, Lane};
use crate::order::{Bounces, Given};
use std::collections::HashMap;
use std::sync::Arc;
use waybill_queue_core::due::DueIndex;
use waybill_types::{Offset, QueueName, Timestamp};

/// Where a lane stands in [`Lanes`].
pub(super) type LaneNo = u32;

/// The lanes of a consumer that have anything to them.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    /// A lane keeps its place while it is there, so that events and timers can name it by a number.
    slots: Vec<Option<(QueueName, Lane)>>,
    free: Vec<LaneNo>,
    by_name: HashMap<QueueName, LaneNo>,
    /// The lane that was opened last: mostly the next event is for the same.
    last: LaneNo,
    timers: DueIndex<LaneNo>,
    /// Lanes for which something may have become possible.
    touched: Vec<LaneNo>,
    /// Suspensions of lanes that are not there (any more): an order outlives the traffic.
    suspended: HashMap<QueueName, Timestamp>,
    /// In the order in which they were given.
    orders: Vec<Arc<Given>>,
}

impl Lanes {
    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    pub(super) fn no(&self, name: &QueueName) -> Option<LaneNo> {
        self.by_name.get(name).copied()
    }

    pub(super) fn get(&self, no: LaneNo) -> Option<&Lane> {
        self.slots.get(no as usize)?.as_ref().map(|(_, lane)| lane)
    }

    pub(super) fn get_mut(&mut self, no: LaneNo) -> Option<&mut Lane> {
        self.slots.get_mut(no as usize)?.as_mut().map(|(_, lane)| lane)
    }

    pub(super) fn named_mut(&mut self, no: LaneNo) -> Option<(&QueueName, &mut Lane)> {
        self.slots.get_mut(no as usize)?.as_mut().map(|(name, lane)| (&*name, lane))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&QueueName, &Lane)> {
        self.slots.iter().flatten().map(|(name, lane)| (name, lane))
    }

    /// The first lane; the only one of a consumer that never had several.
    pub(super) fn first(&self) -> Option<(LaneNo, &Lane)> {
        (0..).zip(&self.slots).find_map(|(no, slot)| slot.as_ref().map(|(_, lane)| (no, lane)))
    }

    /// The lane of this name, made where it is not there, with these settings.
    pub(super) fn open(&mut self, name: &QueueName, config: LaneConfig) -> LaneNo {
        if let Some((last, lane)) = self.named_mut(self.last)
            && last == name
        {
            lane.config = config;
            return self.last;
        }
        if let Some(no) = self.no(name) {
            if let Some(lane) = self.get_mut(no) {
                lane.config = config;
            }
            self.last = no;
            return no;
        }
        let mut lane = Lane::new(config);
        lane.suspended_until = self.suspended.remove(name);
        apply(&self.orders, name, &mut lane);
        let slot = Some((name.clone(), lane));
        let no = if let Some(no) = self.free.pop() {
            self.slots[no as usize] = slot;
            no
        } else {
            self.slots.push(slot);
            // Four thousand million lanes do not fit into memory.
            LaneNo::try_from(self.slots.len() - 1).unwrap_or(LaneNo::MAX)
        };
        self.by_name.insert(name.clone(), no);
        no
    }

    /// Forgets a lane; it comes back with its next event.
    pub(super) fn close(&mut self, no: LaneNo, now: Timestamp) {
        let Some((name, lane)) = self.slots.get_mut(no as usize).and_then(Option::take) else { return };
        if let Some(timer) = lane.timer {
            self.timers.remove(timer);
        }
        self.by_name.remove(&name);
        self.free.push(no);
        if let Some(until) = lane.suspended_until.filter(|until| *until > now) {
            self.suspended.insert(name, until);
        }
    }

    /// Suspends a lane that is not there, or ends that.
    pub(super) fn suspend_ahead(&mut self, now: Timestamp, name: &QueueName, until: Option<Timestamp>) {
        self.suspended.retain(|_, until| *until > now);
        match until {
            Some(until) => {
                self.suspended.insert(name.clone(), until);
            }
            None => {
                self.suspended.remove(name);
            }
        }
    }

    /// Adds an order, and gives the lanes that it fits.
    pub(super) fn order(&mut self, given: Given) -> Vec<LaneNo> {
        let given = self.remember(given);
        self.apply_orders();
        self.fitting(&given)
    }

    /// Adds an order for events to come.
    pub(super) fn remember(&mut self, given: Given) -> Arc<Given> {
        let given = Arc::new(given);
        self.orders.push(given.clone());
        given
    }

    /// The lanes that an order fits.
    pub(super) fn fitting(&self, given: &Given) -> Vec<LaneNo> {
        let fits = |(name, no): (&QueueName, &LaneNo)| given.order.lanes.fits(name).then_some(*no);
        let mut fitting: Vec<LaneNo> = self.by_name.iter().filter_map(fits).collect();
        fitting.sort_unstable();
        fitting
    }

    /// The first rebind that reaches an event which comes to a lane from the journal now; of those after `after`.
    pub(super) fn rebind_of(&self, no: LaneNo, offset: Offset, after: Option<&Given>) -> Option<Arc<Given>> {
        let (name, _) = self.slots.get(no as usize)?.as_ref()?;
        let is_later = |given: &Given| after.is_none_or(|after| given.rebind.mark < after.rebind.mark);
        let reaches = |given: &Given| given.is_on_its_way(offset) && is_later(given) && given.order.lanes.fits(name);
        self.orders.iter().find(|given| given.parcel().is_some() && reaches(given)).cloned()
    }

    /// Keeps only such orders.
    pub(super) fn keep_orders(&mut self, keep: impl Fn(&Given) -> bool) {
        let before = self.orders.len();
        self.orders.retain(|given| keep(given));
        if self.orders.len() != before {
            self.apply_orders();
        }
    }

    fn apply_orders(&mut self) {
        for (name, lane) in self.slots.iter_mut().flatten() {
            apply(&self.orders, name, lane);
        }
    }

    pub(super) fn touch(&mut self, no: LaneNo) {
        if self.touched.last() != Some(&no) {
            self.touched.push(no);
        }
    }

    pub(super) fn touch_all(&mut self) {
        self.touched.clear();
        self.touched.extend(self.by_name.values());
    }

    pub(super) fn touch_due(&mut self, now: Timestamp) {
        while let Some((_, no)) = self.timers.pop_due(now) {
            if let Some(lane) = self.get_mut(no) {
                lane.timer = None;
            }
            self.touch(no);
        }
    }

    /// The lanes touched since the last time, each once.
    pub(super) fn take_touched(&mut self) -> Vec<LaneNo> {
        let mut touched = std::mem::take(&mut self.touched);
        touched.sort_unstable();
        touched.dedup();
        touched
    }

    /// Sets the timer of a lane to when it wants to be looked at.
    pub(super) fn set_timer(&mut self, no: LaneNo, now: Timestamp) {
        let Some((_, lane)) = self.slots.get_mut(no as usize).and_then(Option::as_mut) else { return };
        let wake = lane.wake(now);
        if lane.timer.map(|timer| timer.due()) == wake {
            return;
        }
        if let Some(timer) = lane.timer.take() {
            self.timers.remove(timer);
        }
        lane.timer = wake.map(|at| self.timers.insert(at, no));
    }

    pub(super) fn next_wake(&self) -> Option<Timestamp> {
        self.timers.next_due()
    }
}

/// Tells a lane what the orders mean for it.
fn apply(orders: &[Arc<Given>], name: &QueueName, lane: &mut Lane) {
    let fitting = || orders.iter().filter(|given| given.order.lanes.fits(name));
    lane.ordered_until = fitting().filter_map(|given| given.suspends()).max();
    lane.bounces = Bounces(fitting().filter(|given| given.is_bounce()).cloned().collect());
    if lane.bounces.0.is_empty() && lane.sweep.take().is_some() {
        // Rows that were not looked at yet: when they are due will be seen.
        lane.put_on_disk(FIRST_ROW);
    }
}
