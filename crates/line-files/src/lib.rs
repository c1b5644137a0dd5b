//! Files of lines in a directory, as an operator's tools read them: zstd streams, named after the moment they were begun,
//! that end when they are large or old enough or the daemon stops; then their write permission is taken away, which tells
//! readers that they are complete. A crash leaves a stream without an end, which the next start marks as done.
//!
//! One thread writes ([`LineFiles`]); what the lines are, and which go where, is said by a [`Lines`]. Nothing here knows
//! what a log record is.
//!
//! ```
//! use waybill_line_files::{Lines, Metrics, Route};
//! /// Texts, all of them into the first place.
//! struct Texts;
//! impl Lines for Texts {
//!     type Item = String;
//!     fn route(&self, _: &String) -> Option<Route> {
//!         Some(Route { place: 0, header: "".into() })
//!     }
//!     fn line(&mut self, item: &String, _: waybill_types::Timestamp, _: &Metrics) -> Vec<u8> {
//!         format!("{item}\n").into_bytes()
//!     }
//! }
//! ```

mod directory;
mod files;
mod metrics;
mod nag;
mod reading;
mod segment;
mod settings;
mod writer;

pub use files::{Error, LineFiles};
pub use metrics::Metrics;
pub use nag::Nag;
pub use reading::above_zero;
pub use settings::{DEFAULT_BACK_PRESSURE, DEFAULT_MAX_FILE_SIZE, LineFilesConfig, Place, Settings, check};
pub use writer::{Lines, Route};
