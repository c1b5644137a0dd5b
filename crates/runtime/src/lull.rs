use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How a request says that from now on it only waits for something to happen, and perhaps for long: whoever serves it can
/// put away meanwhile what is there for a quick answer. Clones are one.
#[derive(Clone, Debug, Default)]
pub struct Lull(Arc<AtomicBool>);

impl Lull {
    /// It waits from now on.
    pub fn begin(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether it has said so.
    pub fn has_begun(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
