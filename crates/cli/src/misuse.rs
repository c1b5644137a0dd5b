use std::fmt;

/// A command line that makes no sense as a whole, though each part of it does. Nothing was sent; programs end with 2, as they
/// do when a part makes none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Misuse(String);

impl Misuse {
    /// With a sentence about what would make sense.
    pub(crate) fn new(why: impl fmt::Display) -> Self {
        Misuse(why.to_string())
    }
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Misuse {}
