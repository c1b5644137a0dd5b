//! What logs and egress webhooks decide (contract/klev.md): ids, error codes, the JSON of requests and answers, where a
//! consumer goes on reading, what a sweep removes, and what an egress webhook does next.
//!
//! Pure: no store, no socket, no clock, no random numbers; all of these are arguments. It refuses to guess: what a
//! request says wrongly is an [`Error`] with one of the [`Code`]s that klev's clients know.
//!
//! ```
//! use waybill_streams_core::{Code, Id, Kind};
//! let id = Id::mint(Kind::Log, 1_695_490_927, [7; 16]);
//! assert_eq!(Id::parse(Kind::Log, &id.to_string()), Ok(id));
//! assert_eq!(Id::parse(Kind::Egress, &id.to_string()).unwrap_err().code, Code::IdInvalidPrefix);
//! ```

mod answer;
mod code;
mod egress;
mod encoding;
mod escape;
mod extent;
mod field;
mod filter;
mod id;
mod ingress;
mod limits;
mod listed;
mod log;
mod message;
mod offset;
mod once;
mod query;
mod reach;
mod read;
mod route;
mod row;
mod secrets;
mod sweep;
mod text;

pub use answer::Answer;
pub use code::{Code, Error};
pub use egress::{
    Attempted, Delivery, Egress, EgressCreate, EgressUpdate, Health, Lane, Lanes, Mode, Next, Offered, ParkedRow,
    Payload, Position, Rotate, RowChanges, Shown, Status, Turn, Turned, View, backoff, raw_response,
};
pub use encoding::Encoding;
pub use extent::{Extent, NEWEST, OLDEST, Place};
pub use filter::{Filter, FilterCreate, FilterStatus, FilterUpdate, Keeping, Page, Progress, Verdict, is_final};
pub use id::{Id, Kind};
pub use ingress::{Ingress, IngressCreate, IngressType, IngressUpdate, Reception, receive};
pub use limits::Limits;
pub use log::{Cleanup, Log, LogCreate, LogUpdate, Stats};
pub use message::{Message, MessageOut, NextOffset, Publish, PublishOne, WithKey};
pub use offset::{OffsetCreate, OffsetUpdate, StoredOffset};
pub use once::IdempotencyKey;
pub use query::{ConsumeQuery, Start, consume_query, get_query};
pub use reach::Reach;
pub use read::body;
pub use route::{Edge, ingress_in, way_back};
pub use row::{MessageRef, Row, Rows, Torn};
pub use secrets::{Secrets, secret_from};
pub use sweep::{Front, TrimScan, drops};
