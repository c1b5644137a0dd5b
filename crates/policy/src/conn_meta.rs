use parking_lot::Mutex;
use serde_json::{Map, Value};
use std::sync::Arc;

/// Meta of a connection: set by the listener and by policy, copied into each message that comes over it.
///
/// Cheap to clone; clones are the same connection.
#[derive(Clone, Debug, Default)]
pub struct ConnMeta(Arc<Mutex<Map<String, Value>>>);

impl ConnMeta {
    /// With what the listener knows.
    pub fn new(meta: Map<String, Value>) -> Self {
        ConnMeta(Arc::new(Mutex::new(meta)))
    }

    /// A value; `None` when it is missing or null.
    pub fn get(&self, name: &str) -> Option<Value> {
        self.0.lock().get(name).filter(|value| !value.is_null()).cloned()
    }

    /// Sets a value; null removes it.
    pub fn set(&self, name: &str, value: Value) {
        if value.is_null() {
            self.0.lock().remove(name);
        } else {
            self.0.lock().insert(name.to_owned(), value);
        }
    }

    /// Everything.
    pub fn all(&self) -> Map<String, Value> {
        self.0.lock().clone()
    }
}
