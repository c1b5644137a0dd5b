//! `kumo.crypto` and `kumo.secrets`: ciphers, signatures of AWS requests, keys.

use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockDecryptMut, BlockEncryptMut, KeyInit, KeyIvInit};
use aes::{Aes128, Aes192, Aes256};
use mlua::{Lua, LuaString, Table, Value};
use waybill_aws_sign::{Credentials, Request, Scope, sign};

use crate::error::raise;
use crate::files;
use crate::key_source::KeySource;
use crate::time;

/// Bytes of a block, and of an initial vector.
const BLOCK: usize = 16;

/// Adds `kumo.crypto` and `kumo.secrets`.
pub fn register(lua: &Lua, kumo: &Table) -> mlua::Result<()> {
    let crypto = lua.create_table()?;
    crypto.raw_set("aes_encrypt_block", lua.create_function(encrypt)?)?;
    crypto.raw_set("aes_decrypt_block", lua.create_function(decrypt)?)?;
    crypto.raw_set("aws_sign_v4", lua.create_function(aws_sign_v4)?)?;
    kumo.raw_set("crypto", crypto)?;
    let secrets = lua.create_table()?;
    let load = |lua: &Lua, source: Value| lua.create_string(KeySource::from_lua(&source)?.load(lua)?);
    secrets.raw_set("load", lua.create_function(load)?)?;
    kumo.raw_set("secrets", secrets)
}

/// Refuses options that nobody knows.
fn only(what: &str, options: &Table, known: &[&str]) -> mlua::Result<()> {
    options.for_each(|key: Value, _: Value| match &key {
        Value::String(name) if known.iter().any(|known| name.as_bytes() == known.as_bytes()) => Ok(()),
        other => {
            let (name, known) = (other.to_string()?, known.join("`, `"));
            Err(raise(format!("{what}: unknown field `{name}`, expected one of `{known}`")))
        }
    })
}

/// `'CBC'` with an initial vector, or `'ECB'` without one.
struct Cipher {
    iv: Option<[u8; BLOCK]>,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl Cipher {
    fn from_lua(lua: &Lua, what: &str, algorithm: &str, options: &Table) -> mlua::Result<Self> {
        only(what, options, &["key", "value", "iv"])?;
        let bytes = |name: &str| match options.get::<Value>(name)? {
            Value::Nil => Ok(None),
            Value::String(text) => Ok(Some(text)),
            other => Err(raise(format!("{what}: {name}: {}", expected("a text", &other)))),
        };
        let value = bytes("value")?.ok_or_else(|| raise(format!("{what}: missing field `value`")))?;
        let iv = bytes("iv")?;
        let iv = match (algorithm.to_ascii_lowercase().as_str(), iv) {
            ("ecb", None) => None,
            ("ecb", Some(_)) => return Err(raise(format!("{what}: ECB takes no iv"))),
            ("cbc", iv) => {
                let bytes = iv.map(|iv| iv.as_bytes().to_vec()).unwrap_or_default();
                let iv = bytes.try_into().map_err(|bytes: Vec<u8>| {
                    raise(format!("{what}: CBC takes an iv of {BLOCK} bytes, got {}", bytes.len()))
                })?;
                Some(iv)
            }
            _ => return Err(raise(format!("{what}: unknown algorithm '{algorithm}', expected 'CBC' or 'ECB'"))),
        };
        let key = KeySource::from_lua(&options.get("key")?)?.load(lua)?;
        if !matches!(key.len(), 16 | 24 | 32) {
            return Err(raise(format!("{what}: a key has 16, 24 or 32 bytes, got {}", key.len())));
        }
        Ok(Cipher { iv, key, value: value.as_bytes().to_vec() })
    }
}

/// Runs `$go` with the cipher that fits the key's length. A macro: the types of six ciphers have no name in common.
macro_rules! with_cipher {
    ($mode:ident, $cipher:expr, $init:ident ( $($extra:expr),* ), $go:expr) => {
        match $cipher.key.len() {
            16 => $mode::<Aes128>::$init(&$cipher.key $(, $extra)*).map($go).ok().flatten(),
            24 => $mode::<Aes192>::$init(&$cipher.key $(, $extra)*).map($go).ok().flatten(),
            _ => $mode::<Aes256>::$init(&$cipher.key $(, $extra)*).map($go).ok().flatten(),
        }
    };
}

type CbcEnc<C> = cbc::Encryptor<C>;
type CbcDec<C> = cbc::Decryptor<C>;
type EcbEnc<C> = ecb::Encryptor<C>;
type EcbDec<C> = ecb::Decryptor<C>;

/// `aes_encrypt_block('CBC', { key, value, iv })`: padded as PKCS#7 says.
fn encrypt(lua: &Lua, (algorithm, options): (String, Table)) -> mlua::Result<LuaString> {
    let what = "kumo.crypto.aes_encrypt_block";
    let cipher = Cipher::from_lua(lua, what, &algorithm, &options)?;
    let encrypted: Option<Vec<u8>> = match &cipher.iv {
        Some(iv) => with_cipher!(CbcEnc, cipher, new_from_slices(iv), |c| Some(
            c.encrypt_padded_vec_mut::<Pkcs7>(&cipher.value)
        )),
        None => {
            with_cipher!(EcbEnc, cipher, new_from_slice(), |c| Some(c.encrypt_padded_vec_mut::<Pkcs7>(&cipher.value)))
        }
    };
    lua.create_string(encrypted.ok_or_else(|| raise(format!("{what}: the key does not fit")))?)
}

/// The way back.
fn decrypt(lua: &Lua, (algorithm, options): (String, Table)) -> mlua::Result<LuaString> {
    let what = "kumo.crypto.aes_decrypt_block";
    let cipher = Cipher::from_lua(lua, what, &algorithm, &options)?;
    let decrypted: Option<Vec<u8>> = match &cipher.iv {
        Some(iv) => {
            with_cipher!(CbcDec, cipher, new_from_slices(iv), |c| c.decrypt_padded_vec_mut::<Pkcs7>(&cipher.value).ok())
        }
        None => {
            with_cipher!(EcbDec, cipher, new_from_slice(), |c| c.decrypt_padded_vec_mut::<Pkcs7>(&cipher.value).ok())
        }
    };
    // One text for every reason: which it was is what an attacker would ask.
    lua.create_string(decrypted.ok_or_else(|| raise(format!("{what}: the value cannot be decrypted with this key")))?)
}

fn aws_sign_v4(lua: &Lua, options: Value) -> mlua::Result<Table> {
    const WHAT: &str = "kumo.crypto.aws_sign_v4";
    let wrong = |why: String| raise(format!("{WHAT}: {why}"));
    let options = options.as_table().ok_or_else(|| wrong(expected("a table of options", &options)))?;
    let known = [
        "access_key",
        "secret_key",
        "session_token",
        "region",
        "service",
        "method",
        "uri",
        "query_params",
        "headers",
        "payload",
        "timestamp",
    ];
    only(WHAT, options, &known)?;
    let given = |name: &str| -> mlua::Result<Option<Value>> {
        let value: Value = options.get(name)?;
        Ok(if value.is_nil() { None } else { Some(value) })
    };
    let needed = |name: &str| given(name)?.ok_or_else(|| wrong(format!("missing field `{name}`")));
    let of = |name: &str, read: Result<String, String>| read.map_err(|why| wrong(format!("{name}: {why}")));
    let or = |name: &str, default: &str| match given(name)? {
        Some(value) => of(name, text(&value)),
        None => Ok(default.to_owned()),
    };
    let pairs = |name: &str| match given(name)? {
        Some(table) => self::pairs(&table).map_err(|why| wrong(format!("{name}: {why}"))),
        None => Ok(Vec::new()),
    };
    let secret = |name: &str, value: &Value| of(name, key(lua, value));
    let payload = match given("payload")? {
        None => Vec::new(),
        Some(Value::String(payload)) => payload.as_bytes().to_vec(),
        Some(other) => return Err(wrong(format!("payload: {}", expected("a text", &other)))),
    };
    let (query, headers) = (pairs("query_params")?, pairs("headers")?);
    let access_key = secret("access_key", &needed("access_key")?)?;
    let secret_key = secret("secret_key", &needed("secret_key")?)?;
    let token = given("session_token")?.map(|token| secret("session_token", &token)).transpose()?;
    let (region, service) = (of("region", text(&needed("region")?))?, of("service", text(&needed("service")?))?);
    let (method, uri) = (or("method", "GET")?, or("uri", "/")?);
    let now = match given("timestamp")? {
        Some(seconds) => moment(&seconds).map_err(|why| wrong(format!("timestamp: {why}")))?,
        None => time::now(lua).timestamp(),
    };
    let credentials = Credentials { access_key: &access_key, secret_key: &secret_key, session_token: token.as_deref() };
    let request = Request { method: &method, path: &uri, query: &query, headers: &headers, payload: &payload };
    let signed = sign(&credentials, Scope { region: &region, service: &service }, &request, now);
    let result = lua.create_table()?;
    result.raw_set("authorization", signed.authorization)?;
    result.raw_set("timestamp", signed.date)?;
    result.raw_set("signature", signed.signature)?;
    result.raw_set("signed_headers", signed.signed_headers)?;
    result.raw_set("payload_hash", signed.payload_hash)?;
    result.raw_set("canonical_request", signed.canonical_request)?;
    result.raw_set("string_to_sign", signed.string_to_sign)?;
    Ok(result)
}

/// Without the value, which may be a secret.
fn expected(what: &str, value: &Value) -> String {
    format!("expected {what}, got {}", value.type_name())
}

/// A text that may stand in a header.
fn text(value: &Value) -> Result<String, String> {
    const WHAT: &str = "a text without control characters";
    let text = value.as_string().ok_or_else(|| expected(WHAT, value))?;
    match text.to_str() {
        Ok(text) if !text.is_empty() && !text.contains(char::is_control) => Ok(text.to_owned()),
        _ => Err(format!("expected {WHAT}")),
    }
}

/// A table from names to texts.
fn pairs(value: &Value) -> Result<Vec<(String, String)>, String> {
    const WHAT: &str = "a table from names to texts";
    let table = value.as_table().ok_or_else(|| expected(WHAT, value))?;
    let mut pairs = Vec::new();
    for pair in table.pairs::<Value, Value>() {
        let (name, value) = pair.map_err(|error| error.to_string())?;
        let name = text(&name).map_err(|_| expected(&format!("{WHAT}: a name"), &name))?;
        let value = match value.as_string().and_then(|text| text.to_str().ok().map(|text| text.to_owned())) {
            Some(text) if !text.contains(char::is_control) => text,
            _ => return Err(format!("{name}: {}", expected("a text without control characters", &value))),
        };
        pairs.push((name, value));
    }
    Ok(pairs)
}

/// Seconds since 1970; parts of one do not count.
fn moment(value: &Value) -> Result<i64, String> {
    let seconds = match value {
        Value::Integer(seconds) => u32::try_from(*seconds).ok().map(f64::from),
        Value::Number(seconds) => Some(*seconds).filter(|seconds| (0.0..=f64::from(u32::MAX)).contains(seconds)),
        _ => None,
    };
    #[expect(clippy::cast_possible_truncation, reason = "it is between 0 and u32::MAX, and whole seconds are wanted")]
    let whole = seconds.map(|seconds| seconds as i64);
    whole.ok_or_else(|| expected("seconds since 1970", value))
}

/// A key of AWS: a text is the key itself, unless it is the full path of a file; else a key source.
fn key(lua: &Lua, value: &Value) -> Result<String, String> {
    const WHAT: &str = "a text without control characters, or { key_data = '...' }";
    let bytes = match value {
        Value::String(_) => {
            let key = text(value).map_err(|_| format!("expected {WHAT}"))?;
            if !(key.starts_with('/') && std::path::Path::new(&key).is_file()) {
                return Ok(key);
            }
            files::read(lua, &key).map_err(|error| error.to_string())?
        }
        Value::Table(source) => {
            let fields: Vec<(Value, Value)> =
                source.pairs().collect::<mlua::Result<_>>().map_err(|error| error.to_string())?;
            match &fields[..] {
                [(name, data)] if name.as_string().is_some_and(|name| name == "key_data") => {
                    return text(data).map_err(|_| format!("key_data: expected {WHAT}"));
                }
                _ => return Err(format!("expected {WHAT}")),
            }
        }
        other => return Err(expected(WHAT, other)),
    };
    String::from_utf8(bytes).map(|key| key.trim_end().to_owned()).map_err(|_| "a key of AWS is a text".to_owned())
}

#[cfg(test)]
mod tests {
    use crate::testing::ask;

    const HEX: &str = "local function hex(s) return kumo.encode.hex_encode(s) end
                       local function raw(s) return kumo.encode.hex_decode(s) end ";

    /// NIST SP 800-38A, F.1 and F.2, the first block; what follows it is padding.
    #[test]
    fn the_published_blocks_come_out_and_go_back() {
        let plain = "6bc1bee22e409f96e93d7e117393172a";
        let iv = "000102030405060708090a0b0c0d0e0f";
        for (algorithm, key, iv, expected) in [
            ("ECB", "2b7e151628aed2a6abf7158809cf4f3c", None, "3ad77bb40d7a3660a89ecaf32466ef97"),
            ("ecb", "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b", None, "bd334f1d6e45f25ff712a214571fa5cc"),
            (
                "ECB",
                "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
                None,
                "f3eed1bdb5d2a03c064b5a7e3db181f8",
            ),
            ("CBC", "2b7e151628aed2a6abf7158809cf4f3c", Some(iv), "7649abac8119b246cee98e9b12e9197d"),
        ] {
            let iv = iv.map(|iv| format!(", iv = raw '{iv}'")).unwrap_or_default();
            let code = format!(
                "{HEX} local o = {{ key = {{ key_data = raw '{key}' }}, value = raw '{plain}'{iv} }}
                 local secret = kumo.crypto.aes_encrypt_block('{algorithm}', o)
                 o.value = secret
                 return hex(secret:sub(1, 16)) .. ' ' .. #secret .. ' ' .. hex(kumo.crypto.aes_decrypt_block('{algorithm}', o))"
            );
            assert_eq!(ask(&code), format!("{expected} 32 {plain}"));
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (code, expected) in [
            (
                "'CTR', { key = { key_data = ('k'):rep(16) }, value = '' }",
                "unknown algorithm 'CTR', expected 'CBC' or 'ECB'",
            ),
            ("'ECB', { value = 1 }", "value: expected a text, got integer"),
            ("'ECB', { iv = 'x' }", "missing field `value`"),
            ("'ECB', { key = { key_data = 'k' }, value = '' }", "a key has 16, 24 or 32 bytes, got 1"),
            ("'CBC', { key = { key_data = ('k'):rep(16) }, value = '' }", "CBC takes an iv of 16 bytes, got 0"),
            (
                "'ECB', { key = { key_data = ('k'):rep(16) }, value = '', IV = 'x' }",
                "unknown field `IV`, expected one of `key`, `value`, `iv`",
            ),
            (
                "'ECB', { key = { key_data = ('k'):rep(16) }, value = 'odd' }",
                "the value cannot be decrypted with this key",
            ),
        ] {
            let answer = ask(&format!("return kumo.crypto.aes_decrypt_block({code})"));
            assert_eq!(answer, format!("!! kumo.crypto.aes_decrypt_block: {expected}"));
        }
    }

    #[test]
    fn a_request_of_aws_is_signed_as_its_manual_says() {
        let code = "local signed = kumo.crypto.aws_sign_v4 {
              access_key = 'AKIDEXAMPLE', secret_key = { key_data = 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY' },
              region = 'us-east-1', service = 'iam', timestamp = 1440938160,
              query_params = { Version = '2010-05-08', Action = 'ListUsers' },
              headers = { host = 'iam.amazonaws.com', ['content-type'] = 'application/x-www-form-urlencoded; charset=utf-8' },
            }
            return signed.signature .. ' ' .. signed.timestamp";
        assert_eq!(ask(code), "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7 20150830T123600Z");
        assert_eq!(
            ask("kumo.crypto.aws_sign_v4 { access_key = 'a', secret_key = 'b', service = 's' }"),
            "!! kumo.crypto.aws_sign_v4: missing field `region`"
        );
        let unknown = ask("kumo.crypto.aws_sign_v4 { key = 'a' }");
        assert!(unknown.starts_with("!! kumo.crypto.aws_sign_v4: unknown field `key`, expected one of"), "{unknown}");
        let wrong = ask("kumo.crypto.aws_sign_v4 { access_key = 'a', secret_key = { key_data = { 'HIDDEN' } } }");
        assert!(wrong.contains("secret_key: key_data: expected a text") && !wrong.contains("HIDDEN"), "{wrong}");
    }

    #[test]
    fn a_secret_is_read_from_where_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        std::fs::write(&path, "s3cret\n").unwrap();
        assert_eq!(ask(&format!("return #kumo.secrets.load '{}'", path.display())), "7");
        assert_eq!(ask("return kumo.secrets.load { key_data = 'x' }"), "x");
        assert!(ask("return kumo.secrets.load { vault = 'x' }").starts_with("!! this kind of key source"));
    }
}
