//! The `xfer` protocol against the contract of `waybill-delivery`, over a carrier that answers as a test wants.

mod outcomes;
mod routes;
mod support;
