//! Whose directory it is, and what an operator is told when it cannot be used.

use std::fs;
use std::path::Path;
use waybill_spool::{Batch, Durability, Health, Key, Store, Table};
use waybill_spool_rocksdb::{OpenError, Options, RocksStore, Room};
use waybill_types::MinFree;

fn options(path: &Path) -> Options {
    let mut options = Options::new(path);
    (options.room, options.data_room) = (Room::NONE, Room::NONE);
    options
}

fn open(options: Options) -> Result<RocksStore, OpenError> {
    RocksStore::open_blocking(options)
}

/// The text of the error, which must name the path.
fn refusal(options: Options, path: &Path) -> String {
    let text = open(options).expect_err("it was opened").to_string();
    assert!(text.contains(path.to_str().unwrap()), "{text}");
    text
}

#[tokio::test]
async fn a_spool_that_is_open_is_refused_until_it_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(options(dir.path())).unwrap();
    let text = refusal(options(dir.path()), dir.path());
    assert!(text.contains(&format!("in use by process {}", std::process::id())), "{text}");
    // The one that has it is not disturbed.
    let mut batch = Batch::new();
    batch.set(Table::State, Key::new().text("key"), "value");
    store.commit(batch, Durability::Synced).await.unwrap();
    store.close().await.unwrap();
    drop(open(options(dir.path())).unwrap());
    assert!(!open(options(dir.path())).unwrap().was_clean(), "a dropped store was not closed");
}

#[test]
fn a_path_that_cannot_be_used_is_named_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let inside = file.join("spool");
    assert!(refusal(options(&inside), &inside).contains("Not a directory"));
    let mut with_data = options(&dir.path().join("meta"));
    with_data.data_path = Some(inside.clone());
    assert!(refusal(with_data, &inside).contains("Not a directory"));
}

#[test]
fn a_spool_of_kumomta_is_left_untouched() {
    let dir = tempfile::tempdir().unwrap();
    let (meta, data) = (dir.path().join("meta"), dir.path().join("data"));
    for path in [&meta, &data] {
        fs::create_dir_all(path.join("new")).unwrap();
        fs::create_dir_all(path.join("data")).unwrap();
    }
    let text = refusal(options(&meta), &meta);
    assert!(text.contains("spool of KumoMTA") && text.contains("let KumoMTA deliver"), "{text}");
    let mut with_data = options(&dir.path().join("elsewhere"));
    with_data.data_path = Some(data.clone());
    assert!(refusal(with_data, &data).contains("spool of KumoMTA"));
    assert_eq!(fs::read_dir(&meta).unwrap().count(), 2);
    assert_eq!(fs::read_dir(&data).unwrap().count(), 2);
}

#[test]
fn a_database_of_somebody_else_is_left_untouched() {
    let dir = tempfile::tempdir().unwrap();
    let (meta, data) = (dir.path().join("meta"), dir.path().join("data"));
    for path in [&meta, &data] {
        let mut theirs = rocksdb::Options::default();
        theirs.create_if_missing(true);
        rocksdb::DB::open(&theirs, path).unwrap().put("key", "value").unwrap();
    }
    assert!(refusal(options(&meta), &meta).contains("not Waybill's"));
    let mut with_data = options(&dir.path().join("elsewhere"));
    with_data.data_path = Some(data.clone());
    assert!(refusal(with_data, &data).contains("not Waybill's"));
    for path in [&meta, &data] {
        assert_eq!(rocksdb::DB::open_default(path).unwrap().get("key").unwrap().unwrap(), b"value");
    }
}

#[tokio::test]
async fn exchanged_paths_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let (meta, data) = (dir.path().join("meta"), dir.path().join("data"));
    let at = |meta: &Path, data: &Path| {
        let mut options = options(meta);
        options.data_path = Some(data.to_owned());
        options
    };
    open(at(&meta, &data)).unwrap().close().await.unwrap();
    assert!(data.is_dir());
    assert!(refusal(at(&data, &meta), &meta).contains("exchange the paths"));
    open(at(&meta, &data)).unwrap().close().await.unwrap();
    // One path for both is fine.
    open(at(&meta, &meta)).unwrap().close().await.unwrap();
}

#[tokio::test]
async fn a_spool_of_a_later_version_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    open(options(dir.path())).unwrap().close().await.unwrap();
    let columns = rocksdb::DB::list_cf(&rocksdb::Options::default(), dir.path()).unwrap();
    let db = rocksdb::DB::open_cf(&rocksdb::Options::default(), dir.path(), columns).unwrap();
    db.put(Key::new().text("format").as_bytes(), 2_u32.to_be_bytes()).unwrap();
    drop(db);
    assert!(refusal(options(dir.path()), dir.path()).contains("has format 2"));
}

#[tokio::test]
async fn a_spool_from_before_there_were_logs_opens_and_gets_their_table() {
    let dir = tempfile::tempdir().unwrap();
    let key = || Key::new().text("key");
    let set = |table| {
        let mut batch = Batch::new();
        batch.set(table, key(), "value");
        batch
    };
    let store = open(options(dir.path())).unwrap();
    store.commit(set(Table::State), Durability::Synced).await.unwrap();
    store.close().await.unwrap();
    let columns = rocksdb::DB::list_cf(&rocksdb::Options::default(), dir.path()).unwrap();
    let mut db = rocksdb::DB::open_cf(&rocksdb::Options::default(), dir.path(), columns).unwrap();
    db.drop_cf("logs").unwrap();
    drop(db);

    for _ in 0..2 {
        let store = open(options(dir.path())).unwrap();
        store.commit(set(Table::Logs), Durability::Synced).await.unwrap();
        for table in [Table::State, Table::Logs] {
            let found = store.range(table, key(), key().after(), 1).await.unwrap();
            assert_eq!(found, [(key(), "value".into())], "{table:?}");
        }
        store.close().await.unwrap();
    }
}

#[test]
fn parameters_of_kumomta_are_taken_and_unknown_ones_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut known = options(dir.path());
    known.params = serde_json::json!({
        "increase_parallelism": 4, "optimize_level_style_compaction": 67_108_864, "compression_type": "Lz4hc",
        "max_open_files": 100, "log_level": "Warn", "compaction_readahead_size": 1_048_576,
        "log_file_time_to_roll": "1 day", "obsolete_files_period": "6 hours", "limit_concurrent_loads": 2,
    });
    drop(open(known).unwrap());
    let mut unknown = options(dir.path());
    unknown.params = serde_json::json!({ "increase_paralelism": 4 });
    let text = open(unknown).unwrap_err().to_string();
    assert!(text.starts_with("rocks_params: unknown field `increase_paralelism`"), "{text}");
}

#[tokio::test]
async fn a_full_disk_stops_reception_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let mut full = options(&dir.path().join("meta"));
    full.data_path = Some(dir.path().join("data"));
    full.data_room.min_free_space = MinFree::Amount(u64::MAX);
    let store = open(full).unwrap();
    let Health::DiskFull(why) = store.health() else { panic!("{:?}", store.health()) };
    assert!(why.starts_with("disk is too full"), "{why}");
    let mut batch = Batch::new();
    batch.set(Table::State, Key::new().text("key"), "value");
    store.commit(batch, Durability::Synced).await.unwrap();
    store.close().await.unwrap();
}
