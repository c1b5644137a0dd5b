//! The message, the [`Store`] that holds messages *and* journal, and the [`Intake`] that takes responsibility.
//!
//! A contract crate: traits, the types in their signatures, an in-memory store, a store that crashes on purpose, and
//! the conformance suite that every store passes (`conformance`, feature `test-util`). It refuses to know RocksDB, Lua
//! or SMTP.

mod batch;
mod body;
mod captured;
mod copies;
mod envelope;
mod intake;
mod key;
mod memory;
mod message;
mod sink;
mod store;
mod trace;
pub mod transfer;

#[cfg(any(test, feature = "test-util"))]
pub mod conformance;
#[cfg(any(test, feature = "test-util"))]
mod crashing;

pub use batch::{Batch, Committed, Op};
pub use body::Body;
pub use captured::capture_headers;
pub use copies::Copies;
#[cfg(any(test, feature = "test-util"))]
pub use crashing::{Crash, CrashingStore, LastWrite, Loss};
pub use envelope::{EnvelopeError, Spooled};
pub use intake::{Incoming, Injector, Intake, IntakeError, IntakeState, Keep, Rejection};
pub use key::{Key, KeyReader};
pub use memory::MemoryStore;
pub use message::{Message, MetaValue, Origin};
pub use sink::{NullSink, RecordSink};
pub use store::{
    Durability, Health, Part, ReadLimit, See, Slice, SpoolEntry, Store, StoreError, StreamId, Table, Written,
};
pub use trace::supplemental_trace;
