//! The delivery protocol `xfer`: queued mail goes to another node of the operator's, over HTTP.
//!
//! `{xfer={target=URL}}` in a queue's configuration, and every queue named `URL.xfer.kumomta.internal`: each message is
//! one `POST URL/api/xfer/inject/v1` of a line of JSON and the body ([`waybill_spool::transfer`] makes them). It is
//! handed over when the other node answers 200 with the id that the message has there, which that node does once the
//! message is synced to its disk. Everything else, a 4xx or an unknown answer too, is a failure for now: a sender of mail
//! is told nothing of what goes wrong between two nodes.
//!
//! It refuses to open sockets: a [`Carrier`] takes the parcel there, with a time limit, a cap on the answer and a check
//! of the address. If the connection breaks behind the other node's commit, the message is sent again and there twice;
//! it is never lost.
//!
//! ```
//! use bytes::Bytes;
//! use futures::future::BoxFuture;
//! use std::sync::Arc;
//! use waybill_delivery::{DeliveryProtocol, Destination, Egress, RouteQuery};
//! use waybill_types::NodeUrl;
//! use waybill_xfer::{Carrier, Parcel, Reply, Xfer};
//!
//! struct Nobody;
//! impl Carrier for Nobody {
//!     fn carry(&self, _: Parcel) -> BoxFuture<'_, Result<Reply, String>> {
//!         Box::pin(async { Err("nobody goes there".to_owned()) })
//!     }
//! }
//! let protocol = Xfer::new(Arc::new(Nobody), "2f6c1c9e-0000-4000-8000-000000000000");
//! let queue = NodeUrl::parse("http://n2.example:8000").unwrap().queue();
//! let section = serde_json::json!({"target": "http://n2.example:8000"});
//! let (destination, egress) = (Destination::local(&queue), Egress::default());
//! let query = RouteQuery { queue: &queue, section: &section, destination: &destination, egress: &egress };
//! let route = protocol.route(&query).unwrap();
//! assert_eq!(route.ready_queue().as_str(), "unspecified->http://n2.example:8000.xfer.kumomta.internal@xfer");
//! ```

mod carrier;
mod protocol;
mod session;

pub use carrier::{Carrier, Parcel, Reply};
pub use protocol::Xfer;
