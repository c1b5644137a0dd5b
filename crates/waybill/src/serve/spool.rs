use super::plan::SpoolSection;
use anyhow::{Result, bail};
use serde_json::Value;
use std::path::PathBuf;
use waybill_spool::Durability;
use waybill_spool_rocksdb::Options;

/// One database for both spools: under the path of `meta`; the path of `data` is created and watched for room.
pub(crate) fn options(spools: &[SpoolSection]) -> Result<(Options, Durability)> {
    let find = |name: &str| spools.iter().find(|spool| spool.name == name);
    let (meta, data) = match (find("meta"), find("data")) {
        (Some(meta), data) => (meta, data),
        (None, Some(data)) => (data, None),
        (None, None) => bail!("No spools have been defined: call kumo.define_spool for 'data' and 'meta' in init"),
    };
    let mut options = Options::new(&meta.path);
    options.room = meta.room();
    options.params = meta.rocks_params.clone();
    if let Some(data) = data {
        options.data_path = Some(data.path.clone());
        options.data_room = data.room();
        options.params = both(&meta.rocks_params, &data.rocks_params);
    }
    let unsynced = [Some(meta), data].into_iter().flatten().all(|spool| spool.flush == Some(false));
    let durability = if unsynced { Durability::Written } else { Durability::Synced };
    Ok((options, durability))
}

/// There is one database: what `data` asks for counts where `meta` says nothing.
fn both(meta: &Value, data: &Value) -> Value {
    match (meta, data) {
        (Value::Object(meta), Value::Object(data)) => {
            let mut both = data.clone();
            both.extend(meta.clone());
            Value::Object(both)
        }
        (Value::Null, data) => data.clone(),
        // What is no table is refused where the parameters are read.
        (meta, _) => meta.clone(),
    }
}

/// The directories of the spools, by the name that metrics show.
pub(crate) fn disks(spools: &[SpoolSection]) -> impl Iterator<Item = (String, PathBuf)> {
    spools.iter().map(|spool| (format!("{} spool", spool.name), spool.path.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use waybill_spool_rocksdb::Room;
    use waybill_types::MinFree;

    fn spools(sections: &Value) -> Vec<SpoolSection> {
        serde_json::from_value(sections.clone()).unwrap()
    }

    #[test]
    fn each_spool_has_its_own_least_room_and_both_their_say_in_the_parameters() {
        let (options, durability) = options(&spools(&json!([
            {"name": "data", "path": "/d", "min_free_space": "5%", "rocks_params": {"a": 1, "b": 1}},
            {"name": "meta", "path": "/m", "min_free_inodes": 7, "rocks_params": {"b": 2}, "flush": false},
        ])))
        .unwrap();
        assert_eq!((options.path, options.data_path), ("/m".into(), Some("/d".into())));
        assert_eq!(options.room, Room { min_free_inodes: MinFree::Amount(7), ..Room::default() });
        assert_eq!(options.data_room, Room { min_free_space: MinFree::Percent(5.0), ..Room::default() });
        assert_eq!(options.params, json!({"a": 1, "b": 2}));
        assert_eq!(durability, Durability::Synced, "data did not ask for less");
    }

    #[test]
    fn one_spool_is_enough_and_none_is_an_error() {
        let (alone, durability) = options(&spools(&json!([{"name": "data", "path": "/d", "flush": false}]))).unwrap();
        assert_eq!((alone.path, alone.data_path), ("/d".into(), None));
        assert_eq!(durability, Durability::Written);
        let error = options(&[]).unwrap_err().to_string();
        assert!(error.starts_with("No spools have been defined"), "{error}");
    }
}
