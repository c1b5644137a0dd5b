//! Filters: what of one log is copied into another, and how far that has come.

mod config;
mod progress;
mod state;
mod status;

pub use config::{Filter, FilterCreate, FilterUpdate, Keeping};
pub use progress::{Page, Progress, Verdict};
pub use state::is_final;
pub use status::FilterStatus;
