//! What is kept of logs, offsets and webhooks beside their messages: rows of JSON in the store.

use crate::keys;
use crate::log::failed;
use crate::vault::{Opened, Vault};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;
use std::sync::Arc;
use waybill_runtime::Stop;
use waybill_spool::{Batch, Durability, Key, Store, StoreError, Table};
use waybill_streams_core::{
    Delivery, Egress, Error, Filter, Id, Ingress, Kind, Log, ParkedRow, Progress, RowChanges, Secrets, StoredOffset,
};

/// Reads and writes the rows.
#[derive(Clone)]
pub(crate) struct Registry {
    store: Arc<dyn Store>,
    vault: Vault,
}

/// A log with its number in the store.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct LogRow {
    pub(crate) number: u64,
    pub(crate) log: Log,
}

/// An egress webhook with all that is kept of it.
pub(crate) struct EgressRow {
    pub(crate) egress: Egress,
    pub(crate) keys: Secrets,
    pub(crate) delivery: Delivery,
    pub(crate) parked: Vec<ParkedRow>,
}

/// What goes with a log.
#[derive(Default)]
pub(crate) struct Hanging {
    pub(crate) offsets: Vec<Id>,
    pub(crate) webhooks: Vec<Id>,
    pub(crate) filters: Vec<Id>,
    pub(crate) ingress: Vec<Id>,
}

/// Keys that are removed at a time.
const PAGE: usize = 256;

impl Registry {
    pub(crate) fn new(store: Arc<dyn Store>, vault: Vault) -> Self {
        Registry { store, vault }
    }

    /// All rows below a key, as JSON.
    async fn rows<T: DeserializeOwned>(&self, below: Key) -> Result<Vec<T>, StoreError> {
        let found = self.store.range(Table::State, below.clone(), below.end(), usize::MAX).await?;
        let read = |(key, value): (Key, bytes::Bytes)| {
            serde_json::from_slice(&value).map_err(|error| StoreError::Damaged(format!("{key:?}: {error}").into()))
        };
        found.into_iter().map(read).collect()
    }

    async fn row(&self, key: Key) -> Result<Option<bytes::Bytes>, StoreError> {
        let found = self.store.range(Table::State, key.clone(), key.after(), 1).await?;
        Ok(found.into_iter().next().map(|(_, value)| value))
    }

    pub(crate) async fn logs(&self) -> Result<Vec<LogRow>, StoreError> {
        self.rows(keys::logs()).await
    }

    /// The id of the built-in log; `minted` becomes it where there is none yet.
    pub(crate) async fn events_id(&self, minted: Id) -> Result<Id, StoreError> {
        if let Some(value) = self.row(keys::events_id()).await? {
            let text = std::str::from_utf8(&value).unwrap_or_default();
            return Id::parse(Kind::Log, text)
                .map_err(|error| StoreError::Damaged(format!("the id of the log of mail events: {error}").into()));
        }
        let mut batch = Batch::new();
        batch.set(Table::State, keys::events_id(), minted.to_string());
        self.store.commit(batch, Durability::Synced).await?;
        Ok(minted)
    }

    /// Stores a new log under a number that none had before it. `told` is what others hear of it, as in all that changes
    /// something.
    pub(crate) async fn create_log(&self, log: &Log, told: Batch) -> Result<LogRow, StoreError> {
        let number = self.row(keys::next_number()).await?.and_then(|value| keys::number_of(&value)).unwrap_or(0);
        let row = LogRow { number, log: log.clone() };
        let mut batch = told;
        batch.set(Table::State, keys::next_number(), keys::number_value(number + 1));
        batch.set(Table::State, keys::of(keys::logs(), log.log_id), json(&row));
        self.store.commit(batch, Durability::Synced).await?;
        Ok(row)
    }

    pub(crate) async fn update_log(&self, row: &LogRow, told: Batch) -> Result<(), StoreError> {
        let mut batch = told;
        batch.set(Table::State, keys::of(keys::logs(), row.log.log_id), json(row));
        self.store.commit(batch, Durability::Synced).await.map(drop)
    }

    /// Forgets a log and what hangs on it, and remembers that its messages are to be removed.
    pub(crate) async fn delete_log(&self, row: &LogRow, hanging: &Hanging, told: Batch) -> Result<(), StoreError> {
        let mut batch = told;
        batch.unset(Table::State, keys::of(keys::logs(), row.log.log_id));
        batch.set(Table::State, keys::gone().number(row.number), bytes::Bytes::new());
        hanging.offsets.iter().for_each(|id| batch.unset(Table::State, keys::of(keys::offsets(), *id)));
        for id in &hanging.webhooks {
            unset_egress(&mut batch, *id);
            for row in self.parked(*id).await? {
                batch.unset(Table::State, keys::parked(*id).number(row.offset));
            }
        }
        hanging.filters.iter().for_each(|id| unset_filter(&mut batch, *id));
        hanging.ingress.iter().for_each(|id| unset_ingress(&mut batch, *id));
        self.store.commit(batch, Durability::Synced).await.map(drop)
    }

    /// Removes the messages of deleted logs, page by page. Goes on where it was when it is called again.
    pub(crate) async fn remove_gone(&self, stop: &Stop) -> Result<(), StoreError> {
        let below = keys::gone();
        for (key, _) in self.store.range(Table::State, below.clone(), below.end(), usize::MAX).await? {
            let mut parts = key.read();
            let (_, _, Some(number)) = (parts.text(), parts.text(), parts.number()) else { continue };
            let all = keys::log(number);
            loop {
                if stop.is_requested() {
                    return Ok(());
                }
                let found = self.keys(Table::Logs, &all, PAGE).await?;
                let last = found.len() < PAGE;
                let mut batch = Batch::new();
                found.into_iter().for_each(|key| batch.unset(Table::Logs, key));
                if last {
                    batch.unset(Table::State, key);
                    self.store.commit(batch, Durability::Written).await?;
                    break;
                }
                self.store.commit(batch, Durability::Written).await?;
            }
        }
        Ok(())
    }

    /// The first keys below this one. What stands there may be large, and is left where it is.
    async fn keys(&self, table: Table, below: &Key, most: usize) -> Result<Vec<Key>, StoreError> {
        let found = Arc::new(Mutex::new(Vec::new()));
        let shown = found.clone();
        let see = move |key: &[u8], _: &[u8]| {
            let mut found = shown.lock();
            found.push(Key::from_bytes(key));
            if found.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        self.store.walk(table, below.clone(), below.end(), Box::new(see)).await?;
        Ok(std::mem::take(&mut *found.lock()))
    }

    pub(crate) async fn offsets(&self) -> Result<Vec<StoredOffset>, StoreError> {
        self.rows(keys::offsets()).await
    }

    pub(crate) async fn offset(&self, id: Id) -> Result<Option<StoredOffset>, Error> {
        let found = self.row(keys::of(keys::offsets(), id)).await.map_err(|error| failed(&error))?;
        Ok(found.and_then(|value| serde_json::from_slice(&value).ok()))
    }

    pub(crate) async fn set_offset(&self, offset: &StoredOffset) -> Result<(), StoreError> {
        self.set(keys::of(keys::offsets(), offset.offset_id), json(offset)).await
    }

    pub(crate) async fn delete_offset(&self, id: Id) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        batch.unset(Table::State, keys::of(keys::offsets(), id));
        self.store.commit(batch, Durability::Synced).await.map(drop)
    }

    /// All egress webhooks. One whose secrets cannot be read is an error: it must not go on unsigned.
    pub(crate) async fn egress(&self) -> Result<Vec<EgressRow>, StoreError> {
        let mut rows = Vec::new();
        for egress in self.rows::<Egress>(keys::egress()).await? {
            let id = egress.webhook_id;
            let damaged = |what: &str| StoreError::Damaged(format!("the {what} of {id} cannot be read").into());
            let Opened { secrets, lost, .. } = self.secrets(keys::EGRESS_KEYS, id).await?;
            let position = self.row(keys::of(keys::egress_positions(), id)).await?;
            let delivery = position.and_then(|value| serde_json::from_slice(&value).ok());
            let mut delivery: Delivery = delivery.ok_or_else(|| damaged("position"))?;
            if lost {
                tracing::error!(webhook = %id, "its secret is lost with its key: it has a new one, and is paused until its receiver knows that");
                delivery.lose_secret();
                self.set_egress(&egress, Some(&secrets), Some(&delivery), &[], Batch::new()).await?;
            }
            let parked = self.parked(id).await?;
            rows.push(EgressRow { egress, keys: secrets, delivery, parked });
        }
        Ok(rows)
    }

    /// Secrets. What cannot be read is an error: nothing goes on unsigned or unchecked. What stands there in clear, or
    /// sealed by a key that seals no more, is sealed anew. New ones in place of lost ones are not stored here.
    async fn secrets(&self, what: &str, id: Id) -> Result<Opened, StoreError> {
        let key = keys::of(keys::secrets(what), id);
        let missing = || StoreError::Damaged(format!("the secrets of {id} are missing").into());
        let stored = self.row(key.clone()).await?.ok_or_else(missing)?;
        let opened = self.vault.open(what, id, &stored)?;
        if opened.stale && !opened.lost {
            self.set(key, self.vault.seal(what, id, &opened.secrets)?).await?;
        }
        Ok(opened)
    }

    /// All ingress webhooks.
    pub(crate) async fn ingress(&self) -> Result<Vec<(Ingress, Secrets)>, StoreError> {
        let mut rows = Vec::new();
        for ingress in self.rows::<Ingress>(keys::ingress()).await? {
            let id = ingress.webhook_id;
            let Opened { secrets, lost, .. } = self.secrets(keys::INGRESS_KEYS, id).await?;
            if lost {
                tracing::error!(webhook = %id, "its secret is lost with its key: it believes nobody until it is given one");
                self.set_ingress(&ingress, &secrets).await?;
            }
            rows.push((ingress, secrets));
        }
        Ok(rows)
    }

    /// Stores an ingress webhook with its secrets.
    pub(crate) async fn set_ingress(&self, ingress: &Ingress, secrets: &Secrets) -> Result<(), StoreError> {
        let id = ingress.webhook_id;
        let mut batch = Batch::new();
        batch.set(Table::State, keys::of(keys::ingress(), id), json(ingress));
        batch.set(
            Table::State,
            keys::of(keys::secrets(keys::INGRESS_KEYS), id),
            self.vault.seal(keys::INGRESS_KEYS, id, secrets)?,
        );
        self.store.commit(batch, Durability::Synced).await.map(drop)
    }

    pub(crate) async fn delete_ingress(&self, id: Id) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        unset_ingress(&mut batch, id);
        self.store.commit(batch, Durability::Synced).await.map(drop)
    }

    /// Stores a webhook; with it its secrets and its position, where they are given.
    pub(crate) async fn set_egress(
        &self,
        egress: &Egress,
        secrets: Option<&Secrets>,
        delivery: Option<&Delivery>,
        rows: &[RowChanges],
        told: Batch,
    ) -> Result<(), StoreError> {
        let id = egress.webhook_id;
        let mut batch = told;
        change_rows(&mut batch, id, rows);
        batch.set(Table::State, keys::of(keys::egress(), id), json(egress));
        if let Some(secrets) = secrets {
            batch.set(
                Table::State,
                keys::of(keys::secrets(keys::EGRESS_KEYS), id),
                self.vault.seal(keys::EGRESS_KEYS, id, secrets)?,
            );
        }
        if let Some(delivery) = delivery {
            batch.set(Table::State, keys::of(keys::egress_positions(), id), json(delivery));
        }
        self.store.commit(batch, Durability::Synced).await.map(drop)
    }

    /// Where a webhook stands. Written, not synced: after a loss of power a message may be sent twice, never skipped.
    pub(crate) async fn set_position(
        &self,
        id: Id,
        delivery: &Delivery,
        rows: &[RowChanges],
    ) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        change_rows(&mut batch, id, rows);
        batch.set(Table::State, keys::of(keys::egress_positions(), id), json(delivery));
        // Nothing is sent before this is done.
        self.store.commit_here(batch).await.map(drop)
    }

    pub(crate) async fn delete_egress(&self, id: Id, told: Batch) -> Result<(), StoreError> {
        let mut batch = told;
        unset_egress(&mut batch, id);
        for row in self.parked(id).await? {
            batch.unset(Table::State, keys::parked(id).number(row.offset));
        }
        self.store.commit(batch, Durability::Synced).await.map(drop)
    }

    /// The messages of an egress webhook that wait behind their keys: no more than fit into memory.
    async fn parked(&self, id: Id) -> Result<Vec<ParkedRow>, StoreError> {
        let below = keys::parked(id);
        let found = self.store.range(Table::State, below.clone(), below.end(), usize::MAX).await?;
        let read = |(key, value): (Key, bytes::Bytes)| {
            let row = keys::parked_offset(&key).and_then(|offset| ParkedRow::decode(offset, value));
            row.ok_or_else(|| StoreError::Damaged(format!("a parked message of {id} cannot be read").into()))
        };
        found.into_iter().map(read).collect()
    }

    /// All filters with how far they have come.
    pub(crate) async fn filters(&self) -> Result<Vec<(Filter, Progress)>, StoreError> {
        let mut rows = Vec::new();
        for filter in self.rows::<Filter>(keys::filters()).await? {
            let id = filter.filter_id;
            let damaged = || StoreError::Damaged(format!("the position of {id} cannot be read").into());
            let position = self.row(keys::of(keys::filter_positions(), id)).await?;
            let progress = position.and_then(|value| serde_json::from_slice(&value).ok()).ok_or_else(damaged)?;
            rows.push((filter, progress));
        }
        Ok(rows)
    }

    /// Stores a filter with how far it has come.
    pub(crate) async fn set_filter(&self, filter: &Filter, progress: &Progress) -> Result<(), StoreError> {
        let (position, value) = filter_position(filter.filter_id, progress);
        let mut batch = Batch::new();
        batch.set(Table::State, keys::of(keys::filters(), filter.filter_id), json(filter));
        batch.set(Table::State, position, value);
        self.store.commit(batch, Durability::Synced).await.map(drop)
    }

    /// How far a filter has come where it copied nothing: what is lost of that is looked at again.
    pub(crate) async fn set_filter_position(&self, id: Id, progress: &Progress) -> Result<(), StoreError> {
        let (key, value) = filter_position(id, progress);
        let mut batch = Batch::new();
        batch.set(Table::State, key, value);
        self.store.commit(batch, Durability::Written).await.map(drop)
    }

    pub(crate) async fn delete_filter(&self, id: Id) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        unset_filter(&mut batch, id);
        self.store.commit(batch, Durability::Synced).await.map(drop)
    }

    async fn set(&self, key: Key, value: Vec<u8>) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        batch.set(Table::State, key, value);
        self.store.commit(batch, Durability::Synced).await.map(drop)
    }
}

/// The row that tells how far a filter has come, to be stored with what it copied.
pub(crate) fn filter_position(id: Id, progress: &Progress) -> (Key, bytes::Bytes) {
    (keys::of(keys::filter_positions(), id), json(progress).into())
}

fn unset_filter(batch: &mut Batch, id: Id) {
    for below in [keys::filters(), keys::filter_positions()] {
        batch.unset(Table::State, keys::of(below, id));
    }
}

fn change_rows(batch: &mut Batch, id: Id, rows: &[RowChanges]) {
    for RowChanges { set, unset } in rows {
        set.iter().for_each(|row| batch.set(Table::State, keys::parked(id).number(row.offset), row.encode()));
        unset.iter().for_each(|offset| batch.unset(Table::State, keys::parked(id).number(*offset)));
    }
}

fn unset_ingress(batch: &mut Batch, id: Id) {
    for below in [keys::ingress(), keys::secrets(keys::INGRESS_KEYS)] {
        batch.unset(Table::State, keys::of(below, id));
    }
}

fn unset_egress(batch: &mut Batch, id: Id) {
    for below in [keys::egress(), keys::secrets(keys::EGRESS_KEYS), keys::egress_positions()] {
        batch.unset(Table::State, keys::of(below, id));
    }
}

/// Structs of texts and numbers: this cannot fail.
fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}
