use serde::Deserialize;
use std::num::{NonZeroU16, NonZeroU32, NonZeroUsize};
use std::time::Duration;
use waybill_types::Objects;

/// `rocks_params` of a policy: names as KumoMTA has them, so that its scripts run. Names without a meaning here are
/// taken and do nothing; a name that nobody knows is refused.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// Threads for flushes and compactions.
    pub(crate) increase_parallelism: Option<NonZeroU16>,
    /// A budget for memtables. The style of compaction stays ours: trimming the journal relies on it.
    optimize_level_style_compaction: Option<NonZeroUsize>,
    optimize_universal_style_compaction: Option<NonZeroUsize>,
    /// Always on here: without it a failed write would go unnoticed.
    #[serde(rename = "paranoid_checks")]
    _paranoid_checks: Option<bool>,
    compression_type: Option<Compression>,
    pub(crate) compaction_readahead_size: Option<usize>,
    pub(crate) level_compaction_dynamic_level_bytes: Option<bool>,
    pub(crate) max_open_files: Option<NonZeroU32>,
    log_level: Option<LogLevel>,
    pub(crate) memtable_huge_page_size: Option<usize>,
    #[serde(with = "waybill_types::serde_duration_opt")]
    pub(crate) log_file_time_to_roll: Option<Duration>,
    #[serde(with = "waybill_types::serde_duration_opt")]
    pub(crate) obsolete_files_period: Option<Duration>,
    /// One thread writes, so there is nothing to limit.
    #[serde(rename = "limit_concurrent_stores")]
    _limit_concurrent_stores: Option<NonZeroUsize>,
    /// Reads that may wait for the disk at the same time.
    pub(crate) limit_concurrent_loads: Option<NonZeroUsize>,
    /// As for stores.
    #[serde(rename = "limit_concurrent_removes")]
    _limit_concurrent_removes: Option<NonZeroUsize>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
enum Compression {
    None,
    Snappy,
    Zlib,
    Bz2,
    Lz4,
    Lz4hc,
    Zstd,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
enum LogLevel {
    Debug,
    Info,
    Warn,
    Error,
    Fatal,
    Header,
}

/// Says what is wrong with the policy's `rocks_params`, without opening anything.
///
/// # Errors
/// What is wrong, naming the key.
pub fn check(value: &serde_json::Value) -> Result<(), String> {
    Params::parse(value).map(|_| ())
}

impl Params {
    /// From what a policy gave; nothing at all is no parameter.
    pub(crate) fn parse(value: &serde_json::Value) -> Result<Params, String> {
        let params: Params = match value {
            serde_json::Value::Null => return Ok(Params::default()),
            // An empty Lua table may look like an empty list.
            serde_json::Value::Array(items) if items.is_empty() => return Ok(Params::default()),
            value => serde_path_to_error::deserialize(Objects::of_table(value)).map_err(|error| {
                let (name, why) = (error.path().to_string(), error.inner().to_string());
                // An unknown name is in the text already.
                if name == "." || why.contains(&format!("`{name}`")) { why } else { format!("{name}: {why}") }
            })?,
        };
        if params.optimize_level_style_compaction.is_some() && params.optimize_universal_style_compaction.is_some() {
            return Err(
                "optimize_level_style_compaction and optimize_universal_style_compaction exclude each other".to_owned()
            );
        }
        if let Some(other @ (Compression::Snappy | Compression::Zlib | Compression::Bz2 | Compression::Zstd)) =
            params.compression_type
        {
            tracing::warn!(compression_type = ?other, "this compression is not built in, the spool uses Lz4");
        }
        Ok(params)
    }

    /// Bytes of one large memtable: a quarter of the budget, as RocksDB shares it out.
    pub(crate) fn memtable_bytes(&self) -> Option<usize> {
        let budget = self.optimize_level_style_compaction.or(self.optimize_universal_style_compaction);
        budget.map(|budget| budget.get() / 4)
    }

    /// How blocks are compressed.
    pub(crate) fn compression(&self) -> rocksdb::DBCompressionType {
        match self.compression_type {
            Some(Compression::None) => rocksdb::DBCompressionType::None,
            Some(Compression::Lz4hc) => rocksdb::DBCompressionType::Lz4hc,
            _ => rocksdb::DBCompressionType::Lz4,
        }
    }

    /// What RocksDB writes to its own LOG file.
    pub(crate) fn log_level(&self) -> rocksdb::LogLevel {
        match self.log_level {
            Some(LogLevel::Debug) => rocksdb::LogLevel::Debug,
            Some(LogLevel::Info) | None => rocksdb::LogLevel::Info,
            Some(LogLevel::Warn) => rocksdb::LogLevel::Warn,
            Some(LogLevel::Error) => rocksdb::LogLevel::Error,
            Some(LogLevel::Fatal) => rocksdb::LogLevel::Fatal,
            Some(LogLevel::Header) => rocksdb::LogLevel::Header,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_parameters_of_a_kumomta_policy_are_taken() {
        let params = Params::parse(&json!({
            "increase_parallelism": 4, "optimize_level_style_compaction": 67_108_864, "paranoid_checks": true,
            "compression_type": "Zstd", "compaction_readahead_size": 2_097_152, "max_open_files": 1000,
            "level_compaction_dynamic_level_bytes": true, "log_level": "Warn", "memtable_huge_page_size": 2_097_152,
            "log_file_time_to_roll": "1 day", "obsolete_files_period": 3600,
            "limit_concurrent_stores": 8, "limit_concurrent_loads": 8, "limit_concurrent_removes": 8,
        }))
        .unwrap();
        assert_eq!(params.memtable_bytes(), Some(16_777_216));
        assert_eq!(params.log_file_time_to_roll, Some(Duration::from_secs(86_400)));
        assert!(matches!(params.compression(), rocksdb::DBCompressionType::Lz4));
        for nothing in [json!(null), json!({}), json!([])] {
            assert!(Params::parse(&nothing).unwrap().max_open_files.is_none());
        }
    }

    #[test]
    fn a_parameter_that_nobody_knows_is_refused_by_name() {
        let error = Params::parse(&json!({ "max_open_flies": 10 })).unwrap_err();
        assert!(error.contains("max_open_flies") && error.contains("max_open_files"), "{error}");
        let both = json!({ "optimize_level_style_compaction": 1, "optimize_universal_style_compaction": 1 });
        assert!(Params::parse(&both).unwrap_err().contains("exclude"));
        assert!(Params::parse(&json!({ "compression_type": "lzma" })).is_err());
        assert!(Params::parse(&json!("fast")).is_err());
        assert!(Params::parse(&json!([1])).unwrap_err().contains("expected a table with names"));
        for name in
            ["increase_parallelism", "max_open_files", "optimize_level_style_compaction", "limit_concurrent_loads"]
        {
            for wrong in [json!(0), json!(-1), json!(1.5)] {
                let error = Params::parse(&json!({ name: wrong })).unwrap_err();
                assert!(error.starts_with(name) && error.contains("expected a nonzero"), "{error}");
            }
        }
    }
}
