//! The client's side.

mod connectors;
mod suites;
mod trust;

pub use connectors::{ClientParams, Connectors};
pub use trust::{Check, Trust};

pub(crate) use trust::provider;
