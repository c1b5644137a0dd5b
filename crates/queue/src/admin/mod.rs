//! The mail queue under administration: orders, moves, and looks at what is there.

mod explain;
mod look;
mod orders;
mod owner;
mod rebind;

pub(crate) use look::Look;
pub(crate) use orders::{Counts, Orders};
pub(crate) use rebind::{Rebinds, Rebound};
