//! Ingress webhooks: what others send us, checked by its signature, as messages of a log.

mod config;
mod kind;
mod receive;

pub use config::{Ingress, IngressCreate, IngressUpdate};
pub use kind::IngressType;
pub use receive::{Reception, receive};
