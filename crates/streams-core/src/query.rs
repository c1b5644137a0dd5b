use crate::limits::CONSUMED_BY_DEFAULT;
use crate::{Code, Encoding, Error, Id, Kind, Limits, NEWEST, OLDEST};
use std::time::Duration;

/// Where a consumer begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Start {
    /// At this offset, or one of the two names for one.
    At(i64),
    /// Where this stored offset stands.
    Stored(Id),
    /// At the first message of this time (microseconds since the epoch) or later.
    Time(i64),
}

/// The query of a consume.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConsumeQuery {
    /// Where.
    pub start: Start,
    /// At most so many messages.
    pub len: usize,
    /// How long to wait for the first.
    pub poll: Duration,
    /// How to show them.
    pub encoding: Encoding,
}

/// Reads the query of `GET /messages/{log}`. Names that nobody knows are passed over.
///
/// # Errors
/// `message-{offset,offset-id,len,poll,encoding}-parameter-invalid`, `message-consume-limited`,
/// `message-poll-limited`.
pub fn consume_query(pairs: &[(String, String)], limits: &Limits) -> Result<ConsumeQuery, Error> {
    let find = |name: &str| pairs.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let start = match (find("offset"), find("offset_id").filter(|id| !id.is_empty()), find("time")) {
        (Some(_), Some(_), _) => {
            let why = "offset and offset_id exclude each other";
            return Err(Error::new(Code::MessageOffsetIdParameterInvalid, why));
        }
        (None, None, Some(time)) => Start::Time(time.parse().map_err(|_| {
            wrong(Code::MessageOffsetParameterInvalid, "time", time, "a whole number of microseconds since the epoch")
        })?),
        (_, _, Some(_)) => {
            let why = "time excludes offset and offset_id";
            return Err(Error::new(Code::MessageOffsetParameterInvalid, why));
        }
        (None, Some(id), None) => Start::Stored(Id::parse(Kind::Offset, id).map_err(|error| {
            Error::new(Code::MessageOffsetIdParameterInvalid, format!("offset_id: {}", error.message))
        })?),
        (offset, None, None) => Start::At(offset_of(offset, OLDEST)?),
    };
    let len = match find("len") {
        None => CONSUMED_BY_DEFAULT.min(limits.consume),
        Some(text) => match text.parse::<u64>() {
            Ok(len) if len > 0 => usize::try_from(len).unwrap_or(usize::MAX),
            _ => return Err(wrong(Code::MessageLenParameterInvalid, "len", text, "a number above zero")),
        },
    };
    if len > limits.consume {
        let why = format!("len: at most {} messages are given at once", limits.consume);
        return Err(Error::new(Code::MessageConsumeLimited, why));
    }
    let poll = match find("poll") {
        None => Duration::ZERO,
        Some(text) => match text.parse::<u64>() {
            Ok(milliseconds) => Duration::from_millis(milliseconds),
            Err(_) => return Err(wrong(Code::MessagePollParameterInvalid, "poll", text, "a number of milliseconds")),
        },
    };
    if poll > limits.poll {
        let why = format!("poll: at most {} milliseconds", limits.poll.as_millis());
        return Err(Error::new(Code::MessagePollLimited, why));
    }
    Ok(ConsumeQuery { start, len, poll, encoding: Encoding::of_query(find("encoding"))? })
}

/// Reads the query of `GET /message/{log}`: the offset, the last message's where none is named, and the encoding.
///
/// # Errors
/// `message-offset-parameter-invalid`, `message-encoding-parameter-invalid`.
pub fn get_query(pairs: &[(String, String)]) -> Result<(i64, Encoding), Error> {
    let find = |name: &str| pairs.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    Ok((offset_of(find("offset"), NEWEST)?, Encoding::of_query(find("encoding"))?))
}

fn offset_of(text: Option<&str>, default: i64) -> Result<i64, Error> {
    let Some(text) = text else { return Ok(default) };
    text.parse().map_err(|_| wrong(Code::MessageOffsetParameterInvalid, "offset", text, "a whole number"))
}

fn wrong(code: Code, name: &str, text: &str, expected: &str) -> Error {
    let shown: String = text.chars().take(40).collect();
    Error::new(code, format!("{name}: expected {expected}, not {shown:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn consume(pairs: &[(&str, &str)]) -> Result<ConsumeQuery, Code> {
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        consume_query(&pairs, &Limits::default()).map_err(|error| error.code)
    }

    #[test]
    fn without_a_word_all_is_read_from_the_oldest_and_nobody_waits() {
        let query = consume(&[]).unwrap();
        assert_eq!((query.start, query.len, query.poll), (Start::At(OLDEST), 100, Duration::ZERO));
        assert_eq!(query.encoding, Encoding::String);
        let query = consume(&[("offset", "7"), ("len", "1000"), ("poll", "30000"), ("encoding", "base64")]).unwrap();
        assert_eq!((query.start, query.len, query.poll.as_secs()), (Start::At(7), 1000, 30));
    }

    #[test]
    fn every_parameter_that_is_wrong_has_its_code() {
        for (pairs, code) in [
            (&[("offset", "x")][..], Code::MessageOffsetParameterInvalid),
            (&[("offset", "9223372036854775808")], Code::MessageOffsetParameterInvalid),
            (&[("offset_id", "x")], Code::MessageOffsetIdParameterInvalid),
            (
                &[("offset", "1"), ("offset_id", "off_2VnvpTOoNFQRf0G9peK1zKlfhlf")],
                Code::MessageOffsetIdParameterInvalid,
            ),
            (&[("time", "yesterday")], Code::MessageOffsetParameterInvalid),
            (&[("time", "5"), ("offset", "1")], Code::MessageOffsetParameterInvalid),
            (&[("len", "0")], Code::MessageLenParameterInvalid),
            (&[("len", "-1")], Code::MessageLenParameterInvalid),
            (&[("len", "18446744073709551615")], Code::MessageConsumeLimited),
            (&[("len", "1001")], Code::MessageConsumeLimited),
            (&[("poll", "1s")], Code::MessagePollParameterInvalid),
            (&[("poll", "30001")], Code::MessagePollLimited),
            (&[("encoding", "hex")], Code::MessageEncodingParameterInvalid),
        ] {
            assert_eq!(consume(pairs), Err(code), "{pairs:?}");
        }
    }

    #[test]
    fn a_single_message_is_the_last_unless_an_offset_is_named() {
        assert_eq!(get_query(&[]).unwrap(), (NEWEST, Encoding::String));
        assert_eq!(get_query(&[("offset".into(), "".into())]).unwrap_err().code, Code::MessageOffsetParameterInvalid);
    }
}
