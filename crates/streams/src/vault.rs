//! Secrets as they stand in the store: sealed for their row, where there are keys.

use std::sync::Arc;
use waybill_sealing::{KeyId, Keyring, Place, Sealed};
use waybill_spool::StoreError;
use waybill_streams_core::{Id, Secrets, secret_from};

/// Seals and opens the secrets of webhooks.
#[derive(Clone)]
pub(crate) struct Vault {
    keys: Option<Arc<Keyring>>,
    /// Keys that an operator gave up.
    lost: Arc<[KeyId]>,
}

/// Secrets that were read.
pub(crate) struct Opened {
    pub(crate) secrets: Secrets,
    /// They stand there in clear, or sealed by a key that seals no more: they want to be written again.
    pub(crate) stale: bool,
    /// What was sealed is lost with its key, which an operator has said of it; these are new and known to nobody.
    pub(crate) lost: bool,
}

impl Vault {
    /// With these keys; without any, what is stored stands there in clear, as mail does.
    pub(crate) fn new(keys: Option<Arc<Keyring>>, lost: Vec<KeyId>) -> Self {
        Vault { keys, lost: lost.into() }
    }

    /// As they are to be stored in a row. `what` is the name of the rows.
    pub(crate) fn seal(&self, what: &str, id: Id, secrets: &Secrets) -> Result<Vec<u8>, StoreError> {
        let stored = secrets.to_stored();
        let Some(keys) = &self.keys else { return Ok(stored) };
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
            return Ok(Opened { secrets, stale: self.keys.is_some(), lost: false });
        }
        let sealed = Sealed::from_bytes(stored).map_err(|why| damaged(why.to_string()))?;
        let keys = self
            .keys
            .as_ref()
            .ok_or_else(|| damaged(format!("sealed by the key {}, and none is given", sealed.key())))?;
        if self.lost.contains(&sealed.key()) && !keys.holds(sealed.key()) {
            return Ok(Opened { secrets: Secrets::new(secret_from(rand::random())), stale: true, lost: true });
        }
        let opened = keys.open(&place(what, id), &sealed).map_err(|why| damaged(why.to_string()))?;
        let secrets =
            Secrets::from_stored(opened.reveal()).ok_or_else(|| damaged("what was sealed is none".to_owned()))?;
        Ok(Opened { secrets, stale: !keys.is_current(&sealed), lost: false })
    }
}

fn place(what: &str, id: Id) -> Place {
    Place::new("streams").part(what).part(&id.to_string())
}
