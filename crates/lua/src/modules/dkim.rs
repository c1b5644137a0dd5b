//! `kumo.dkim`: who signs mail.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use mlua::{Lua, MetaMethod, Table, UserData, UserDataMethods, Value};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use waybill_mail_auth::{Algorithm, Key, Signer, SignerOptions};
use waybill_types::Timestamp;

use super::config::options;
use crate::engine::Engine;
use crate::error::raise;
use crate::location;

/// Reads a key from where a script says that it is: a file, or a table that names another place.
///
/// Set it with `lua.set_app_data(KeyHook(..))`; the engine itself knows no places.
pub struct KeyHook(pub fn(&Lua, &Value) -> mlua::Result<Vec<u8>>);

/// A key is read again after so long: one that was replaced is taken then.
const KEPT: Duration = Duration::from_secs(60);
/// More keys than this, and the oldest is forgotten.
const MANY: usize = 10_000;

/// Where a key is, without the key.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Place {
    File(String),
    /// The hash of its bytes.
    Bytes([u8; 32]),
}

struct Known {
    key: Arc<Key>,
    since: Timestamp,
}

/// The keys of an engine: parsing one costs more than signing with it.
#[derive(Default)]
pub(crate) struct Keys {
    known: Mutex<HashMap<(Algorithm, Place), Known>>,
}

impl Keys {
    fn get(&self, algorithm: Algorithm, place: &Place, now: Timestamp) -> Option<Arc<Key>> {
        let known = self.known.lock();
        let found = known.get(&(algorithm, place.clone()))?;
        (now.since(found.since) < KEPT).then(|| found.key.clone())
    }

    fn keep(&self, algorithm: Algorithm, place: Place, key: Arc<Key>, now: Timestamp) {
        let mut known = self.known.lock();
        if known.len() >= MANY {
            known.retain(|_, known| now.since(known.since) < KEPT);
        }
        if known.len() >= MANY {
            let oldest = known.iter().min_by_key(|(_, known)| known.since).map(|(name, _)| name.clone());
            oldest.into_iter().for_each(|oldest| drop(known.remove(&oldest)));
        }
        known.insert((algorithm, place), Known { key, since: now });
    }
}

pub(super) fn register(lua: &Lua, kumo: &Table) -> mlua::Result<()> {
    let dkim = lua.create_table()?;
    for (name, what, algorithm) in [
        ("rsa_sha256_signer", "kumo.dkim.rsa_sha256_signer", Algorithm::RsaSha256),
        ("ed25519_signer", "kumo.dkim.ed25519_signer", Algorithm::Ed25519Sha256),
    ] {
        dkim.set(name, lua.create_function(move |lua, given: Value| signer(lua, what, algorithm, &given))?)?;
    }
    kumo.set("dkim", dkim)
}

/// What signs, as scripts hold it.
pub(crate) struct SignerObject {
    pub(crate) signer: Arc<Signer>,
    shown: String,
}

impl UserData for SignerObject {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| Ok(this.shown.clone()));
    }
}

fn signer(lua: &Lua, what: &str, algorithm: Algorithm, given: &Value) -> mlua::Result<SignerObject> {
    let (given, key) = without_key(lua, given)?;
    let options: SignerOptions = options(lua, what, &given)?;
    let wrong = |why: String| raise(format!("{}: {what}: {why}", location::caller(lua)));
    let key = read(lua, algorithm, &key).map_err(|why| wrong(format!("key: {why}")))?;
    let signer = Signer::new(&options, key).map_err(|error| wrong(error.to_string()))?;
    let shown = format!("Signer({} {}._domainkey.{})", algorithm.name(), options.selector, options.domain);
    Ok(SignerObject { signer: Arc::new(signer), shown })
}

/// The options with a mark in the place of the key, so that no error can show it, and the key's own value.
fn without_key(lua: &Lua, given: &Value) -> mlua::Result<(Value, Value)> {
    let Value::Table(given) = given else { return Ok((given.clone(), Value::Nil)) };
    let options = lua.create_table()?;
    let mut key = Value::Nil;
    for pair in given.pairs::<Value, Value>() {
        let (name, value) = pair?;
        if name.as_string().is_some_and(|name| name == "key") {
            key = value;
            options.raw_set(name, "(hidden)")?;
        } else {
            options.raw_set(name, value)?;
        }
    }
    Ok((Value::Table(options), key))
}

/// The key, from memory where it was read before.
fn read(lua: &Lua, algorithm: Algorithm, source: &Value) -> Result<Arc<Key>, String> {
    let engine = Engine::of(lua).ok_or("the policy engine is shutting down")?;
    let now = engine.inner().settings.clock.now();
    let keys = &engine.inner().keys;
    let hook = lua.app_data_ref::<KeyHook>().map(|hook| hook.0);
    let hook = hook.ok_or("this program reads no keys")?;
    let load = || hook(lua, source).map_err(|error| first_line(&error));
    let (place, mut bytes) = match source {
        Value::String(path) => (Place::File(path.to_string_lossy()), None),
        _ => {
            let bytes = load()?;
            (Place::Bytes(Sha256::digest(&bytes).into()), Some(bytes))
        }
    };
    if let Some(key) = keys.get(algorithm, &place, now) {
        return Ok(key);
    }
    let bytes = bytes.take().map_or_else(load, Ok)?;
    let key = Key::parse(algorithm, &bytes).map_err(|why| match &place {
        Place::File(path) => format!("{path}: {why}"),
        Place::Bytes(_) => why.to_string(),
    })?;
    let key = Arc::new(key);
    keys.keep(algorithm, place, key.clone(), now);
    Ok(key)
}

fn first_line(error: &mlua::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEM: &[u8] = b"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";

    #[test]
    fn the_oldest_key_goes_when_there_are_too_many() {
        let keys = Keys::default();
        let key = Arc::new(Key::parse(Algorithm::Ed25519Sha256, PEM).unwrap());
        let place = |number: usize| Place::File(number.to_string());
        let at = |millis: u64| Timestamp::from_secs(1_700_000_000) + Duration::from_millis(millis);
        for (number, millis) in (0..=MANY).zip(0..) {
            keys.keep(Algorithm::Ed25519Sha256, place(number), key.clone(), at(millis));
        }
        let known = |number, millis| keys.get(Algorithm::Ed25519Sha256, &place(number), at(millis)).is_some();
        assert!(!known(0, 10_001) && known(1, 10_001) && known(MANY, 10_001));
        assert!(known(1, 60_000) && !known(1, 60_001), "it is kept for a minute");
        assert!(keys.get(Algorithm::RsaSha256, &place(1), at(10_001)).is_none());
    }
}
