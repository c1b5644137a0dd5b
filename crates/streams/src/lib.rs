//! Logs, stored offsets and egress webhooks (contract/klev.md) over the store, and the HTTP API that klev's clients
//! know.
//!
//! [`Streams`] holds what runs; [`router`] answers for it at the root of a listener. Everything from outside comes in
//! through [`Parts`] and two seams: [`Courier`] brings messages to endpoints, [`Gate`] says who may do what. This crate
//! opens no socket and knows neither RocksDB nor the HTTP sender; it refuses to decide who somebody is.
//!
//! ```
//! # use std::sync::Arc;
//! # async fn build(parts: waybill_streams::Parts, gate: Arc<dyn waybill_streams::Gate>)
//! # -> Result<axum::Router, waybill_spool::StoreError> {
//! let late = waybill_streams::Late::default();
//! let router = waybill_streams::router(late.clone(), gate);
//! late.set(waybill_streams::Streams::open(parts).await?);
//! # Ok(router)
//! # }
//! ```

mod courier;
mod egress;
mod events;
mod filter;
mod http;
mod keys;
mod log;
mod manager;
mod news;
mod registry;
mod retention;
mod source;
mod vault;

pub use courier::{Courier, Endpoint, Parcel, Receipt};
pub use egress::{CLASSES, EgressTally};
pub use http::{Denied, Gate, Given, Late, ROUTES, Route, Takes, Want, answer_error, router};
pub use manager::{Consumed, Parts, Streams, Unsent};
pub use news::{Change, EndpointNews, News};
