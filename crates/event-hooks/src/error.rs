use std::borrow::Cow;
use waybill_event_hooks_core::{DocumentError, Violations};
use waybill_spool::StoreError;

/// Why something was not done.
#[derive(Clone, Debug, thiserror::Error)]
pub enum HookError {
    /// There is no such hook that the caller may see.
    #[error("Not found")]
    NotFound,
    /// The body cannot be read.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The description is wrong.
    #[error(transparent)]
    Schema(#[from] Violations),
    /// A single field is.
    #[error("schema violation ({field}: {why})")]
    Field {
        /// Dotted.
        field: Cow<'static, str>,
        /// As it stands behind the field's name.
        why: String,
    },
    /// What was asked for makes no sense for this hook, or says too little.
    #[error("{0}")]
    Asked(String),
    /// The caller may not do that.
    #[error("this token does not allow {0}")]
    NotAllowed(String),
    /// There are as many as there may be.
    #[error("there are {0} event hooks: delete some first")]
    Count(usize),
    /// Too often.
    #[error("too many requests of this kind: try again in {0} s")]
    TooMany(u64),
    /// The spool is not open yet, or the daemon stops.
    #[error("{0}")]
    NotReady(&'static str),
    /// It could not be stored; nothing has changed.
    #[error("the spool: {0}")]
    Store(#[from] StoreError),
}
