use super::*;
use proptest::prelude::*;

fn params(line_endings: InvalidLineEndings) -> SessionParams {
    SessionParams { invalid_line_endings: line_endings, ..SessionParams::default() }
}

/// What comes out, and what is left for the next command.
fn decode_with(params: &SessionParams, input: &[u8]) -> (Progress, Result<Vec<u8>, Flaw>, Vec<u8>) {
    let mut decoder = Decoder::new(params);
    let used = decoder.feed(input);
    (decoder.progress(), decoder.finish(), input[used..].to_vec())
}

fn decode(line_endings: InvalidLineEndings, input: &str) -> (Progress, Result<String, Flaw>, String) {
    let (progress, data, rest) = decode_with(&params(line_endings), input.as_bytes());
    (progress, data.map(|data| String::from_utf8(data).unwrap()), String::from_utf8(rest).unwrap())
}

use InvalidLineEndings::{Allow, Deny, Fix};

#[test]
fn dots_are_unstuffed_and_the_rest_is_left() {
    for (input, data) in [
        (".\r\n", ""),
        ("\r\n.\r\n", "\r\n"),
        ("Subject: x\r\n\r\n..two\r\n.\r\n", "Subject: x\r\n\r\n.two\r\n"),
        ("...\r\n..\r\n.\r\n", "..\r\n.\r\n"),
        (".odd\r\na.\r\n.\r\n", "odd\r\na.\r\n"),
    ] {
        let done = (Progress::Done, Ok(data.to_owned()), "QUIT\r\n".to_owned());
        assert_eq!(decode(Deny, &format!("{input}QUIT\r\n")), done, "{input:?}");
    }
}

#[test]
fn nothing_but_crlf_dot_crlf_ends_the_data() {
    for smuggled in
        ["a\n.\n", "a\n.\r\n", "a\r\n.\n", "a\r.\r", "a\r\n.\r", "a\r.\r\n", "a\n.\r", "\0\r\n.\0\r\n", "\r\n\0.\r\n"]
    {
        for mode in [Deny, Allow, Fix] {
            let (progress, _, rest) = decode(mode, &format!("{smuggled}MAIL FROM:<x@y>\r\n"));
            assert_eq!((progress, rest.as_str()), (Progress::More, ""), "{smuggled:?} {mode:?}");
        }
    }
}

#[test]
fn bare_line_ends_are_denied_allowed_or_fixed() {
    let input = "a\nb\rc\r\r\nd\r\n.\r\n";
    assert_eq!(decode(Deny, input).1, Err(Flaw::LineEndings));
    assert_eq!(decode(Allow, input).1.unwrap(), "a\nb\rc\r\r\nd\r\n");
    assert_eq!(decode(Fix, input).1.unwrap(), "a\r\nb\r\nc\r\n\r\nd\r\n");
    // The dot of a line is dropped, also where a bare CR or LF follows it.
    assert_eq!(decode(Allow, ".\rx\r\n.\n.\r\n.\r\n").1.unwrap(), "\rx\r\n\n.\r\n");
    assert_eq!(decode(Fix, ".\r\r\n.\r\n").1.unwrap(), "\r\n\r\n");
    for tail in ["\r", "\n", "x\r", "x\n"] {
        assert_eq!(decode(Deny, &format!("{tail}y\r\n.\r\n")).1, Err(Flaw::LineEndings), "{tail:?}");
    }
}

#[test]
fn a_line_may_be_as_long_as_the_limit() {
    for (len, fine) in [(998, true), (999, false)] {
        let (progress, data, _) = decode(Deny, &format!("{}\r\nb\r\n.\r\n", "y".repeat(len)));
        assert_eq!((progress, data.is_ok()), (Progress::Done, fine), "{len}");
    }
    // The dot that was put in on the way does not count.
    assert!(decode(Deny, &format!("..{}\r\n.\r\n", "y".repeat(997))).1.is_ok());
    assert!(decode(Allow, &format!("{0}\n{0}\r\n.\r\n", "y".repeat(900))).1.is_ok());
}

#[test]
fn a_message_may_be_as_big_as_the_limit() {
    let small = SessionParams { max_message_size: 10, ..SessionParams::default() };
    assert_eq!(decode_with(&small, b"12345678\r\n.\r\n").1.unwrap(), b"12345678\r\n");
    assert_eq!(decode_with(&small, b"123456789\r\n.\r\n").1, Err(Flaw::TooBig));
    assert_eq!(decode_with(&small, b"..2345678\r\n.\r\n").1.unwrap(), b".2345678\r\n");
}

#[test]
fn the_first_flaw_is_told() {
    let input = format!("a\n{}\r\n.\r\n", "y".repeat(2000));
    assert_eq!(decode(Deny, &input).1, Err(Flaw::LineEndings));
    let input = format!("{}\r\na\n\r\n.\r\n", "y".repeat(2000));
    assert_eq!(decode(Deny, &input).1, Err(Flaw::LineTooLong));
}

#[test]
fn a_client_that_does_not_stop_is_hung_up_on_and_nothing_is_kept() {
    let mut decoder = Decoder::new(&SessionParams { max_message_size: 1 << 20, ..SessionParams::default() });
    let chunk = [b'x'; 64 * 1024];
    let mut fed = 0;
    while decoder.progress() == Progress::More {
        fed += decoder.feed(&chunk);
        assert!(decoder.data.capacity() <= 2 << 20);
    }
    assert_eq!(decoder.progress(), Progress::GiveUp);
    assert!(fed > 4 << 20 && fed <= (4 << 20) + chunk.len());
    assert_eq!(decoder.data.capacity(), 0);
    assert_eq!(decoder.finish(), Err(Flaw::LineTooLong));
}

/// The same by splitting at CRLF, as the RFC tells it.
fn naive(input: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut data, mut at) = (Vec::new(), 0);
    loop {
        let len = input[at..].windows(2).position(|pair| pair == b"\r\n")?;
        let line = &input[at..at + len];
        at += len + 2;
        if line == b"." {
            return Some((data, at));
        }
        data.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
        data.extend_from_slice(b"\r\n");
    }
}

fn smtp_like() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"\r\n".to_vec()),
        Just(b".".to_vec()),
        Just(b"\r".to_vec()),
        Just(b"\n".to_vec()),
        Just(b"\r\n.\r\n".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..4),
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn it_agrees_with_the_naive_reading(input in smtp_like()) {
        let (progress, data, rest) = decode_with(&params(Allow), &input);
        match naive(&input) {
            None => prop_assert_eq!(progress, Progress::More),
            Some((expected, used)) => {
                prop_assert_eq!(progress, Progress::Done);
                prop_assert_eq!(data.unwrap(), expected);
                prop_assert_eq!(rest.as_slice(), &input[used..]);
            }
        }
    }

    #[test]
    fn pieces_make_no_difference(input in smtp_like(), cuts in proptest::collection::vec(1usize..7, 0..60), mode in 0..3usize) {
        let params = SessionParams { line_length_hard_limit: 8, max_message_size: 40, ..params([Deny, Allow, Fix][mode]) };
        let whole = decode_with(&params, &input);
        let mut decoder = Decoder::new(&params);
        let (mut at, mut cuts) = (0, cuts.into_iter().chain(std::iter::repeat(3)));
        while at < input.len() && decoder.progress() == Progress::More {
            let end = (at + cuts.next().unwrap()).min(input.len());
            at += decoder.feed(&input[at..end]);
        }
        prop_assert_eq!((decoder.progress(), decoder.finish(), input[at..].to_vec()), whole);
    }
}
