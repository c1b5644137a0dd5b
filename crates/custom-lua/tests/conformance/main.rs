//! The `custom_lua` protocol against a scripted policy.

mod batch_results;
mod outcomes;
mod routes;
mod support;
mod watchdog;
