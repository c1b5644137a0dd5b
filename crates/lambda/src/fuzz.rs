//! Frames of a child, as a function that may be fed anything: functions are strangers' code, and so is what they turn a child
//! into.

use crate::protocol::{FromWorker, HEADER, MAX_FRAME, decode, encode, length};

/// Words that a frame is likely to hold.
pub const WORDS: &[&str] = &[
    r#"{"ready":{"version":1}}"#,
    r#"{"done":{"Ok":"#,
    r#"{"done":{"Err":{"function":1,"line":null,"message":""}}}"#,
    r#"{"http":{"method":"GET","url":"","headers":{},"body":"AA=="}}"#,
    r#"{"log":""}"#,
    r#"{"checked":{"Ok":null}}"#,
    "[[[[[[[[",
    "\\u0000",
];

/// What is announced is bounded, and what is read is written the same.
pub fn frame(data: &[u8]) {
    let Some((header, body)) = data.split_first_chunk::<HEADER>() else { return };
    assert!(
        length(*header).is_ok_and(|length| length <= MAX_FRAME) == (u32::from_be_bytes(*header) as usize <= MAX_FRAME)
    );
    let Ok(message) = decode::<FromWorker>(body) else { return };
    let Ok(again) = encode(&message) else { return };
    let (header, body) = again.split_first_chunk::<HEADER>().expect("a frame");
    assert_eq!(length(*header), Ok(body.len()));
    let read = decode::<FromWorker>(body).expect("what was written");
    assert_eq!(format!("{read:?}"), format!("{message:?}"));
}
