//! Egress webhooks: how they are described, with which keys they sign, and what they do next.

mod config;
mod delivery;
mod health;
mod lanes;
mod response;
mod status;

pub use config::{Egress, EgressCreate, EgressUpdate, Mode, Payload, Position, Rotate, Shown};
pub use delivery::{Attempted, Delivery, Next, View, backoff};
pub(crate) use delivery::{PAUSED, signed};
pub use health::{Health, Turn, Turned};
pub use lanes::{Lane, Lanes, Offered, ParkedRow, RowChanges};
pub use response::raw_response;
pub use status::Status;
