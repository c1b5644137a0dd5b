use crate::EventHooks;
use std::sync::{Arc, OnceLock};

/// The hooks, once the store is open: listeners are there before it.
#[derive(Clone, Default)]
pub struct Late(Arc<OnceLock<EventHooks>>);

impl Late {
    /// Here they are. Others are ignored.
    pub fn set(&self, hooks: EventHooks) {
        let _ = self.0.set(hooks);
    }

    pub(super) fn get(&self) -> Option<EventHooks> {
        self.0.get().cloned()
    }
}
