use crate::{MAX_BYTES, MAX_DEPTH, MAX_PARTS};

/// Why a message cannot be taken apart, or not be changed so.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Multiparts within multiparts, more of them than anybody writes.
    #[error("parts nest deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// More parts than anybody writes.
    #[error("more than {MAX_PARTS} parts")]
    TooManyParts,
    /// The text would not fit into memory that is meant for it.
    #[error("the message would be longer than {MAX_BYTES} bytes")]
    TooLong,
    /// A header that says one thing and is no such thing; or a new one that would be none. The text says which and why.
    #[error("{0}")]
    Value(String),
    /// There are no parts in it to put another behind.
    #[error("a part of type {0} holds no other parts; its Content-Type is to be multipart/something")]
    NotMultipart(String),
    /// The part would end in the midst of its content.
    #[error("the boundary '{0}' stands within a part; leave it out to have one made")]
    BoundaryInside(String),
    /// Somebody put a body in the place of the parts that it was one of.
    #[error("this part is in its message no more")]
    Gone,
}

impl Error {
    pub(crate) fn value(text: impl Into<String>) -> Error {
        Error::Value(text.into())
    }
}
