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
mod bounce_classes;
mod dead_hour;
mod deferred_injection;
mod dispositions;
mod egress_order;
mod endpoints;
mod environment;
mod globals;
mod handlers;
mod hook_queues;
mod hook_rebinds;
mod hooks_in_operation;
mod https;
mod injection;
mod kill;
mod limits;
mod log_clients;
mod log_filters;
mod logs;
mod main_event;
mod metrics;
mod mx;
mod outcomes;
mod postfix;
mod proxies;
mod python_peers;
mod rates;
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
mod tokens;
mod traces;
mod validate;
mod whole_life;
mod xfer;
