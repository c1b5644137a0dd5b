//! The queue manager between doubles: a store in memory, a policy of closures, a peer that answers as told, a clock that
//! only the test moves.

mod admin;
mod bodies;
mod connections;
mod crash;
mod delivery;
mod divided;
mod internal;
mod large;
mod load;
mod policy;
mod reception;
mod records;
mod requeue;
mod restart;
mod retry;
mod returns;
mod schedules;
mod settings;
mod shutdown;
mod store;
mod support;
