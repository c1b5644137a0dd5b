//! `kumo.digest`: checksums, hashes and keyed hashes.

use hmac::digest::Digest;
use hmac::digest::core_api::BlockSizeUser;
use hmac::{Mac, SimpleHmac};
use mlua::{Function, Lua, LuaString, MetaMethod, Table, UserData, UserDataFields, UserDataMethods, Value, Variadic};
use sha1::Sha1;
use sha2::{Sha224, Sha256, Sha384, Sha512, Sha512_256};
use sha3::{Sha3_256, Sha3_384, Sha3_512};

use crate::encode::ENCODINGS;
use crate::error::raise;
use crate::json;
use crate::key_source::KeySource;

/// Adds `kumo.digest`.
pub fn register(lua: &Lua, kumo: &Table) -> mlua::Result<()> {
    let functions: [(&str, Function); 14] = [
        ("sha1", hash::<Sha1>(lua)?),
        ("sha224", hash::<Sha224>(lua)?),
        ("sha256", hash::<Sha256>(lua)?),
        ("sha384", hash::<Sha384>(lua)?),
        ("sha512", hash::<Sha512>(lua)?),
        ("sha512_256", hash::<Sha512_256>(lua)?),
        ("sha3_256", hash::<Sha3_256>(lua)?),
        ("sha3_384", hash::<Sha3_384>(lua)?),
        ("sha3_512", hash::<Sha3_512>(lua)?),
        ("hmac_sha1", keyed_hash::<Sha1>(lua)?),
        ("hmac_sha224", keyed_hash::<Sha224>(lua)?),
        ("hmac_sha256", keyed_hash::<Sha256>(lua)?),
        ("hmac_sha384", keyed_hash::<Sha384>(lua)?),
        ("hmac_sha512", keyed_hash::<Sha512>(lua)?),
    ];
    let module = lua.create_table()?;
    for (name, function) in functions {
        module.raw_set(name, function)?;
    }
    module.raw_set("crc32", lua.create_function(crc32)?)?;
    kumo.raw_set("digest", module)
}

/// Bytes with a field for every way to write them: what the functions here return.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BinaryResult(pub Vec<u8>);

impl UserData for BinaryResult {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        fields.add_field_method_get("bytes", |lua, this| lua.create_string(&this.0));
        for encoding in &ENCODINGS {
            fields.add_field_method_get(encoding.name, |_, this| Ok(encoding.encode(&this.0)));
        }
    }

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| Ok(data_encoding::HEXLOWER.encode(&this.0)));
    }
}

fn hash<D: Digest + 'static>(lua: &Lua) -> mlua::Result<Function> {
    lua.create_function(|lua, arguments: Variadic<Value>| {
        let mut digest = D::new();
        for argument in arguments.iter() {
            feed(lua, argument, |bytes| digest.update(bytes))?;
        }
        Ok(BinaryResult(digest.finalize().to_vec()))
    })
}

fn crc32(lua: &Lua, arguments: Variadic<Value>) -> mlua::Result<BinaryResult> {
    let mut checksum = crc32fast::Hasher::new();
    for argument in arguments.iter() {
        feed(lua, argument, |bytes| checksum.update(bytes))?;
    }
    Ok(BinaryResult(checksum.finalize().to_be_bytes().to_vec()))
}

/// Strings count as their bytes, everything else as its JSON.
fn feed(lua: &Lua, argument: &Value, mut update: impl FnMut(&[u8])) -> mlua::Result<()> {
    match argument {
        Value::String(text) => update(&text.as_bytes()),
        other => update(&json::encode(lua, other)?),
    }
    Ok(())
}

fn keyed_hash<D: Digest + BlockSizeUser + 'static>(lua: &Lua) -> mlua::Result<Function> {
    lua.create_function(|lua, (key, message): (Value, LuaString)| {
        let key = KeySource::from_lua(&key)?.load(lua)?;
        let mut mac = SimpleHmac::<D>::new_from_slice(&key).map_err(|error| raise(error.to_string()))?;
        mac.update(&message.as_bytes());
        Ok(BinaryResult(mac.finalize().into_bytes().to_vec()))
    })
}

#[cfg(test)]
mod tests {
    use crate::testing::ask;

    #[test]
    fn digests_answer_as_recorded() {
        assert_eq!(
            ask("return tostring(kumo.digest.sha256('abc'))"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(
            ask("return kumo.digest.hmac_sha256({ key_data = 'k' }, 'm').hex"),
            "b60090e3052297aeb5a080889ce2fc4bca957e756faeb4df7d31800ca1e771ec"
        );
    }

    #[test]
    fn a_digest_has_a_field_for_every_way_to_write_it() {
        let code = "local d = kumo.digest.sha1 'hello' return table.concat({ d.hex, d.base32, d.base32hex_nopad, \
                    d.base64, d.base64url_nopad, #d.bytes }, ' | ')";
        assert_eq!(
            ask(code),
            "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d | VL2MMHO4YXUKFWV63YHTWSBM3GXKSQ2N | \
             LBQCC7ESONKA5MLURO7JMI1CR6NAIGQD | qvTGHdzF6KLavt4PO0gs2a6pQ00= | qvTGHdzF6KLavt4PO0gs2a6pQ00 | 20"
        );
    }

    #[test]
    fn several_arguments_are_one_stream_and_tables_count_as_json() {
        assert_eq!(ask("return kumo.digest.sha256('a', 'bc').hex == kumo.digest.sha256('abc').hex"), "true");
        assert_eq!(ask("return kumo.digest.sha3_512({ 1 }).hex == kumo.digest.sha3_512('[1]').hex"), "true");
        assert_eq!(ask("return kumo.digest.crc32('123456789').hex"), "cbf43926");
    }

    #[test]
    fn a_plain_string_key_is_a_file_and_other_sources_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        std::fs::write(&path, "k").unwrap();
        let code = format!("return kumo.digest.hmac_sha256('{}', 'm').hex", path.display());
        assert_eq!(ask(&code), "b60090e3052297aeb5a080889ce2fc4bca957e756faeb4df7d31800ca1e771ec");
        assert!(ask("return kumo.digest.hmac_sha1('/nonexistent', 'm')").starts_with("!! reading /nonexistent: "));
        assert_eq!(
            ask("return kumo.digest.hmac_sha1({ vault_path = 'x' }, 'm')"),
            "!! this kind of key source is not supported: use a file path or {key_data=...}"
        );
    }
}
