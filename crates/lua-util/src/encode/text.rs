//! The ways to write bytes as text that scripts know by name.

use std::borrow::Cow;

use data_encoding as de;

use crate::error::raise;

/// One way to write bytes as text.
pub(crate) struct Encoding {
    /// The name in `kumo.encode.NAME_encode` and in the fields of a digest.
    pub(crate) name: &'static str,
    writer: de::Encoding,
    reader: de::Encoding,
    folds_to_upper: bool,
}

/// All of them. Readers are without padding: [`Encoding::decode`] takes it off first, so that text
/// with too much of it, or too little, is read all the same.
pub(crate) static ENCODINGS: [Encoding; 9] = [
    Encoding { name: "base32", writer: de::BASE32, reader: de::BASE32_NOPAD, folds_to_upper: true },
    Encoding { name: "base32_nopad", writer: de::BASE32_NOPAD, reader: de::BASE32_NOPAD, folds_to_upper: true },
    Encoding { name: "base32hex", writer: de::BASE32HEX, reader: de::BASE32HEX_NOPAD, folds_to_upper: true },
    Encoding {
        name: "base32hex_nopad",
        writer: de::BASE32HEX_NOPAD,
        reader: de::BASE32HEX_NOPAD,
        folds_to_upper: true,
    },
    Encoding { name: "base64", writer: de::BASE64, reader: de::BASE64_NOPAD, folds_to_upper: false },
    Encoding { name: "base64_nopad", writer: de::BASE64_NOPAD, reader: de::BASE64_NOPAD, folds_to_upper: false },
    Encoding { name: "base64url", writer: de::BASE64URL, reader: de::BASE64URL_NOPAD, folds_to_upper: false },
    Encoding {
        name: "base64url_nopad",
        writer: de::BASE64URL_NOPAD,
        reader: de::BASE64URL_NOPAD,
        folds_to_upper: false,
    },
    Encoding { name: "hex", writer: de::HEXLOWER, reader: de::HEXLOWER_PERMISSIVE, folds_to_upper: false },
];

impl Encoding {
    /// The bytes as text.
    pub(crate) fn encode(&self, bytes: &[u8]) -> String {
        self.writer.encode(bytes)
    }

    /// The bytes that the text stands for.
    pub(crate) fn decode(&self, text: &[u8]) -> mlua::Result<Vec<u8>> {
        let end = text.iter().rposition(|b| *b != b'=').map_or(0, |last| last + 1);
        let text = &text[..end];
        let text = if self.folds_to_upper { Cow::Owned(text.to_ascii_uppercase()) } else { Cow::Borrowed(text) };
        self.reader.decode(&text).map_err(|error| raise(format!("cannot decode {}: {error}", self.name)))
    }
}
