use crate::{Code, Error};

/// The value of `Idempotency-Key`: a publish that comes again with it is not stored again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IdempotencyKey(String);

/// Characters of a key.
const LONGEST: usize = 255;

impl IdempotencyKey {
    /// The name of the header.
    pub const HEADER: &'static str = "idempotency-key";

    /// Reads the values of the header; `None` where there is none.
    ///
    /// # Errors
    /// `message-idempotency-key-invalid`.
    pub fn read<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Result<Option<Self>, Error> {
        let wrong =
            |why: String| Err(Error::new(Code::MessageIdempotencyKeyInvalid, format!("Idempotency-Key: {why}")));
        let mut values = values.into_iter();
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return wrong("it is there twice".to_owned());
        }
        if value.is_empty() || value.len() > LONGEST {
            return wrong(format!("{} characters, expected 1 to {LONGEST}", value.len()));
        }
        match std::str::from_utf8(value) {
            Ok(text) if text.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(Some(IdempotencyKey(text.to_owned()))),
            _ => wrong("expected printable ASCII without spaces".to_owned()),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_one_short_printable_text_and_anything_else_is_refused() {
        let read = |values: &[&[u8]]| IdempotencyKey::read(values.iter().copied()).map_err(|error| error.code);
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[b"8e03978e-40d5"]).unwrap().unwrap().as_str(), "8e03978e-40d5");
        let long = [b'x'; 256];
        for wrong in [&[&b""[..]][..], &[&b"a"[..], &b"a"[..]], &[&b"a b"[..]], &[&[255][..]], &[&long[..]]] {
            assert_eq!(read(wrong), Err(Code::MessageIdempotencyKeyInvalid), "{wrong:?}");
        }
    }
}
