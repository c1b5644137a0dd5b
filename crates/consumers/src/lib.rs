//! Runs the decisions of `journal-core` against a [`Store`](waybill_spool::Store), for anyone who can judge and send
//! events: log hooks, event hooks, egress webhooks.
//!
//! One task a consumer. What must survive goes into one batch with the cursor, 50 ms after something was delivered or
//! parked at the latest, and at once when many events wait for it. A consumer that has nothing to do sleeps.
//!
//! It refuses to know what an event is: a [`Dispatch`] does.

mod control;
mod dead_letters;
mod detached;
mod dispatch;
mod feed;
pub mod history;
mod layout;
mod parked;
mod registry;
mod retention;
mod runner;
mod saver;
mod status;

pub use control::{Chosen, Control, Gone};
pub use detached::Detached;
pub use dispatch::{Dispatch, JudgedEvent, Report, Reports};
pub use feed::Feed;
pub use layout::{DeadLetter, EMPTY_OVERLAY, Letters, Replay};
pub use parked::ParkedEvent;
pub use registry::{Registered, Registry};
pub use retention::{Retention, RetentionRule};
pub use runner::{Ended, Runner, RunnerOptions};
pub use status::{ConsumerState, LastResponse, LeftLetters, Snapshot};
