//! Secrets as they stand in the store: sealed for their row, where there are keys.

use std::sync::Arc;
use waybill_sealing::{Keyring, Place, Sealed};
use waybill_spool::StoreError;
use waybill_streams_core::{Id, Secrets};

/// Seals and opens the secrets of webhooks.
#[derive(Clone)]
pub(crate) struct Vault(Option<Arc<Keyring>>);

/// Secrets that were read.
pub(crate) struct Opened {
    pub(crate) secrets: Secrets,
    /// They stand there in clear, or sealed by a key that seals no more: they want to be written again.
    pub(crate) stale: bool,
}

impl Vault {
    /// With these keys; without any, what is stored stands there in clear, as mail does.
    pub(crate) fn new(keys: Option<Arc<Keyring>>) -> Self {
        Vault(keys)
    }

    /// As they are to be stored in a row. `what` is the name of the rows.
    pub(crate) fn seal(&self, what: &str, id: Id, secrets: &Secrets) -> Result<Vec<u8>, StoreError> {
        let stored = secrets.to_stored();
        let Some(keys) = &self.0 else { return Ok(stored) };
        let sealed = keys.seal(&place(what, id), &stored);
        let sealed = sealed.map_err(|why| StoreError::Failed(format!("seal the secrets of {id}: {why}").into()))?;
        Ok(sealed.as_bytes().to_vec())
    }

    /// What stands in a row.
    ///
    /// # Errors
    /// What cannot be read: nothing goes on unsigned or unchecked.
    pub(crate) fn open(&self, what: &str, id: Id, stored: &[u8]) -> Result<Opened, StoreError> {
        let damaged = |why: String| StoreError::Damaged(format!("the secrets of {id}: {why}").into());
        // From before there were keys: JSON, which no sealed value looks like.
        if let Some(secrets) = Secrets::from_stored(stored) {
            return Ok(Opened { secrets, stale: self.0.is_some() });
        }
        let sealed = Sealed::from_bytes(stored).map_err(|why| damaged(why.to_string()))?;
        let keys =
            self.0.as_ref().ok_or_else(|| damaged(format!("sealed by the key {}, and none is given", sealed.key())))?;
        let opened = keys.open(&place(what, id), &sealed).map_err(|why| damaged(why.to_string()))?;
        let secrets =
            Secrets::from_stored(opened.reveal()).ok_or_else(|| damaged("what was sealed is none".to_owned()))?;
        Ok(Opened { secrets, stale: !keys.is_current(&sealed) })
    }
}

fn place(what: &str, id: Id) -> Place {
    Place::new("streams").part(what).part(&id.to_string())
}
