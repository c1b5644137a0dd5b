//! Tokens in a store, and who may do what with them.

mod changes;
mod crash;
mod requests;
mod world;
