//! The client's side.

mod connectors;
mod dane;
mod suites;
mod trust;

pub use connectors::{ClientParams, Connectors};
pub use dane::Association;
pub use trust::{Check, Trust};

pub(crate) use trust::provider;
