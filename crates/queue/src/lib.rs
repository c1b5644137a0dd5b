//! The queue manager of the mail: takes responsibility for messages, drives the pure core, and turns what it decides
//! into stored changes, records and sessions.
//!
//! One task owns the core. Whatever it decides about messages is stored together with the events that tell of it, in
//! one batch (I2), before anything else is done; when the store fails, the task keeps trying and hands nothing out.

mod accept;
mod commit;
mod configs;
mod driver;
mod manager;
mod messages;
mod records;
mod routes;
mod spool_in;
mod stats;

pub use manager::{ManagerOptions, QueueManager};
pub use stats::{QueueSnapshot, Stats};
