//! Messages, addresses and connection meta as scripts see them.

pub(crate) mod address;
mod auth;
pub(crate) mod body;
mod conformance;
mod conn;
mod import;
mod mailboxes;
mod meta;
mod object;
pub(crate) mod schedule;
pub(crate) mod text;

pub(crate) use conn::ConnMetaObject;
pub(crate) use object::MessageObject;
