//! Hooks in the store, sealed.

use crate::keys;
use bytes::Bytes;
use std::sync::Arc;
use uuid::Uuid;
use waybill_event_hooks_core::{Catalogue, Dormant, Hook};
use waybill_sealing::{Keyring, Place, Sealed};
use waybill_spool::{Batch, Durability, Store, StoreError, Table};

/// More hooks than anybody has.
const MOST: usize = 100_000;

/// Seals and opens rows.
#[derive(Clone)]
pub(crate) struct Rows {
    store: Arc<dyn Store>,
    keys: Arc<Keyring>,
}

/// A hook as it was found.
pub(crate) enum Found {
    Hook(Box<Hook>),
    /// It is kept, and cannot run: its key is missing, or its source is not published any more.
    Dormant(Box<Dormant>),
}

impl Rows {
    pub(crate) fn new(store: Arc<dyn Store>, keys: Arc<Keyring>) -> Self {
        Rows { store, keys }
    }

    fn seal(&self, place: &Place, secret: &[u8]) -> Result<Bytes, StoreError> {
        let sealed = self.keys.seal(place, secret);
        let sealed = sealed.map_err(|error| StoreError::Damaged(format!("seal an event hook: {error}").into()))?;
        Ok(Bytes::copy_from_slice(sealed.as_bytes()))
    }

    fn open(&self, place: &Place, bytes: &[u8]) -> Result<(Vec<u8>, bool), String> {
        let sealed = Sealed::from_bytes(bytes).map_err(|error| error.to_string())?;
        let opened = self.keys.open(place, &sealed).map_err(|error| error.to_string())?;
        Ok((opened.reveal().to_vec(), self.keys.is_current(&sealed)))
    }

    /// All of them. One that is sealed with an old key is sealed anew.
    pub(crate) async fn all(&self, catalogue: &Catalogue) -> Result<Vec<Found>, StoreError> {
        let below = keys::hooks();
        let mut found = Vec::new();
        let mut renewed = Batch::new();
        for (key, value) in self.store.range(Table::State, below.clone(), below.end(), MOST).await? {
            let Some(id) = keys::hook_id(&key) else { continue };
            let dormant = |why, stored: Option<&[u8]>| Found::Dormant(Box::new(Dormant::new(id, why, stored)));
            let (stored, current) = match self.open(&keys::hook_place(id), &value) {
                Ok(opened) => opened,
                Err(why) => {
                    found.push(dormant(why, None));
                    continue;
                }
            };
            if !current {
                renewed.set(Table::State, key, self.seal(&keys::hook_place(id), &stored)?);
            }
            found.push(match Hook::from_stored(&stored, catalogue) {
                Ok(hook) => Found::Hook(Box::new(hook)),
                Err(error) => dormant(error.to_string(), Some(stored.as_slice())),
            });
        }
        if !renewed.is_empty() {
            self.store.commit(renewed, Durability::Synced).await?;
        }
        Ok(found)
    }

    pub(crate) fn set(&self, batch: &mut Batch, hook: &Hook) -> Result<(), StoreError> {
        batch.set(Table::State, keys::hook(hook.id), self.seal(&keys::hook_place(hook.id), &hook.to_stored())?);
        Ok(())
    }

    pub(crate) fn unset(&self, batch: &mut Batch, id: Uuid) {
        batch.unset(Table::State, keys::hook(id));
    }

    /// What addresses are hashed with: made once, so that the same address is the same hash for as long as a hook lives.
    pub(crate) async fn hash_key(&self) -> Result<Arc<[u8]>, StoreError> {
        let (row, place) = (keys::hash_key(), keys::hash_key_place());
        let found = self.store.range(Table::State, row.clone(), row.after(), 1).await?;
        let opened = match found.first() {
            // Whoever starts a daemon without that key has given it up.
            Some((_, value)) if self.is_locked(value) => {
                tracing::warn!(
                    "the key of hashed addresses is lost with the one that sealed it: hashes differ from now on"
                );
                None
            }
            Some((_, value)) => Some(self.open(&place, value).map_err(|why| {
                StoreError::Damaged(format!("the key of hashed addresses: {why}; restore it from a backup").into())
            })?),
            None => None,
        };
        let bytes = match opened {
            Some((bytes, true)) => return Ok(bytes.into()),
            Some((bytes, false)) => bytes,
            None => rand::random::<[u8; 32]>().to_vec(),
        };
        let mut batch = Batch::new();
        batch.set(Table::State, row, self.seal(&place, &bytes)?);
        self.store.commit(batch, Durability::Synced).await?;
        Ok(bytes.into())
    }

    fn is_locked(&self, value: &[u8]) -> bool {
        Sealed::from_bytes(value).is_ok_and(|sealed| !self.keys.holds(sealed.key()))
    }
}
