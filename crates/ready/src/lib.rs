//! Drives sessions: what the ready queues decide (open, hand, close) becomes connections and deliveries, what comes of
//! them becomes events for whoever owns the queues. The mail queue and the hooks both do it through here.
//!
//! Every session is one task. It is given at most one batch at a time, loads the messages, delivers, reports.

mod aborted;
mod board;
mod session;
mod sessions;

pub use aborted::{is_aborted, stopped_by_watchdog};
pub use board::{Abort, Board, Watched, is_cut_off};
pub use sessions::{AtOnce, Finished, Loader, Refused, SessionEvent, Sessions, SessionsOptions};
