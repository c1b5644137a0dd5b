//! Signatures and SPF, as scripts ask for them.

mod support;

use std::sync::Arc;
use std::time::Duration;

use mlua::{Lua, Value as Lv};
use serde_json::json;
use support::{complaint, mail, policy, text};
use waybill_dns::{SharedResolver, Zones};
use waybill_lua::{Engine, EngineBuilder, KeyHook, module};
use waybill_policy::{ConnMeta, PolicyHost, Value};
use waybill_runtime::ManualClock;
use waybill_spool::Message;
use waybill_types::Timestamp;

const ZONE: &str = r#"
brisbane._domainkey.example.com. TXT "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
example.com. TXT "v=spf1 ip4:192.0.2.1 -all"
helo.example.com. TXT "v=spf1 ~all"
"#;

/// RFC 8463, appendix A.
const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";

/// As the daemon reads keys.
fn key(_: &Lua, source: &Lv) -> mlua::Result<Vec<u8>> {
    match source {
        Lv::String(path) => {
            let path = path.to_str()?.to_owned();
            std::fs::read(&path).map_err(|error| mlua::Error::external(format!("reading {path}: {error}")))
        }
        Lv::Table(table) => Ok(table.get::<mlua::LuaString>("key_data")?.as_bytes().to_vec()),
        _ => Err(mlua::Error::external("a key source must be a file path or {key_data=...}")),
    }
}

fn builder(code: &str) -> EngineBuilder {
    let key_text = format!("local KEY = {{ key_data = [[\n{KEY}]] }}\n");
    policy(&format!("{key_text}{code}")).module(module("daemon", |lua, _| {
        lua.set_app_data(SharedResolver::new(Zones::parse([ZONE]).unwrap()));
        lua.set_app_data(KeyHook(key));
        Ok(())
    }))
}

async fn engine(code: &str) -> Engine {
    builder(code).build().await.unwrap()
}

const SIGN: &str = "local function signer(more)
  local options = { domain = 'example.com', selector = 'brisbane', headers = { 'From', 'Subject' }, key = KEY }
  for name, value in pairs(more or {}) do options[name] = value end
  return kumo.dkim.ed25519_signer(options)
end
";

fn letter() -> Message {
    mail("From: a@example.com\r\nSubject: hello\r\n\r\nbody\r\n")
}

async fn json_of(code: &str, args: Vec<Value>) -> serde_json::Value {
    let engine = engine(&format!("{SIGN} kumo.on('ev', {code})")).await;
    let returned = engine.call("ev", args).await.unwrap();
    let Value::Json(json) = returned.first() else { panic!("no table") };
    json.clone()
}

#[tokio::test]
async fn a_message_is_signed_and_its_signature_verifies() {
    let message = letter();
    let results =
        json_of("function(m) m:dkim_sign(signer()) return m:dkim_verify() end", vec![message.clone().into()]).await;
    let data = String::from_utf8(message.data().unwrap().to_vec()).unwrap();
    assert!(data.starts_with("DKIM-Signature: v=1; a=ed25519-sha256;") && data.ends_with("\r\n\r\nbody\r\n"), "{data}");
    let expected = json!([{ "method": "dkim", "result": "pass", "props": {
        "header.a": "ed25519-sha256", "header.b": results[0]["props"]["header.b"], "header.d": "example.com",
        "header.i": "@example.com", "header.s": "brisbane",
    } }]);
    assert_eq!(results, expected);
    let changed = json_of(
        "function(m) m:set_data((m:get_data():gsub('hello', 'goodbye'))) return m:dkim_verify() end",
        vec![message.into()],
    );
    assert_eq!(changed.await[0]["result"], "fail");
}

#[tokio::test]
async fn a_chain_is_sealed_until_it_breaks() {
    let message = letter();
    let code = "function(m)
      local told = {}
      local function note() local arc = m:arc_verify() told[#told + 1] = arc.result table.insert(told, arc.reason) end
      note()
      m:arc_seal(signer(), 'mx.example.net', { { method = 'spf', result = 'pass', props = { ['smtp.helo'] = 'a' } } })
      note()
      m:arc_seal(signer(), 'mx.example.net')
      note()
      m:set_data((m:get_data():gsub('body', 'other')))
      note()
      local before = m:get_data()
      m:arc_seal(signer(), 'mx.example.net', {})
      told[#told + 1] = tostring(before == m:get_data())
      return told
    end";
    let told = json_of(code, vec![message.clone().into()]).await;
    let why = "ARC-Message-Signature: the body is not the one that was signed";
    assert_eq!(told, json!(["none", "pass", "pass", "fail", why, "true"]));
    let data = String::from_utf8(message.data().unwrap().to_vec()).unwrap();
    assert!(data.starts_with("ARC-Seal: i=2;"), "{data}");
}

#[tokio::test]
async fn results_become_a_header() {
    let message = letter();
    let code = "function(m)
      m:dkim_sign(signer())
      local results = m:dkim_verify()
      table.insert(results, { method = 'spf', result = 'fail', reason = 'no; never', props = { ['smtp.mailfrom'] = 'a@b.example' } })
      m:add_authentication_results('mx.example.net', results)
      return m:get_first_named_header_value 'Authentication-Results'
    end";
    let value = text(&engine(&format!("{SIGN} kumo.on('ev', {code})")).await, "ev", vec![message.into()]).await;
    assert!(value.starts_with("mx.example.net; dkim=pass header.a=ed25519-sha256 header.b="), "{value}");
    assert!(value.ends_with("spf=fail reason=\"no; never\" smtp.mailfrom=a@b.example"), "{value}");
}

#[tokio::test]
async fn spf_is_asked_for_a_host_and_for_a_message() {
    let meta = ConnMeta::default();
    meta.set("received_from", json!("192.0.2.1:2525"));
    meta.set("ehlo_domain", json!("helo.example.com"));
    let code = "function(c) return kumo.spf.check_host('example.com', c, 'ann@example.com') end";
    let expected = json!({ "disposition": "pass", "result": {
        "method": "spf", "result": "pass", "reason": "matched 'ip4:192.0.2.1' directive",
        "props": { "smtp.mailfrom": "ann@example.com" },
    } });
    assert_eq!(json_of(code, vec![Value::Connection(meta.clone())]).await, expected);
    let helo =
        json_of("function(c) return kumo.spf.check_host('helo.example.com', c) end", vec![Value::Connection(meta)])
            .await;
    assert_eq!(
        (&helo["disposition"], &helo["result"]["props"]),
        (&json!("softfail"), &json!({ "smtp.helo": "helo.example.com" }))
    );

    let message = letter();
    message.set_meta("received_from", json!("192.0.2.9:25"));
    let found = json_of("function(m) return kumo.spf.check_msg(m) end", vec![message.clone().into()]).await;
    assert_eq!(
        (&found["disposition"], &found["result"]["props"]),
        (&json!("fail"), &json!({ "smtp.mailfrom": "a@example.com" }))
    );
    message.set_sender("".parse().unwrap());
    message.set_meta("ehlo_domain", json!("helo.example.com"));
    let found = json_of("function(m) return kumo.spf.check_msg(m) end", vec![message.into()]).await;
    assert_eq!(
        (&found["disposition"], &found["result"]["props"]),
        (&json!("softfail"), &json!({ "smtp.helo": "helo.example.com" }))
    );
}

#[tokio::test]
async fn what_is_wrong_is_said_with_file_line_and_field() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("key.pem");
    std::fs::write(&file, "not a key").unwrap();
    let file = file.display();
    for (call, expected) in [
        ("signer { key = '/no/such/key.pem' }".to_owned(), "kumo.dkim.ed25519_signer: key: reading /no/such/key.pem: No such file".to_owned()),
        (format!("signer {{ key = '{file}' }}"), format!("kumo.dkim.ed25519_signer: key: {file}: this is no private key in PEM or DER")),
        ("signer { key = { key_data = 'HIDDEN' } }".to_owned(), "kumo.dkim.ed25519_signer: key: this is no private key".to_owned()),
        ("kumo.dkim.rsa_sha256_signer { domain = 'a.example', selector = 's', headers = { 'From' }, key = KEY }".to_owned(), "kumo.dkim.rsa_sha256_signer: key: this is no RSA key (PKCS#1 or PKCS#8)".to_owned()),
        ("kumo.dkim.ed25519_signer { domain = 'a.example', selector = 's', headers = { 'From' } }".to_owned(), "kumo.dkim.ed25519_signer: missing field `key`".to_owned()),
        ("signer { colour = 1 }".to_owned(), "kumo.dkim.ed25519_signer: unknown field `colour`, expected one of `domain`, `selector`, `headers`, `key`".to_owned()),
        ("signer { expiration = 'soon' }".to_owned(), "kumo.dkim.ed25519_signer: field `expiration`: invalid type: string \"soon\", expected u64".to_owned()),
        ("signer { body_canonicalization = 'Loose' }".to_owned(), "kumo.dkim.ed25519_signer: field `body_canonicalization`: unknown variant `Loose`, expected `Relaxed` or `Simple`".to_owned()),
        ("signer { headers = { 'To' } }".to_owned(), "kumo.dkim.ed25519_signer: headers: From has to be one of them".to_owned()),
        ("m:dkim_sign {}".to_owned(), "msg:dkim_sign: expected what kumo.dkim.rsa_sha256_signer or kumo.dkim.ed25519_signer makes, got table".to_owned()),
        ("m:add_authentication_results('mx', { { result = 'x' } })".to_owned(), "msg:add_authentication_results: field `[0]`: missing field `method`".to_owned()),
        ("m:add_authentication_results('m x', {})".to_owned(), "msg:add_authentication_results: the server id \"m x\" is no word".to_owned()),
        ("m:add_authentication_results('mx', { { method = 'a b', result = 'x' } })".to_owned(), "msg:add_authentication_results: result 1: method \"a b\" is no word".to_owned()),
        ("m:dkim_verify 'other'".to_owned(), "msg:dkim_verify: no resolver \"other\" is defined; leave the argument out".to_owned()),
        ("kumo.spf.check_msg(m)".to_owned(), "kumo.spf.check_msg: nobody knows where this comes from".to_owned()),
    ] {
        let code = format!("{SIGN} kumo.on('ev', function()\nlocal m = kumo.make_message('a@b.example', 'c@d.example', 'From: x\\r\\n\\r\\ny')\n{call}\nend)");
        let said = complaint(&engine(&code).await, "ev").await;
        assert!(said.contains(&expected), "{call}: {said}");
        assert!(!said.contains("HIDDEN"), "{said}");
        if !call.starts_with("kumo.spf") && !call.starts_with("m:dkim_verify") {
            assert!(said.starts_with("init.lua:"), "{call}: {said}");
        }
    }
}

#[tokio::test]
async fn a_key_is_kept_for_a_minute_and_then_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("key.pem");
    std::fs::write(&file, KEY).unwrap();
    let clock = Arc::new(ManualClock::at(Timestamp::from_secs(1_800_000_000)));
    let code = format!("{SIGN} kumo.on('ev', function() return tostring(signer {{ key = '{}' }}) end)", file.display());
    let engine = builder(&code).clock(clock.clone()).build().await.unwrap();
    assert_eq!(text(&engine, "ev", vec![]).await, "Signer(ed25519-sha256 brisbane._domainkey.example.com)");
    std::fs::write(&file, "not a key").unwrap();
    clock.advance(Duration::from_secs(59));
    assert!(text(&engine, "ev", vec![]).await.starts_with("Signer("));
    clock.advance(Duration::from_secs(1));
    assert!(complaint(&engine, "ev").await.contains("this is no private key"));
}
