use super::SessionId;
use std::collections::{BTreeMap, BTreeSet};
use waybill_types::Timestamp;

/// The sessions of one ready queue, each in one phase.
#[derive(Debug)]
pub(super) struct Sessions<T> {
    all: BTreeMap<SessionId, Session<T>>,
    /// The idle ones, by how long they have been.
    idle: BTreeSet<(Timestamp, SessionId)>,
    opening: usize,
    busy: usize,
    in_flight: usize,
    /// Those that could not connect and have not been told to close.
    refused: BTreeSet<SessionId>,
}

#[derive(Debug)]
struct Session<T> {
    phase: Phase<T>,
    /// How many items it has been given.
    served: usize,
}

#[derive(Debug)]
enum Phase<T> {
    Opening,
    Idle { since: Timestamp },
    Busy { items: Vec<T> },
    Closing,
}

impl<T> Default for Sessions<T> {
    fn default() -> Self {
        Sessions {
            all: BTreeMap::new(),
            idle: BTreeSet::new(),
            opening: 0,
            busy: 0,
            in_flight: 0,
            refused: BTreeSet::new(),
        }
    }
}

impl<T> Sessions<T> {
    /// All that count towards the connection limit.
    pub(super) fn total(&self) -> usize {
        self.all.len()
    }

    /// Those that serve or will.
    pub(super) fn live(&self) -> usize {
        self.opening + self.idle.len() + self.busy
    }

    pub(super) fn opening(&self) -> usize {
        self.opening
    }

    pub(super) fn idle(&self) -> usize {
        self.idle.len()
    }

    pub(super) fn busy(&self) -> usize {
        self.busy
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// True when at least one has connected and is still in use: the path works.
    pub(super) fn proven(&self) -> bool {
        self.idle.len() + self.busy > self.refused.len()
    }

    /// The idle one that was used last, so that the others can go. One that is not connected serves before all others
    /// or never.
    pub(super) fn next_to_serve(&self) -> Option<SessionId> {
        self.idle_and_refused().first().copied().or_else(|| self.idle.last().map(|(_, session)| *session))
    }

    /// The idle ones that could not connect.
    pub(super) fn idle_and_refused(&self) -> Vec<SessionId> {
        // Nearly always there is none.
        self.refused.iter().copied().filter(|id| self.is_idle(*id)).collect()
    }

    fn is_idle(&self, id: SessionId) -> bool {
        self.all.get(&id).is_some_and(|session| matches!(session.phase, Phase::Idle { .. }))
    }

    pub(super) fn oldest_idle(&self) -> Option<(Timestamp, SessionId)> {
        self.idle.first().copied()
    }

    /// The idle ones that have been given at least so many items.
    pub(super) fn worn(&self, limit: usize) -> Vec<SessionId> {
        let served = |id: &SessionId| self.all.get(id).is_some_and(|session| session.served >= limit);
        self.idle.iter().map(|(_, id)| *id).filter(served).collect()
    }

    /// What a session holds.
    pub(super) fn items(&self, id: SessionId) -> &[T] {
        match self.all.get(&id).map(|session| &session.phase) {
            Some(Phase::Busy { items }) => items,
            _ => &[],
        }
    }

    /// Nothing => Opening.
    pub(super) fn open(&mut self, id: SessionId) {
        self.opening += 1;
        self.all.insert(id, Session { phase: Phase::Opening, served: 0 });
    }

    /// Opening => Idle. False for any other phase: a late or double report changes nothing.
    pub(super) fn connected(&mut self, id: SessionId, now: Timestamp) -> bool {
        match self.all.get_mut(&id) {
            Some(session) if matches!(session.phase, Phase::Opening) => {
                session.phase = Phase::Idle { since: now };
                self.opening -= 1;
                self.idle.insert((now, id));
                true
            }
            _ => false,
        }
    }

    /// Opening => Idle, without a connection: good for one batch. False for any other phase.
    pub(super) fn refused(&mut self, id: SessionId, now: Timestamp) -> bool {
        let refused = self.connected(id, now);
        if refused {
            self.refused.insert(id);
        }
        refused
    }

    /// Idle => Busy. The session owns the items until `finish` or `remove`.
    pub(super) fn hand(&mut self, id: SessionId, items: Vec<T>) {
        let Some(session) = self.all.get_mut(&id) else { return };
        let Phase::Idle { since } = session.phase else { return };
        self.idle.remove(&(since, id));
        self.busy += 1;
        self.in_flight += items.len();
        session.served += items.len();
        session.phase = Phase::Busy { items };
    }

    /// Busy => Idle. How many items the session has been given so far; `None` for any other phase.
    pub(super) fn finish(&mut self, id: SessionId, now: Timestamp) -> Option<usize> {
        let session = self.all.get_mut(&id)?;
        let Phase::Busy { items } = &session.phase else { return None };
        self.in_flight -= items.len();
        self.busy -= 1;
        session.phase = Phase::Idle { since: now };
        self.idle.insert((now, id));
        Some(session.served)
    }

    /// Idle => Closing. It counts towards the limit until `remove`.
    pub(super) fn close(&mut self, id: SessionId) {
        if let Some(session) = self.all.get_mut(&id)
            && let Phase::Idle { since } = session.phase
        {
            self.idle.remove(&(since, id));
            self.refused.remove(&id);
            session.phase = Phase::Closing;
        }
    }

    /// Any phase => nothing. The items that were in flight.
    pub(super) fn remove(&mut self, id: SessionId) -> Vec<T> {
        self.refused.remove(&id);
        match self.all.remove(&id).map(|session| session.phase) {
            Some(Phase::Opening) => self.opening -= 1,
            Some(Phase::Idle { since }) => {
                self.idle.remove(&(since, id));
            }
            Some(Phase::Busy { items }) => {
                self.busy -= 1;
                self.in_flight -= items.len();
                return items;
            }
            Some(Phase::Closing) | None => {}
        }
        Vec::new()
    }

    pub(super) fn is_opening(&self, id: SessionId) -> bool {
        self.all.get(&id).is_some_and(|session| matches!(session.phase, Phase::Opening))
    }
}
