use super::SharedLimits;
use crate::ready::ReadyId;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A connection under a shared limit. Dropping it gives it back, wherever that happens, to the first in line.
pub(crate) struct Lease {
    pub(super) shared: SharedLimits,
    pub(super) name: Arc<str>,
}

impl Lease {
    /// The limit it counts towards.
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let nudge = self.shared.table().give_back(&self.name);
        // Outside of the lock: whoever is called may take it.
        if let Some(nudge) = nudge {
            nudge();
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lease({})", self.name)
    }
}

/// A place in the line of a shared limit. Dropping it leaves the line.
pub(crate) struct Waiting {
    pub(super) shared: SharedLimits,
    pub(super) name: Arc<str>,
    pub(super) ticket: u64,
}

impl Waiting {
    /// The limit it waits for.
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.shared.table().leave_line(&self.name, self.ticket);
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Waiting({})", self.name)
    }
}

/// The state of one shared limit.
#[derive(Debug, Default)]
pub(super) struct Leases {
    /// Connections that count, those included that are on their way to the first in line.
    held: u32,
    /// Who waits, first come first served.
    line: BTreeMap<u64, Waiter>,
}

/// Who waits for a connection.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) member: u64,
    pub(super) queue: ReadyId,
    /// Paths may give the same name different limits: each goes by its own.
    pub(super) limit: u32,
}

impl Leases {
    /// Takes a connection, if that path's limit allows one.
    pub(super) fn take(&mut self, limit: u32) -> bool {
        let free = self.held < limit;
        self.held += u32::from(free);
        free
    }

    pub(super) fn stand(&mut self, ticket: u64, waiter: Waiter) {
        self.line.insert(ticket, waiter);
    }

    pub(super) fn leave(&mut self, ticket: u64) {
        self.line.remove(&ticket);
    }

    pub(super) fn drop_member(&mut self, member: u64) {
        self.line.retain(|_, waiter| waiter.member != member);
    }

    pub(super) fn give_back(&mut self) {
        self.held = self.held.saturating_sub(1);
    }

    /// A free connection goes to the first whose limit allows it; it counts from here on.
    pub(super) fn pass_on(&mut self) -> Option<Waiter> {
        let ticket = *self.line.iter().find(|(_, waiter)| waiter.limit > self.held)?.0;
        let waiter = self.line.remove(&ticket)?;
        self.held += 1;
        Some(waiter)
    }

    pub(super) fn is_unused(&self) -> bool {
        self.held == 0 && self.line.is_empty()
    }
}
