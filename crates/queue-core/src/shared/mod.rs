//! Limits and rates that several queues name, kept once for all of them.
//!
//! `additional_connection_limits`, `additional_message_rate_throttles` and `additional_source_selection_rates` (contract
//! section 2.6) count by name, whichever ready queue, hook or pool the name stands in. So their state is not a queue's:
//! it is in one [`SharedLimits`], of which everybody who drives queues has a clone. It is the one place of this crate
//! with a lock, held for a few map operations and never across a step.
//!
//! Nobody polls. Who finds a *limit* reached stands in its line, and whoever gives a connection back hands it to the
//! first in line: the connection is never free in between, so a newcomer cannot take it. Who finds a *rate* spent books
//! its turn and comes back at that time.

mod leases;
mod rate;
mod table;

pub(crate) use leases::{Lease, Waiting};
pub(crate) use rate::SharedRate;
pub(crate) use table::{Kind, Membership};

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use table::Table;

/// Called when a queue of another driver may go on: has that driver take a step. Must not block.
pub type Nudge = Arc<dyn Fn() + Send + Sync>;

/// The limits that queues share by name. Clones are the same.
///
/// ```
/// use std::sync::Arc;
/// use waybill_queue_core::ready::ReadyQueues;
/// use waybill_queue_core::shared::SharedLimits;
///
/// let shared = SharedLimits::default();
/// let of_mail = ReadyQueues::<u32>::sharing(&shared, Arc::new(|| { /* wake the mail's driver */ }));
/// let of_a_hook = ReadyQueues::<u32>::sharing(&shared, Arc::new(|| { /* wake the hook's */ }));
/// # drop((of_mail, of_a_hook));
/// ```
#[derive(Clone, Default)]
pub struct SharedLimits(Arc<Mutex<Table>>);

impl SharedLimits {
    /// A driver of queues comes in.
    pub(crate) fn join(&self, nudge: Option<Nudge>) -> Membership {
        let member = self.table().join(nudge);
        Membership { shared: self.clone(), member }
    }

    // A panic elsewhere leaves counts that are at worst too high by what it held.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for SharedLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedLimits")
    }
}

#[cfg(test)]
mod tests;
