//! The words of the domain, as types that cannot hold nonsense.
//!
//! Pure: nothing here reads a clock, opens a file or starts a task. A value of one of these types has been
//! checked once, where it entered; everybody behind it may rely on that.
//!
//! ```
//! use waybill_types::{EnvelopeAddress, QueueName};
//! let rcpt: EnvelopeAddress = "User@Example.COM".parse().unwrap();
//! let queue = QueueName::compose(Some("c1"), Some("t1"), rcpt.domain().unwrap(), None);
//! assert_eq!(queue.as_str(), "c1:t1@example.com");
//! assert_eq!(queue.parts().tenant, Some("t1"));
//! ```

mod address;
pub mod base62;
mod duration;
mod hex;
mod id;
mod ksuid;
mod limit;
mod list;
mod min_free;
mod network;
mod node_url;
mod objects;
mod offset;
mod queue_name;
mod response;
mod schedule;
pub mod text;
mod throttle;
mod timestamp;

pub use address::{AddressError, EnvelopeAddress};
pub use duration::{DurationError, format_duration, parse_duration, serde_duration, serde_duration_opt};
pub use id::{EntryId, IdMint, MessageId, ParseIdError};
pub use ksuid::{Ksuid, KsuidError};
pub use limit::{LimitSpec, LimitSpecError};
pub use list::list;
pub use min_free::{MinFree, MinFreeError};
pub use network::{CidrMap, CidrSet};
pub use node_url::{NodeUrl, NodeUrlError};
pub use objects::Objects;
pub use offset::{NumberMap, Offset, OffsetHasher, OffsetMap};
pub use queue_name::{QueueName, QueueParts, ReadyQueueName};
pub use response::{EnhancedCode, Response};
pub use schedule::Schedule;
pub use throttle::{ThrottleSpec, ThrottleSpecError};
pub use timestamp::Timestamp;
