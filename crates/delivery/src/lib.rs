//! The seam between the queue and the protocols: protocol → destination → configured route → live session.
//!
//! A protocol returns outcomes; it never logs, requeues or touches the store. The queue does all bookkeeping, so that a
//! new protocol is one crate and one line where the binary builds everything.

mod destination;
mod facts;
mod outcome;
mod protocol;
mod recorder;

pub use destination::{Destination, Egress, Host, ResolveError};
pub use facts::{SessionFacts, SourceFacts, TlsSession};
pub use outcome::{BatchOutcome, Outcome};
pub use protocol::{
    ConfigError, ConnectContext, ConnectError, DeliveryProtocol, Peer, Route, RouteQuery, Session, TroubledSource,
};
pub use recorder::RecordingProtocol;
pub use waybill_queue_core::ready::{BatchPolicy, Fate};
