//! Scenarios with the whole daemon: the program as it is installed, real sockets, a real endpoint.
//!
//! One module a scenario. Each starts daemons of its own in a folder of its own, on ports that the system picks, so all
//! of them can run at once. `WAYBILL_LONG=1` runs more rounds of those that depend on chance.

mod harness;

mod admin;
mod api_in_lua;
mod bad_input;
mod bad_policy;
mod batch_outcomes;
mod batching;
mod dead_hour;
mod deferred_injection;
mod dispositions;
mod endpoints;
mod environment;
mod globals;
mod handlers;
mod hook_queues;
mod hook_rebinds;
mod hooks_in_operation;
mod injection;
mod kill;
mod logs;
mod metrics;
mod mx;
mod outcomes;
mod postfix;
mod python_peers;
mod reception;
mod record_samples;
mod reports;
mod requests;
mod restart;
mod scripts;
mod seeds;
mod several_hooks;
mod sinks;
mod smtp_delivery;
mod stop;
mod tenants;
mod validate;
mod whole_life;
