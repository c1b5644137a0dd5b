//! The contract between those who administer queues (the HTTP API, `waybill ctl`) and those who own them (the mail
//! queue, each log hook).
//!
//! [`Admin`] keeps the orders that are in force (bounces and suspensions) and passes every one on to each
//! [`QueueOwner`]; questions go to the owners in turn until one knows the answer. Requests and answers are here in the
//! very JSON of contract/kumomta.md section 7.2, so that nobody translates twice. Nothing here survives a restart: that
//! is KumoMTA's rule, and an order that nobody remembers giving would be worse.
//!
//! It refuses to know what a message is delivered by, where it is stored, and who may give an order.
//!
//! ```
//! use std::sync::Arc;
//! use waybill_admin::{Admin, BounceRequest};
//! use waybill_types::Timestamp;
//! # futures::executor::block_on(async {
//! let admin = Admin::new(Arc::new(|| Timestamp::from_secs(1_700_000_000)));
//! let request: BounceRequest = serde_json::from_str(r#"{"reason": "cleanup", "domain": "example.com"}"#)?;
//! let id = admin.bounce(request).await;
//! assert_eq!(admin.bounces()[0].id, id);
//! assert!(admin.cancel_bounce(id).await);
//! # Ok::<(), serde_json::Error>(())
//! # }).unwrap();
//! ```

mod criteria;
#[cfg(feature = "test-util")]
mod double;
mod order;
mod owner;
mod registry;
mod request;
mod view;
mod xfer;

pub use criteria::Criteria;
#[cfg(feature = "test-util")]
pub use double::{Call, RecordingOwner};
pub use order::{Order, Rebind, Target, Transfer};
pub use owner::{NoPath, QueueOwner, ScheduledQuery};
pub use registry::Admin;
pub use request::{BounceRequest, RebindRequest, SuspendReadyRequest, SuspendRequest};
pub use view::{
    Blocked, BounceView, Dispatcher, InspectedMessage, MessageView, PathView, ReadyState, ReadyStates, ReadyView,
    ScheduledView, SuspendReadyView, SuspendView,
};
pub use xfer::{NoTransfer, XferCancelRequest, XferRequest};
