//! Runs the decisions of `journal-core` against a [`Store`](waybill_spool::Store), for anyone who can judge and send
//! events: log hooks, event hooks, egress webhooks.
//!
//! One task a consumer. What must survive goes into one batch with the cursor, at least every 50 ms while something
//! happens, and at once when many events wait for it.

mod detached;
mod dispatch;
mod layout;
mod registry;
mod retention;
mod runner;
mod saver;
mod status;

pub use detached::Detached;
pub use dispatch::{Dispatch, JudgedEvent, Report, Reports};
pub use layout::{DeadLetter, EMPTY_OVERLAY};
pub use registry::{Registered, Registry};
pub use retention::{Retention, RetentionRule};
pub use runner::{Runner, RunnerOptions};
pub use status::{ConsumerState, LastResponse, Snapshot};
