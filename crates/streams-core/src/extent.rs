use crate::{Code, Error};

/// The offset that means the oldest message.
pub const OLDEST: i64 = -2;
/// The offset that means the end: only what comes next; for a single message the last one.
pub const NEWEST: i64 = -1;

/// Which offsets a log has given so far: those below `end`. The oldest of them may be gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Extent {
    /// The offset that the next message gets.
    pub end: u64,
}

/// Where a single message is to be looked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// The first that exists.
    First,
    /// The last that exists.
    Last,
    /// At this offset.
    At(u64),
}

impl Extent {
    /// Where somebody who consumes from `offset` begins to read: at most at the end.
    ///
    /// # Errors
    /// `message-offset-invalid` for an offset beyond the end or below -2.
    pub fn start(self, offset: i64) -> Result<u64, Error> {
        match offset {
            OLDEST => Ok(0),
            NEWEST => Ok(self.end),
            offset => match u64::try_from(offset) {
                Ok(offset) if offset <= self.end => Ok(offset),
                _ => Err(self.invalid(offset)),
            },
        }
    }

    /// Where the message at `offset` is.
    ///
    /// # Errors
    /// `message-offset-invalid` for an offset at or beyond the end, or below -2.
    pub fn place(self, offset: i64) -> Result<Place, Error> {
        match offset {
            OLDEST => Ok(Place::First),
            NEWEST => Ok(Place::Last),
            offset => match u64::try_from(offset) {
                Ok(offset) if offset < self.end => Ok(Place::At(offset)),
                _ => Err(self.invalid(offset)),
            },
        }
    }

    fn invalid(self, offset: i64) -> Error {
        let why = format!("offset {offset}: expected {OLDEST} (oldest), {NEWEST} (newest) or 0 to {}", self.end);
        Error::new(Code::MessageOffsetInvalid, why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oldest_newest_and_the_end_are_places_and_what_is_beyond_is_invalid() {
        let extent = Extent { end: 10 };
        let starts = [OLDEST, NEWEST, 0, 9, 10].map(|offset| extent.start(offset).unwrap());
        assert_eq!(starts, [0, 10, 0, 9, 10]);
        for offset in [11, -3, -4, i64::MAX, i64::MIN] {
            assert_eq!(extent.start(offset).unwrap_err().code, Code::MessageOffsetInvalid, "{offset}");
            assert_eq!(extent.place(offset).unwrap_err().code, Code::MessageOffsetInvalid, "{offset}");
        }
        assert_eq!(extent.place(10).unwrap_err().code, Code::MessageOffsetInvalid, "there is no message at the end");
        assert_eq!([OLDEST, NEWEST, 9].map(|o| extent.place(o).unwrap()), [Place::First, Place::Last, Place::At(9)]);
    }
}
