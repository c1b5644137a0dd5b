//! How long dead letters are kept.

use crate::layout;
use bytes::Bytes;
use std::collections::HashMap;
use waybill_spool::{Batch, Durability, Key, Store, StoreError, Table};
use waybill_types::{Offset, Timestamp};

/// Dead letters that are read or dropped at a time.
const PAGE: usize = 1000;
/// More consumers than anybody has.
const MOST: usize = 10_000;

/// Drops the letters that were written before `horizon`, and tells how many.
pub(crate) async fn drop_older(store: &dyn Store, horizon: Timestamp) -> Result<u64, StoreError> {
    let mut dropped = 0;
    for consumer in consumers(store).await? {
        let from = layout::dead_letters(&consumer);
        let until = layout::dead_key(&consumer, horizon, Offset::ZERO);
        loop {
            let old = store.range(Table::Dead, from.clone(), until.clone(), PAGE).await?;
            let last = old.len() < PAGE;
            dropped += drop_all(store, &consumer, old.into_iter().map(|(key, _)| key)).await?;
            if last {
                break;
            }
        }
    }
    Ok(dropped)
}

/// Drops the oldest letters, whosesoever they are, until the others take no more than `most` bytes, and tells how many.
pub(crate) async fn drop_beyond(store: &dyn Store, most: u64) -> Result<u64, StoreError> {
    let mut total = 0u64;
    for consumer in consumers(store).await? {
        let (mut from, end) = (layout::dead_letters(&consumer), layout::dead_letters(&consumer).end());
        loop {
            let page = store.range(Table::Dead, from, end.clone(), PAGE).await?;
            total += page.iter().map(|(key, value)| weight(key, value)).sum::<u64>();
            match page.last() {
                Some((key, _)) if page.len() == PAGE => from = key.after(),
                _ => break,
            }
        }
    }
    let mut dropped = 0;
    while total > most {
        let Some((consumer, second)) = oldest(store).await? else { break };
        let all = layout::dead_letters(&consumer);
        let mut drop = Vec::new();
        for (key, value) in store.range(Table::Dead, all.clone(), all.end(), PAGE).await? {
            // The turn is another's, but one letter goes in any case.
            let turn = drop.is_empty() || second.is_none_or(|second| layout::dead_since(&key) <= Some(second));
            if total <= most || !turn {
                break;
            }
            total = total.saturating_sub(weight(&key, &value));
            drop.push(key);
        }
        dropped += drop_all(store, &consumer, drop.into_iter()).await?;
    }
    Ok(dropped)
}

/// Who has the oldest letter, and how old that of the next one is.
async fn oldest(store: &dyn Store) -> Result<Option<(String, Option<Timestamp>)>, StoreError> {
    let mut first = Vec::new();
    for consumer in consumers(store).await? {
        let all = layout::dead_letters(&consumer);
        if let Some((key, _)) = store.range(Table::Dead, all.clone(), all.end(), 1).await?.first() {
            first.push((layout::dead_since(key).unwrap_or(Timestamp::EPOCH), consumer));
        }
    }
    first.sort();
    let second = first.get(1).map(|(since, _)| *since);
    Ok(first.into_iter().next().map(|(_, consumer)| (consumer, second)))
}

/// Everybody who has dead letters, also those whom the store does not know any more.
async fn consumers(store: &dyn Store) -> Result<Vec<String>, StoreError> {
    let (mut from, end) = (Key::new(), Key::new().end());
    let mut consumers = Vec::new();
    while let Some((key, _)) = store.range(Table::Dead, from, end.clone(), 1).await?.into_iter().next() {
        from = match key.read().text() {
            Some(name) => {
                consumers.push(name.to_owned());
                layout::dead_letters(name).end()
            }
            None => key.after(),
        };
    }
    Ok(consumers)
}

fn weight(key: &Key, value: &[u8]) -> u64 {
    (key.as_bytes().len() + value.len()) as u64
}

/// Drops letters of a consumer, and counts them in the same batch.
async fn drop_all(store: &dyn Store, consumer: &str, keys: impl Iterator<Item = Key>) -> Result<u64, StoreError> {
    let mut batch = Batch::new();
    keys.for_each(|key| batch.unset(Table::Dead, key));
    let count = batch.ops().len() as u64;
    if count > 0 {
        let total = layout::dropped_key(consumer);
        let before = store.range(Table::State, total.clone(), total.after(), 1).await?;
        let before = before.first().map_or(0, |(_, value)| layout::number(value));
        batch.set(Table::State, total, layout::number_value(before + count));
        store.commit(batch, Durability::Written).await?;
    }
    Ok(count)
}

/// How many letters of each consumer were dropped.
pub(crate) async fn dropped(store: &dyn Store) -> Result<HashMap<String, u64>, StoreError> {
    let all = layout::all_dropped();
    let found = store.range(Table::State, all.clone(), all.end(), MOST).await?;
    let named = |(key, value): (Key, Bytes)| {
        let mut parts = key.read();
        parts.text();
        Some((parts.text()?.to_owned(), layout::number(&value)))
    };
    Ok(found.into_iter().filter_map(named).collect())
}

/// How many letters the replays of each hook left with it.
pub(crate) async fn left(store: &dyn Store) -> Result<HashMap<String, u64>, StoreError> {
    let all = layout::all_left();
    let mut left: HashMap<String, u64> = HashMap::new();
    for (key, value) in store.range(Table::State, all.clone(), all.end(), MOST).await? {
        let mut parts = key.read();
        parts.text();
        if let Some(hook) = parts.text() {
            *left.entry(hook.to_owned()).or_default() += layout::number(&value);
        }
    }
    Ok(left)
}

#[cfg(test)]
mod tests {
    use super::*;
    use waybill_journal_core::DeadReason;
    use waybill_spool::MemoryStore;

    /// A letter a second for each name, of about a hundred bytes.
    fn letters(names: &[&str]) -> MemoryStore {
        let store = MemoryStore::new();
        let letter = layout::DeadLetter::new(None, 0, &DeadReason::NoQueue, Bytes::new());
        let mut batch = Batch::new();
        for (second, name) in (0..).zip(names) {
            let key = layout::dead_key(name, Timestamp::from_secs(second), Offset(7));
            batch.set(Table::Dead, key, letter.encode());
        }
        store.apply(batch);
        store
    }

    async fn left(store: &MemoryStore) -> Vec<(String, i64)> {
        let all = store.range(Table::Dead, Key::new(), Key::new().end(), 100).await.unwrap();
        let name = |key: &Key| (key.read().text().unwrap().to_owned(), layout::dead_since(key).unwrap().secs());
        all.iter().map(|(key, _)| name(key)).collect()
    }

    #[tokio::test]
    async fn old_letters_go_whoever_wrote_them() {
        let store = letters(&["a", "b", "a", "gone", "b"]);
        assert_eq!(drop_older(&store, Timestamp::from_secs(3)).await.unwrap(), 3);
        assert_eq!(left(&store).await, [("b".to_owned(), 4), ("gone".to_owned(), 3)]);
        assert_eq!(drop_older(&store, Timestamp::from_secs(5)).await.unwrap(), 2);
        let counted = dropped(&store).await.unwrap();
        assert_eq!(counted, HashMap::from([("a".to_owned(), 2), ("b".to_owned(), 2), ("gone".to_owned(), 1)]));
    }

    #[tokio::test]
    async fn the_oldest_letters_make_room_for_the_others() {
        let store = letters(&["a", "b", "b", "a", "a", "b"]);
        let size = store.range(Table::Dead, Key::new(), Key::new().end(), 1).await.unwrap();
        let size = weight(&size[0].0, &size[0].1);
        assert_eq!(drop_beyond(&store, 6 * size).await.unwrap(), 0);
        assert_eq!(drop_beyond(&store, 3 * size).await.unwrap(), 3);
        assert_eq!(left(&store).await, [("a".to_owned(), 3), ("a".to_owned(), 4), ("b".to_owned(), 5)]);
    }
}
