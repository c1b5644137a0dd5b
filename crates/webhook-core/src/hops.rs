//! Through how many webhooks of Waybill something has come, so that what goes in a circle ends.

/// The header that says how many webhooks of Waybill an event has come through, this request included. It is not signed:
/// it stops what goes round by mistake.
pub const HOPS: &str = "x-waybill-hops";
/// Through how many webhooks one event may go.
pub const MOST_HOPS: u8 = 8;

/// A request that is not taken for the way it has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HopsError {
    /// It has come through so many webhooks that it must be going round.
    #[error("it has come through {0} webhooks ({HOPS}): it goes in a circle")]
    Circle(u8),
    /// The header makes no sense.
    #[error("{HOPS}: expected one number, of the webhooks that it has come through")]
    NoNumber,
}

/// Through how many webhooks a request has come, by the values of its header [`HOPS`]: none where there is no such header.
/// One that might go in a circle is refused to whoever sends it, and not passed over without a word: where it is sent from,
/// somebody waits for it to arrive.
///
/// # Errors
/// When it has come too far, or there is not one number.
pub fn hops<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Result<u8, HopsError> {
    let mut values = values.into_iter();
    let (Some(value), more) = (values.next(), values.next()) else { return Ok(0) };
    let number = std::str::from_utf8(value).ok().and_then(|text| text.parse::<u8>().ok());
    match number.filter(|_| more.is_none()) {
        Some(hops) if hops < MOST_HOPS => Ok(hops),
        Some(hops) => Err(HopsError::Circle(hops)),
        None => Err(HopsError::NoNumber),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_below_the_most_is_taken_and_all_else_is_refused() {
        assert_eq!(hops([]), Ok(0));
        for (value, expected) in
            [("0", Ok(0)), ("7", Ok(7)), ("8", Err(HopsError::Circle(8))), ("255", Err(HopsError::Circle(255)))]
        {
            assert_eq!(hops([value.as_bytes()]), expected, "{value}");
        }
        for value in ["", "-1", "256", "one", "1 ", "1,1"] {
            assert_eq!(hops([value.as_bytes()]), Err(HopsError::NoNumber), "{value:?}");
        }
        assert_eq!(hops([b"1".as_slice(), b"1"]), Err(HopsError::NoNumber), "two of them");
        assert_eq!(hops([b"\xff".as_slice()]), Err(HopsError::NoNumber));
    }
}
