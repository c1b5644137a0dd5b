//! Tokens in a store, and who may do what with them.

mod changes;
mod crash;
mod log;
mod requests;
mod world;
