//! Filters: what of one log is copied into another, and how far that has come.

mod config;
mod progress;
mod status;

pub use config::{Filter, FilterCreate, FilterUpdate};
pub use progress::{Page, Progress, Verdict};
pub use status::FilterStatus;
