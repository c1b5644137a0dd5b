use serde::{Deserialize, Deserializer, de};
use std::fmt;
use zeroize::Zeroizing;

/// A text that must not be seen: its `Debug` shows nothing, its memory is cleared when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes it into keeping.
    pub fn new(text: impl Into<String>) -> Self {
        Secret(Zeroizing::new(text.into()))
    }

    /// The text itself. Named so that a reader notices where a secret leaves its keeping.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// Read from configuration; there is no way back.
impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // serde's own words would repeat a secret of another type.
        let text = String::deserialize(deserializer);
        text.map(Secret::new).map_err(|_| de::Error::custom("expected a secret as a string"))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Some(Secret::new("hunter2"))), "Some(Secret)");
        assert_eq!(Secret::new("hunter2").reveal(), "hunter2");
    }
}
