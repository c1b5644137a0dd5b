//! Why an exchange came to nothing.

use std::borrow::Cow;
use std::io;

/// What was wrong with an answer, or with the way to it.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The connection failed.
    #[error(transparent)]
    Failed(#[from] io::Error),
    /// It ended too early. In the words that operators have seen in their logs so far.
    #[error("connection closed before message completed")]
    Closed,
    /// The server does not keep to HTTP/1.1.
    #[error("{0}")]
    Wrong(Cow<'static, str>),
}

impl Trouble {
    /// In these words.
    pub fn wrong(what: impl Into<Cow<'static, str>>) -> Trouble {
        Trouble::Wrong(what.into())
    }
}
