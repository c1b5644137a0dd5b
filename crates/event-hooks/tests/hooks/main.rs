//! Event hooks from outside: their API, when they fire, and what becomes of events.

mod admin;
mod api;
mod batches;
mod changes;
mod crash;
mod described;
mod firing;
mod history;
mod signals;
mod world;
