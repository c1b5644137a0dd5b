//! Hooks in the store, sealed.

use crate::keys;
use bytes::Bytes;
use std::sync::Arc;
use uuid::Uuid;
use waybill_event_hooks_core::{Catalogue, Hook};
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
    Dormant(Uuid, String),
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
            let opened = self.open(&keys::hook_place(id), &value);
            let hook = opened.and_then(|(stored, current)| {
                let hook = Hook::from_stored(&stored, catalogue).map_err(|error| error.to_string())?;
                Ok((hook, stored, current))
            });
            match hook {
                Ok((hook, stored, current)) => {
                    if !current {
                        renewed.set(Table::State, key, self.seal(&keys::hook_place(id), &stored)?);
                    }
                    found.push(Found::Hook(Box::new(hook)));
                }
                Err(why) => found.push(Found::Dormant(id, why)),
            }
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
        let key = keys::hash_key();
        let found = self.store.range(Table::State, key.clone(), key.after(), 1).await?;
        if let Some((_, value)) = found.first() {
            let opened = self.open(&keys::hash_key_place(), value);
            let (bytes, _) = opened.map_err(|why| {
                StoreError::Damaged(
                    format!("the key of hashed addresses: {why}; give the key back, or remove hooks").into(),
                )
            })?;
            return Ok(bytes.into());
        }
        let minted: [u8; 32] = rand::random();
        let mut batch = Batch::new();
        batch.set(Table::State, key, self.seal(&keys::hash_key_place(), &minted)?);
        self.store.commit(batch, Durability::Synced).await?;
        Ok(Arc::new(minted))
    }
}
