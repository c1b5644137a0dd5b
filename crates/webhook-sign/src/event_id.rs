use std::fmt;

/// The id of an event, the same over all attempts: what `webhook-id` carries and every signature covers.
///
/// Visible ASCII without a dot. The signed text is `id.timestamp.body`: an id with a dot could make the text of one
/// message the text of another.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct EventId(String);

/// This cannot be an event's id.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EventIdError {
    /// There is nothing, or too much.
    #[error("an event id has 1 to {most} characters, this has {0}", most = EventId::LONGEST)]
    Length(usize),
    /// A dot, white space, a control character or something outside ASCII.
    #[error("an event id is visible ASCII without a dot, this holds {0:?}")]
    Character(char),
}

impl EventId {
    /// As many characters an id may have.
    pub const LONGEST: usize = 256;

    /// Checks the text.
    ///
    /// # Errors
    /// When it could not be sent, or a signature over it would be ambiguous.
    pub fn new(text: impl Into<String>) -> Result<Self, EventIdError> {
        let text = text.into();
        if !(1..=Self::LONGEST).contains(&text.len()) {
            return Err(EventIdError::Length(text.chars().count()));
        }
        match text.chars().find(|c| !c.is_ascii_graphic() || *c == '.') {
            Some(wrong) => Err(EventIdError::Character(wrong)),
            None => Ok(EventId(text)),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_with_a_dot_is_refused_so_that_no_two_messages_have_one_signed_text() {
        assert_eq!(EventId::new("a.1"), Err(EventIdError::Character('.')));
        for wrong in ["", "a b", "a\nb", "a\0", "é", &"a".repeat(257)] {
            assert!(EventId::new(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(EventId::new("log_2x_17").unwrap().as_str(), "log_2x_17");
    }
}
