//! Text in other character sets than UTF-8.

use encoding_rs::{EncoderResult, Encoding, UTF_16BE, UTF_16LE};
use mlua::{Lua, LuaString, Table};

use crate::error::raise;

pub(super) fn register(lua: &Lua, module: &Table) -> mlua::Result<()> {
    let encode = |lua: &Lua, (charset, text, ignore_errors): (String, String, Option<bool>)| {
        lua.create_string(encode(&charset, &text, ignore_errors.unwrap_or(true))?)
    };
    let decode = |_: &Lua, (charset, bytes): (String, LuaString)| decode(&charset, &bytes.as_bytes());
    module.raw_set("charset_encode", lua.create_function(encode)?)?;
    module.raw_set("charset_decode", lua.create_function(decode)?)
}

fn named(charset: &str) -> mlua::Result<&'static Encoding> {
    Encoding::for_label(charset.as_bytes()).ok_or_else(|| raise(format!("unknown charset {charset}")))
}

fn decode(charset: &str, bytes: &[u8]) -> mlua::Result<String> {
    let encoding = named(charset)?;
    match encoding.decode_without_bom_handling_and_without_replacement(bytes) {
        Some(text) => Ok(text.into_owned()),
        None => Err(raise(format!("the input is not valid {}", encoding.name()))),
    }
}

/// Characters that the charset lacks are left out when errors are ignored.
fn encode(charset: &str, text: &str, ignore_errors: bool) -> mlua::Result<Vec<u8>> {
    let encoding = named(charset)?;
    // The library only reads these two: browsers never send them.
    if encoding == UTF_16LE {
        return Ok(text.encode_utf16().flat_map(u16::to_le_bytes).collect());
    }
    if encoding == UTF_16BE {
        return Ok(text.encode_utf16().flat_map(u16::to_be_bytes).collect());
    }
    let mut encoder = encoding.new_encoder();
    let mut out = Vec::new();
    let mut rest = text;
    loop {
        // Room for all of it, so that a full buffer never has to be told from the end.
        out.reserve(encoder.max_buffer_length_from_utf8_without_replacement(rest.len()).unwrap_or(0));
        let (result, read) = encoder.encode_from_utf8_to_vec_without_replacement(rest, &mut out, true);
        rest = &rest[read..];
        match result {
            EncoderResult::InputEmpty => return Ok(out),
            EncoderResult::OutputFull => {}
            EncoderResult::Unmappable(_) if ignore_errors => {}
            EncoderResult::Unmappable(c) => {
                return Err(raise(format!("cannot encode U+{:04X} as {}", u32::from(c), encoding.name())));
            }
        }
    }
}
