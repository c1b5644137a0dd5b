//! The answer to a consume, written as its messages are read.

use crate::row::MessageRef;
use crate::{Code, Encoding, Error, escape};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

/// Messages as a consume answers them: `{"next_offset","encoding","messages":[{"offset","time","key"?,"value"?}]}`.
///
/// One buffer and no value in between: a page of small messages costs little more than its bytes. What stands in front of
/// the messages is known last, so that room is left for it.
#[derive(Debug)]
pub struct Answer {
    encoding: Encoding,
    out: Vec<u8>,
    refused: Option<Error>,
}

/// Room for the longest beginning.
const ROOM: usize = 80;
/// What a message takes beside its key and value, mostly.
const AROUND: usize = 72;

impl Answer {
    /// Without a message.
    pub fn new(encoding: Encoding) -> Self {
        Answer { encoding, out: Vec::new(), refused: None }
    }

    /// Room for messages with so many bytes of keys and values: it spares moving what was written. They may have more.
    pub fn expect(&mut self, messages: usize, bytes: usize) {
        let spread = match self.encoding {
            Encoding::String => bytes,
            Encoding::Base64 => bytes.div_ceil(3) * 4,
        };
        self.out.reserve(ROOM + spread + AROUND * messages);
    }

    /// Adds a message. Does nothing once one was refused.
    pub fn push(&mut self, offset: u64, message: &MessageRef<'_>) {
        if self.refused.is_some() {
            return;
        }
        match self.out.is_empty() {
            true => self.out.resize(ROOM, 0),
            false => self.out.push(b','),
        }
        let mut digits = itoa::Buffer::new();
        self.out.extend_from_slice(br#"{"offset":"#);
        self.out.extend_from_slice(digits.format(offset).as_bytes());
        self.out.extend_from_slice(br#","time":"#);
        self.out.extend_from_slice(digits.format(message.time).as_bytes());
        for (name, what, bytes) in
            [(&br#","key":""#[..], "key", message.key), (&br#","value":""#[..], "value", message.value)]
        {
            let Some(bytes) = bytes else { continue };
            self.out.extend_from_slice(name);
            if let Err(error) = self.text(what, offset, bytes) {
                self.refused = Some(error);
                return;
            }
            self.out.push(b'"');
        }
        self.out.push(b'}');
    }

    fn text(&mut self, what: &str, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        match self.encoding {
            Encoding::String => escape::push(&mut self.out, bytes).map_err(|_| no_text(what, offset)),
            Encoding::Base64 => {
                let from = self.out.len();
                self.out.resize(from + bytes.len().div_ceil(3) * 4, 0);
                let written = STANDARD.encode_slice(bytes, &mut self.out[from..]);
                // It has exactly that length.
                self.out.truncate(from + written.unwrap_or(0));
                Ok(())
            }
        }
    }

    /// The whole of it, to be gone on with at `next`.
    ///
    /// # Errors
    /// `message-encoding-invalid` where the bytes of a message are no text, and texts were asked for.
    pub fn end(mut self, next: u64) -> Result<Bytes, Error> {
        if let Some(refused) = self.refused {
            return Err(refused);
        }
        if self.out.is_empty() {
            self.out.resize(ROOM, 0);
        }
        self.out.extend_from_slice(b"]}");
        let encoding = match self.encoding {
            Encoding::String => "string",
            Encoding::Base64 => "base64",
        };
        let beginning = format!(r#"{{"next_offset":{next},"encoding":"{encoding}","messages":["#);
        let from = ROOM - beginning.len();
        self.out[from..ROOM].copy_from_slice(beginning.as_bytes());
        Ok(Bytes::from(self.out).slice(from..))
    }
}

/// Bytes that were to be shown as a text.
pub(crate) fn no_text(what: &str, offset: u64) -> Error {
    let why = format!("the {what} of message {offset} is no UTF-8: ask for it with encoding=base64");
    Error::new(Code::MessageEncodingInvalid, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const NOTHING: MessageRef<'_> = MessageRef { time: 0, key: None, value: None, hops: 0, ends_row: true };

    fn answer(encoding: Encoding, messages: &[(u64, MessageRef<'_>)], next: u64) -> Result<String, Error> {
        let mut answer = Answer::new(encoding);
        messages.iter().for_each(|(offset, message)| answer.push(*offset, message));
        answer.end(next).map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[test]
    fn an_answer_is_written_in_the_order_in_which_clients_know_it() {
        let none = answer(Encoding::String, &[], 7).unwrap();
        assert_eq!(none, r#"{"next_offset":7,"encoding":"string","messages":[]}"#);
        let messages = [
            (0, MessageRef { time: -7, key: Some(b""), value: Some("\"ü\"\n".as_bytes()), ..NOTHING }),
            (u64::MAX, MessageRef { time: i64::MIN, ..NOTHING }),
        ];
        assert_eq!(
            answer(Encoding::String, &messages, u64::MAX).unwrap(),
            r#"{"next_offset":18446744073709551615,"encoding":"string","messages":[{"offset":0,"time":-7,"key":"","value":"\"ü\"\n"},{"offset":18446744073709551615,"time":-9223372036854775808}]}"#
        );
        let bytes = [(3, MessageRef { key: Some(&[255]), value: Some(b""), ..NOTHING })];
        assert_eq!(
            answer(Encoding::Base64, &bytes, 4).unwrap(),
            r#"{"next_offset":4,"encoding":"base64","messages":[{"offset":3,"time":0,"key":"/w==","value":""}]}"#
        );
    }

    #[test]
    fn bytes_come_back_from_base64_whatever_their_length() {
        let all: Vec<u8> = (0..=255).cycle().take(700).collect();
        for length in [0, 1, 2, 3, 4, 127, 128, 129, 700] {
            let message = MessageRef { value: Some(&all[..length]), ..NOTHING };
            let shown: Value = serde_json::from_str(&answer(Encoding::Base64, &[(0, message)], 1).unwrap()).unwrap();
            assert_eq!(shown["messages"], json!([{"offset": 0, "time": 0, "value": STANDARD.encode(&all[..length])}]));
        }
    }

    #[test]
    fn the_first_message_that_is_no_text_refuses_the_answer() {
        let (good, bad) = (MessageRef { value: Some(b"a"), ..NOTHING }, MessageRef { key: Some(&[255]), ..NOTHING });
        let error = answer(Encoding::String, &[(1, good), (2, bad), (3, bad)], 4).unwrap_err();
        assert_eq!(error, no_text("key", 2));
    }
}
