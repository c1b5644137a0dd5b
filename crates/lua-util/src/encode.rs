//! `kumo.encode`: bytes to text and back, and character sets.

mod charset;
mod text;

use mlua::{Lua, LuaString, Table};

pub(crate) use text::ENCODINGS;

/// Adds `kumo.encode`.
pub fn register(lua: &Lua, kumo: &Table) -> mlua::Result<()> {
    let module = lua.create_table()?;
    for encoding in &ENCODINGS {
        let encode = |_: &Lua, bytes: LuaString| Ok(encoding.encode(&bytes.as_bytes()));
        let decode = |lua: &Lua, text: LuaString| lua.create_string(encoding.decode(&text.as_bytes())?);
        module.raw_set(format!("{}_encode", encoding.name), lua.create_function(encode)?)?;
        module.raw_set(format!("{}_decode", encoding.name), lua.create_function(decode)?)?;
    }
    charset::register(lua, &module)?;
    kumo.raw_set("encode", module)
}

#[cfg(test)]
mod tests {
    use crate::testing::ask;

    #[test]
    fn every_encoding_gives_back_what_it_was_given() {
        let code = r"
            local bytes = '\0\255hello\1'
            for _, name in ipairs { 'base32', 'base32hex', 'base64', 'base64url' } do
                for _, suffix in ipairs { '', '_nopad' } do
                    local n = name .. suffix
                    assert(kumo.encode[n .. '_decode'](kumo.encode[n .. '_encode'](bytes)) == bytes, n)
                end
            end
            return kumo.encode.hex_decode(kumo.encode.hex_encode(bytes)) == bytes";
        assert_eq!(ask(code), "true");
        assert_eq!(ask("return kumo.encode.base64_encode 'hello'"), "aGVsbG8=");
        assert_eq!(ask("return kumo.encode.base64_nopad_encode 'hello'"), "aGVsbG8");
        assert_eq!(ask("return kumo.encode.hex_encode '\\xab'"), "ab");
    }

    #[test]
    fn padding_and_case_are_tolerated_but_not_foreign_characters() {
        assert_eq!(ask("return kumo.encode.base64_nopad_decode 'aGVsbG8='"), "hello");
        assert_eq!(ask("return kumo.encode.base64_decode 'aGVsbG8'"), "hello");
        assert_eq!(ask("return kumo.encode.base64_decode 'aGVsbG8==='"), "hello");
        assert_eq!(ask("return kumo.encode.hex_decode 'ABcd' == '\\xab\\xcd'"), "true");
        assert_eq!(ask("return kumo.encode.base32_decode 'nbswy3dp'"), "hello");
        assert!(ask("return kumo.encode.base64_decode '*'").starts_with("!! cannot decode base64: "));
    }

    #[test]
    fn character_sets_are_converted_and_errors_are_raised_when_asked_for() {
        assert_eq!(ask("return kumo.encode.charset_decode('iso-8859-1', 'caf\\xe9')"), "café");
        assert_eq!(ask("return kumo.encode.charset_encode('windows-1252', 'café') == 'caf\\xe9'"), "true");
        assert_eq!(ask("return kumo.encode.charset_encode('iso-8859-1', 'a☃b')"), "ab");
        assert_eq!(
            ask("return kumo.encode.charset_encode('shift_jis', 'a☃b', false)"),
            "!! cannot encode U+2603 as Shift_JIS"
        );
        assert_eq!(ask("return kumo.encode.charset_decode('utf-8', '\\xff')"), "!! the input is not valid UTF-8");
        assert_eq!(ask("return kumo.encode.charset_decode('klingon', 'x')"), "!! unknown charset klingon");
        assert_eq!(ask("return kumo.encode.charset_encode('utf-16le', 'a') == 'a\\0'"), "true");
        assert_eq!(ask("return kumo.encode.charset_decode('utf-16be', '\\0a')"), "a");
    }
}
