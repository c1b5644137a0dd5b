//! How RocksDB is set up: an idle daemon is small, a busy one writes each byte as few times as possible.

use crate::columns::{Column, event_place};
use crate::params::Params;
use parking_lot::RwLock;
use rocksdb::compaction_filter::{CompactionFilter, Decision};
use rocksdb::compaction_filter_factory::{CompactionFilterContext, CompactionFilterFactory};
use rocksdb::{BlockBasedOptions, Cache, ColumnFamilyDescriptor, Options};
use std::collections::HashMap;
use std::ffi::CStr;
use std::num::NonZeroU32;
use std::sync::Arc;
use waybill_spool::{StreamId, Table};
use waybill_types::Offset;

const MIB: usize = 1024 * 1024;

/// Memtables of the columns that much is written to. A message that is delivered within the time that one of these
/// takes to fill is never written to a table file.
const MEMTABLE: usize = 16 * MIB;

/// Memtables of the columns that little is written to.
const SMALL_MEMTABLE: usize = 4 * MIB;

/// Shared by all columns, indexes and filters included.
const BLOCK_CACHE: usize = 16 * MIB;

/// Values from this size on go to blob files: compactions move only a reference to them.
const MIN_BLOB: u64 = 64 * 1024;

/// The log ends before it takes long to read at a start, also when a quiet column holds an old piece of it.
const MAX_LOG: u64 = 128 * 1024 * 1024;

/// Open files, unless the policy says otherwise.
const MAX_OPEN_FILES: u32 = 512;

/// Files of events are small, for trimming deletes whole files.
const EVENT_FILE: u64 = 32 * 1024 * 1024;

/// A file of events this old is looked through for trimmed ones that share it with others.
const EVENT_FILE_AGE: u64 = 2 * 24 * 3600;

/// The first offset of each stream that was not trimmed.
pub(crate) type Lows = Arc<RwLock<HashMap<StreamId, Offset>>>;

fn memtable(params: &Params) -> usize {
    params.memtable_bytes().unwrap_or(MEMTABLE).max(SMALL_MEMTABLE)
}

/// Room that opening the database may take: it writes out what the memtables held.
pub(crate) fn room_to_open(params: &Params) -> u64 {
    (4 * memtable(params) + 4 * SMALL_MEMTABLE) as u64
}

/// Options of the database as a whole.
pub(crate) fn database(params: &Params) -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_max_total_wal_size(MAX_LOG);
    options.set_bytes_per_sync(MIB as u64);
    options.set_skip_stats_update_on_db_open(true);
    options.set_avoid_unnecessary_blocking_io(true);
    let max_open_files = params.max_open_files.map_or(MAX_OPEN_FILES, NonZeroU32::get);
    options.set_max_open_files(i32::try_from(max_open_files).unwrap_or(i32::MAX));
    // Its statistics would be written again and again by an idle daemon.
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options.set_log_level(params.log_level());
    options.set_keep_log_file_num(4);
    options.set_max_log_file_size(4 * MIB);
    match params.increase_parallelism {
        Some(threads) => options.increase_parallelism(i32::from(threads.get()).max(2)),
        None => options.set_max_background_jobs(2),
    }
    if let Some(bytes) = params.compaction_readahead_size {
        options.set_compaction_readahead_size(bytes);
    }
    if let Some(after) = params.log_file_time_to_roll {
        options.set_log_file_time_to_roll(usize::try_from(after.as_secs()).unwrap_or(usize::MAX));
    }
    if let Some(period) = params.obsolete_files_period {
        options.set_delete_obsolete_files_period_micros(u64::try_from(period.as_micros()).unwrap_or(u64::MAX));
    }
    options
}

/// All columns with their options. `trimmed` is what may be dropped from the events: see [`Trimmed`].
pub(crate) fn columns(params: &Params, trimmed: &Lows) -> Vec<ColumnFamilyDescriptor> {
    let cache = Cache::new_lru_cache(BLOCK_CACHE);
    Column::ALL
        .into_iter()
        .map(|column| ColumnFamilyDescriptor::new(column.name(), options(column, params, &cache, trimmed)))
        .collect()
}

fn options(column: Column, params: &Params, cache: &Cache, trimmed: &Lows) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_cache_index_and_filter_blocks(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    table.set_format_version(5);
    let mut options = Options::default();
    options.set_compression_type(params.compression());
    options.set_max_bytes_for_level_base(64 * MIB as u64);
    if let Some(dynamic) = params.level_compaction_dynamic_level_bytes {
        options.set_level_compaction_dynamic_level_bytes(dynamic);
    }
    if let Some(bytes) = params.memtable_huge_page_size {
        options.set_memtable_huge_page_size(bytes);
    }
    match column {
        Column::Envelopes | Column::Bodies | Column::Events | Column::Table(Table::Logs) => {
            options.set_write_buffer_size(memtable(params));
        }
        Column::Internal | Column::Table(_) => options.set_write_buffer_size(SMALL_MEMTABLE),
    }
    match column {
        Column::Envelopes | Column::Bodies => table.set_bloom_filter(10.0, false),
        Column::Internal | Column::Events | Column::Table(_) => {}
    }
    match column {
        // Spool and rows are queues: most of what is written is removed again, and a scan would wade through the
        // graves of what was delivered. Logs are trimmed from the front, where consumers begin to read.
        Column::Envelopes | Column::Bodies | Column::Table(Table::Rows | Table::Logs) => {
            options.add_compact_on_deletion_collector_factory(2_000, 1_000, 0.5);
        }
        Column::Internal | Column::Events | Column::Table(_) => {}
    }
    if column == Column::Bodies {
        options.set_enable_blob_files(true);
        options.set_min_blob_size(MIN_BLOB);
        options.set_blob_compression_type(params.compression());
        options.set_blob_file_size(64 * MIB as u64);
        options.set_enable_blob_gc(true);
        options.set_blob_gc_age_cutoff(0.5);
        options.set_blob_gc_force_threshold(0.5);
    }
    if matches!(column, Column::Events | Column::Table(Table::Logs)) {
        // They are read one behind the other.
        table.set_block_size(16 * 1024);
    }
    if column == Column::Events {
        options.set_target_file_size_base(EVENT_FILE);
        options.set_periodic_compaction_seconds(EVENT_FILE_AGE);
        options.set_compaction_filter_factory(Trimmed(trimmed.clone()));
    }
    options.set_block_based_table_factory(&table);
    options
}

/// Drops trimmed events when a compaction comes by.
///
/// Trimming sets a low mark and deletes files that are below it as a whole; this is for the rest. A range tombstone for
/// each trim would do it too, but it would stand in one new file with the newest events, and that file's range would
/// then span the whole journal: every compaction would rewrite all of it.
struct Trimmed(Lows);

impl CompactionFilterFactory for Trimmed {
    type Filter = BelowLow;

    fn create(&mut self, _context: CompactionFilterContext) -> BelowLow {
        BelowLow(self.0.read().clone())
    }

    fn name(&self) -> &CStr {
        c"trimmed events"
    }
}

struct BelowLow(HashMap<StreamId, Offset>);

impl CompactionFilter for BelowLow {
    fn filter(&mut self, _level: u32, key: &[u8], _value: &[u8]) -> Decision {
        let trimmed =
            event_place(key).is_some_and(|(stream, offset)| self.0.get(&stream).is_some_and(|low| offset < *low));
        if trimmed { Decision::Remove } else { Decision::Keep }
    }

    fn name(&self) -> &CStr {
        c"trimmed events"
    }
}
