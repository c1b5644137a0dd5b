use super::answer::Refused;
use crate::Streams;
use std::sync::{Arc, OnceLock};

/// The streams, once the store is open: listeners are there before it.
#[derive(Clone, Default)]
pub struct Late(Arc<OnceLock<Streams>>);

impl Late {
    /// Here they are. Others are ignored.
    pub fn set(&self, streams: Streams) {
        let _ = self.0.set(streams);
    }

    /// They, if they are here by now.
    pub fn opened(&self) -> Option<Streams> {
        self.0.get().cloned()
    }

    pub(super) fn get(&self) -> Result<Streams, Refused> {
        self.0.get().cloned().ok_or_else(Refused::not_yet)
    }
}
