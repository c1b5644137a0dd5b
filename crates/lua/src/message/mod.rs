//! Messages, addresses and connection meta as scripts see them.

pub(crate) mod address;
mod body;
mod conn;
mod encode;
mod headers;
mod meta;
mod object;
pub(crate) mod schedule;

pub(crate) use conn::ConnMetaObject;
pub(crate) use object::MessageObject;
