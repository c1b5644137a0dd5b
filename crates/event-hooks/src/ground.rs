use crate::armed::Arsenal;
use crate::attempts::AttemptLog;
use crate::dice::Dice;
use crate::feeds::Feeds;
use crate::signals::Signals;
use parking_lot::RwLock;
use std::sync::Arc;
use tokio::sync::mpsc;
use uuid::Uuid;
use waybill_event_hooks_core::Catalogue;
use waybill_log_record::Capture;
use waybill_runtime::{Clock, Supervisor};
use waybill_spool::{Store, StreamId};
use waybill_types::IdMint;

/// What all hooks stand on. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Ground {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) supervisor: Supervisor,
    pub(crate) catalogue: Arc<RwLock<Catalogue>>,
    /// What is seen of headers and meta of log records.
    pub(crate) capture: Arc<Capture>,
    pub(crate) arsenal: Arsenal,
    pub(crate) attempts: AttemptLog,
    pub(crate) signals: Signals,
    /// Who reads log records and signals for all hooks.
    pub(crate) records: Arc<Feeds>,
    pub(crate) others: Arc<Feeds>,
    pub(crate) mint: Arc<IdMint>,
    pub(crate) dice: Arc<Dice>,
    /// Hooks whose target wants nothing any more, with what it said. There is room for all that there may be: each
    /// tells once.
    pub(crate) gone: mpsc::Sender<(Uuid, String)>,
}

impl Ground {
    /// Who reads a stream for all hooks.
    pub(crate) fn feeds(&self, stream: StreamId) -> &Arc<Feeds> {
        if stream == StreamId::EVENTS { &self.records } else { &self.others }
    }
}
