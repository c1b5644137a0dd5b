use super::scheduled::Standing;
use crate::due::DueKey;
use crate::ready::{ReadyId, SessionId};
use crate::reason::Reasons;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use waybill_types::{Schedule, Timestamp};

/// Entries are kept in blocks, so that a queue that grows to a million messages never copies them all at once.
const BLOCK: usize = 4096;

/// Where an entry is kept. Reused after the entry has gone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Slot(u32);

const NOWHERE: Slot = Slot(u32::MAX);

/// A scheduled queue in memory.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct QueueId(pub(super) u32);

/// Where a message is: exactly one of these.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// Not due yet.
    Scheduled(DueKey),
    /// Due since `due`, waiting at this place of its queue's line for a route, a rate or its turn.
    Held { due: Timestamp, place: Standing },
    /// Due since `due`; the policy is asked whether it may become ready.
    Asked { due: Timestamp },
    /// Taken aside for an operator's change; it was due at `due`.
    Taken { due: Timestamp },
    /// On its way back since `since`; the policy is asked whether it may. Nobody else moves it meanwhile.
    Returning { since: Timestamp },
    /// In a ready queue.
    Ready(ReadyId),
    /// With a session.
    InFlight(SessionId),
}

/// What is known of one message. Its size is most of what a million queued messages cost.
#[derive(Debug)]
pub(super) struct Entry<K> {
    pub(super) item: K,
    pub(super) created: Timestamp,
    /// `Timestamp::MAX` where the message has no schedule of its own.
    expires: Timestamp,
    pub(super) place: Place,
    pub(super) reasons: Reasons,
    pub(super) queue: QueueId,
    previous: Slot,
    next: Slot,
    pub(super) attempts: u16,
    /// The policy has let it pass.
    pub(super) cleared: bool,
}

impl<K> Entry<K> {
    pub(super) fn expires(&self) -> Option<Timestamp> {
        (self.expires < Timestamp::MAX).then_some(self.expires)
    }
}

/// A list of entries that runs through the entries themselves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Members {
    first: Slot,
    last: Slot,
    pub(super) len: usize,
}

impl Default for Members {
    fn default() -> Self {
        Members { first: NOWHERE, last: NOWHERE, len: 0 }
    }
}

/// All messages.
#[derive(Debug)]
pub(super) struct Items<K> {
    blocks: Vec<Vec<Option<Entry<K>>>>,
    free: Vec<Slot>,
    by_item: HashMap<K, Slot>,
    /// Beside the entries: few messages have one.
    schedules: HashMap<Slot, Arc<Schedule>>,
}

impl<K> Default for Items<K> {
    fn default() -> Self {
        Items { blocks: Vec::new(), free: Vec::new(), by_item: HashMap::new(), schedules: HashMap::new() }
    }
}

impl<K: Copy + Eq + Hash> Items<K> {
    pub(super) fn len(&self) -> usize {
        self.by_item.len()
    }

    pub(super) fn slot(&self, item: &K) -> Option<Slot> {
        self.by_item.get(item).copied()
    }

    pub(super) fn get(&self, slot: Slot) -> Option<&Entry<K>> {
        let index = slot.0 as usize;
        self.blocks.get(index / BLOCK)?.get(index % BLOCK)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut Entry<K>> {
        let index = slot.0 as usize;
        self.blocks.get_mut(index / BLOCK)?.get_mut(index % BLOCK)?.as_mut()
    }

    /// Adds a message that is not here yet; it belongs to no list until it is linked.
    pub(super) fn insert(
        &mut self,
        item: K,
        created: Timestamp,
        schedule: Option<Arc<Schedule>>,
        attempts: u16,
    ) -> Slot {
        let entry = Entry {
            item,
            created,
            expires: Timestamp::MAX,
            place: Place::Held { due: created, place: Standing::NOWHERE },
            reasons: Reasons::new(),
            queue: QueueId(u32::MAX),
            previous: NOWHERE,
            next: NOWHERE,
            attempts,
            cleared: false,
        };
        let slot = self.free.pop().unwrap_or_else(|| self.grow());
        let index = slot.0 as usize;
        self.blocks[index / BLOCK][index % BLOCK] = Some(entry);
        self.by_item.insert(item, slot);
        self.set_schedule(slot, schedule);
        slot
    }

    pub(super) fn schedule(&self, slot: Slot) -> Option<&Schedule> {
        self.schedules.get(&slot).map(|schedule| &**schedule)
    }

    pub(super) fn set_schedule(&mut self, slot: Slot, schedule: Option<Arc<Schedule>>) {
        let Some(entry) = self.get_mut(slot) else { return };
        let expires = schedule.as_ref().and_then(|schedule| schedule.expires());
        entry.expires = expires.unwrap_or(Timestamp::MAX);
        match schedule {
            Some(schedule) => self.schedules.insert(slot, schedule),
            None => self.schedules.remove(&slot),
        };
    }

    fn grow(&mut self) -> Slot {
        if self.blocks.last().is_none_or(|block| block.len() == BLOCK) {
            self.blocks.push(Vec::with_capacity(BLOCK));
        }
        let full = self.blocks.len() - 1;
        let block = &mut self.blocks[full];
        block.push(None);
        Slot(u32::try_from(full * BLOCK + block.len() - 1).unwrap_or(u32::MAX))
    }

    /// Forgets a message that has been unlinked.
    pub(super) fn remove(&mut self, slot: Slot) -> Option<Entry<K>> {
        let index = slot.0 as usize;
        let entry = self.blocks.get_mut(index / BLOCK)?.get_mut(index % BLOCK)?.take()?;
        self.by_item.remove(&entry.item);
        self.schedules.remove(&slot);
        self.free.push(slot);
        Some(entry)
    }

    /// Appends an entry to the list of a queue.
    pub(super) fn link(&mut self, slot: Slot, queue: QueueId, members: &mut Members) {
        let last = members.last;
        if let Some(entry) = self.get_mut(slot) {
            (entry.queue, entry.previous, entry.next) = (queue, last, NOWHERE);
        }
        match self.get_mut(last) {
            Some(entry) => entry.next = slot,
            None => members.first = slot,
        }
        members.last = slot;
        members.len += 1;
    }

    /// Moves an entry to the end of the list of its queue.
    pub(super) fn rotate(&mut self, slot: Slot, queue: QueueId, members: &mut Members) {
        self.unlink(slot, members);
        self.link(slot, queue, members);
    }

    /// Takes an entry out of the list of its queue.
    pub(super) fn unlink(&mut self, slot: Slot, members: &mut Members) {
        let Some(entry) = self.get(slot) else { return };
        let (previous, next) = (entry.previous, entry.next);
        match self.get_mut(previous) {
            Some(entry) => entry.next = next,
            None => members.first = next,
        }
        match self.get_mut(next) {
            Some(entry) => entry.previous = previous,
            None => members.last = previous,
        }
        members.len -= 1;
    }

    /// The entries of a queue, in the order in which they came.
    pub(super) fn members(&self, members: Members) -> impl Iterator<Item = (Slot, &Entry<K>)> {
        let mut slot = members.first;
        std::iter::from_fn(move || {
            let entry = self.get(slot)?;
            let here = slot;
            slot = entry.next;
            Some((here, entry))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use waybill_types::MessageId;

    #[test]
    fn an_entry_is_small() {
        assert!(size_of::<Option<Entry<MessageId>>>() <= 96, "{}", size_of::<Option<Entry<MessageId>>>());
    }

    #[test]
    fn lists_keep_their_order_through_removals_and_reuse() {
        let mut items = Items::<u32>::default();
        let mut members = Members::default();
        let slots: Vec<Slot> = (0..5)
            .map(|item| {
                let slot = items.insert(item, Timestamp::EPOCH, None, 0);
                items.link(slot, QueueId(0), &mut members);
                slot
            })
            .collect();
        let listed =
            |items: &Items<u32>, members| -> Vec<u32> { items.members(members).map(|(_, entry)| entry.item).collect() };
        for index in [2, 0, 4] {
            items.unlink(slots[index], &mut members);
            items.remove(slots[index]);
        }
        assert_eq!(listed(&items, members), [1, 3]);
        let slot = items.insert(9, Timestamp::EPOCH, None, 0);
        assert!(slots.contains(&slot), "a free place is used again");
        items.link(slot, QueueId(0), &mut members);
        assert_eq!((listed(&items, members), members.len), (vec![1, 3, 9], 3));
        assert_eq!((items.slot(&9), items.slot(&0), items.len()), (Some(slot), None, 3));
    }
}
