//! `new_tailer` and `new_multi_tailer`.

use crate::checkpoint::Checkpoint;
use crate::cursor::{Cursor, POLL};
use crate::options::{MultiOptions, TailerOptions, read};
use crate::raise;
use mlua::{Function, Lua, Table, UserData, UserDataMethods, Value};
use parking_lot::Mutex as SyncMutex;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{Mutex, Notify};
use tokio::task::spawn_blocking;
use tokio::time::Instant;

/// The function for several, in its errors.
const NAME: &str = "new_multi_tailer";

/// `new_tailer(options[, filter])`
pub(crate) fn single(lua: &Lua, serde: &Table) -> mlua::Result<Function> {
    let parse: Function = serde.get("json_parse").or_else(|_| lua.create_function(|_, ()| Ok(())))?;
    lua.create_async_function(move |lua, (options, filter): (Value, Option<Function>)| {
        let parse = parse.clone();
        async move {
            let options: TailerOptions = read(&lua, "new_tailer", options)?;
            let consumer = Consumer::open("new_tailer", None, options, filter).await?;
            Ok(Tailer::new(vec![consumer], parse))
        }
    })
}

/// `new_multi_tailer(options)`: one iterator over what several consumers read on their own.
pub(crate) fn several(lua: &Lua, serde: &Table) -> mlua::Result<Function> {
    let parse: Function = serde.get("json_parse").or_else(|_| lua.create_function(|_, ()| Ok(())))?;
    lua.create_async_function(move |lua, options: Value| {
        let parse = parse.clone();
        async move {
            let (options, filters) = without_filters(&lua, options)?;
            let options: MultiOptions = read(&lua, NAME, options)?;
            let mut consumers = Vec::new();
            for (consumer, filter) in options.consumers.iter().zip(filters) {
                let same = |other: &Consumer| other.name.as_deref() == Some(&consumer.name);
                if consumers.iter().any(same) {
                    return Err(raise(NAME, format_args!("consumers: {:?} is there twice", consumer.name)));
                }
                let opened = Consumer::open(NAME, Some(consumer.name.clone()), options.of(consumer), filter).await?;
                consumers.push(opened);
            }
            if consumers.is_empty() {
                return Err(raise(NAME, "consumers: expected at least one"));
            }
            Ok(Tailer::new(consumers, parse))
        }
    })
}

/// A copy of the options whose consumers have no filter, and the filters: functions are no data. What is no list of
/// tables stays as it is, for whoever reads it to say so.
fn without_filters(lua: &Lua, options: Value) -> mlua::Result<(Value, Vec<Option<Function>>)> {
    let copy = |table: &Table, but: &str| -> mlua::Result<Table> {
        let copied = lua.create_table()?;
        for pair in table.pairs::<Value, Value>() {
            let (key, value) = pair?;
            if key.as_string().is_none_or(|key| key.as_bytes() != but.as_bytes()) {
                copied.raw_set(key, value)?;
            }
        }
        Ok(copied)
    };
    let Some(table) = options.as_table() else { return Ok((options, Vec::new())) };
    let Value::Table(consumers) = table.get::<Value>("consumers")? else { return Ok((options, Vec::new())) };
    if consumers.raw_len() == 0 {
        return Ok((options, Vec::new()));
    }
    let (all, plain, mut filters) = (copy(table, "consumers")?, lua.create_table()?, Vec::new());
    for (place, consumer) in consumers.sequence_values::<Value>().enumerate() {
        let consumer = consumer?;
        let Some(table) = consumer.as_table() else {
            filters.push(None);
            plain.raw_push(consumer)?;
            continue;
        };
        match table.get::<Value>("filter")? {
            Value::Nil => filters.push(None),
            Value::Function(filter) => filters.push(Some(filter)),
            other => {
                let why = format!("consumers[{place}].filter: expected a function, got {}", other.type_name());
                return Err(raise(NAME, why));
            }
        }
        plain.raw_push(copy(table, "filter")?)?;
    }
    all.raw_set("consumers", plain)?;
    Ok((Value::Table(all), filters))
}

/// Somebody who reads a directory.
struct Consumer {
    name: Option<String>,
    options: TailerOptions,
    filter: Option<Function>,
    /// Away while it reads.
    cursor: Option<Cursor>,
    records: Vec<Value>,
    /// Since when the first of them waits.
    since: Option<Instant>,
    commits: Arc<Commits>,
    batches: u64,
}

/// What was committed last: an older batch does not take it back.
struct Commits {
    path: Option<PathBuf>,
    last: SyncMutex<u64>,
}

impl Consumer {
    async fn open(
        function: &str,
        name: Option<String>,
        options: TailerOptions,
        filter: Option<Function>,
    ) -> mlua::Result<Self> {
        options.check().map_err(|why| raise(function, why))?;
        let wanted = options.clone();
        let cursor = blocking(move || Cursor::new(&wanted)).await.map_err(|error| raise(function, error))?;
        let commits = Arc::new(Commits { path: cursor.path().map(Into::into), last: SyncMutex::new(0) });
        Ok(Consumer {
            name,
            options,
            filter,
            cursor: Some(cursor),
            records: Vec::new(),
            since: None,
            commits,
            batches: 0,
        })
    }

    /// Reads what there is room for; true where there was anything.
    async fn read(&mut self, parse: &Function) -> mlua::Result<bool> {
        let room = self.options.max_batch_size.saturating_sub(self.records.len());
        let Some(mut cursor) = self.cursor.take() else { return Err(raise("batches", "the tailer has failed before")) };
        let read = blocking(move || {
            let lines = cursor.lines(room);
            Ok((cursor, lines))
        });
        let (cursor, lines) = read.await.map_err(|error| raise("batches", error))?;
        self.cursor = Some(cursor);
        let lines = lines.map_err(|error| raise("batches", error))?;
        let any = !lines.is_empty();
        for line in lines {
            let record: Value = match parse.call_async(line.as_str()).await {
                Ok(record) => record,
                Err(error) => {
                    let directory = self.options.directory.display();
                    tracing::warn!("kumo.jsonl: a line in {directory} is no JSON and is passed over: {error}");
                    continue;
                }
            };
            let wanted = match &self.filter {
                Some(filter) => filter.call_async::<Value>(&record).await?,
                None => Value::Boolean(true),
            };
            if !matches!(wanted, Value::Nil | Value::Boolean(false)) {
                self.records.push(record);
                self.since.get_or_insert_with(Instant::now);
            }
        }
        Ok(any)
    }

    /// When the records that wait are a batch, whatever comes.
    fn due(&self) -> Option<Instant> {
        self.since.map(|since| since + self.options.max_batch_latency)
    }

    fn is_ready(&self) -> bool {
        self.records.len() >= self.options.max_batch_size || self.due().is_some_and(|due| due <= Instant::now())
    }

    fn batch(&mut self, lua: &Lua) -> mlua::Result<LogBatch> {
        self.since = None;
        self.batches += 1;
        Ok(LogBatch {
            records: lua.create_sequence_from(self.records.drain(..))?,
            name: self.name.clone(),
            position: self.cursor.as_ref().map(|cursor| cursor.position().clone()).unwrap_or_default(),
            commits: self.commits.clone(),
            number: self.batches,
        })
    }
}

/// What both functions return.
struct Tailer {
    consumers: Arc<Mutex<Vec<Consumer>>>,
    end: Arc<End>,
    parse: Function,
}

#[derive(Default)]
struct End {
    closed: AtomicBool,
    told: Notify,
}

impl Tailer {
    fn new(consumers: Vec<Consumer>, parse: Function) -> Self {
        Tailer { consumers: Arc::new(Mutex::new(consumers)), end: Arc::default(), parse }
    }
}

impl UserData for Tailer {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("batches", |lua, this, ()| {
            let (consumers, end, parse) = (this.consumers.clone(), this.end.clone(), this.parse.clone());
            lua.create_async_function(move |lua, _: mlua::MultiValue| {
                let (consumers, end, parse) = (consumers.clone(), end.clone(), parse.clone());
                async move { next(&lua, &consumers, &end, &parse).await }
            })
        });
        methods.add_method("close", |_, this, ()| {
            this.end.closed.store(true, Ordering::Release);
            this.end.told.notify_waiters();
            Ok(())
        });
    }
}

/// The next batch of whoever has one; nothing once the tailer is closed.
async fn next(
    lua: &Lua,
    consumers: &Mutex<Vec<Consumer>>,
    end: &End,
    parse: &Function,
) -> mlua::Result<Option<LogBatch>> {
    let mut consumers = consumers.lock().await;
    loop {
        let told = end.told.notified();
        if end.closed.load(Ordering::Acquire) {
            return Ok(None);
        }
        let mut any = false;
        for place in 0..consumers.len() {
            any |= consumers[place].read(parse).await?;
            if consumers[place].is_ready() {
                let batch = consumers[place].batch(lua)?;
                // The others come first next time.
                consumers.rotate_left(place + 1);
                return Ok(Some(batch));
            }
        }
        if any {
            continue;
        }
        let poll = Instant::now() + POLL;
        let wake = consumers.iter().filter_map(Consumer::due).fold(poll, Instant::min);
        tokio::select! {
            () = told => {}
            () = tokio::time::sleep_until(wake) => {}
        }
    }
}

/// Records that were read together.
struct LogBatch {
    records: Table,
    name: Option<String>,
    position: Checkpoint,
    commits: Arc<Commits>,
    number: u64,
}

impl UserData for LogBatch {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("records", |_, this, ()| Ok(this.records.clone()));
        methods.add_method("iter_records", |lua, this, ()| {
            let (records, mut place) = (this.records.clone(), 0);
            lua.create_function_mut(move |_, _: mlua::MultiValue| {
                place += 1;
                records.raw_get::<Value>(place)
            })
        });
        methods.add_method("consumer_name", |_, this, ()| Ok(this.name.clone()));
        methods.add_async_method("commit", |_, this, ()| {
            let (commits, number, position) = (this.commits.clone(), this.number, this.position.clone());
            async move {
                let stored = blocking(move || {
                    let mut last = commits.last.lock();
                    if let Some(path) = commits.path.as_deref().filter(|_| number > *last) {
                        position.store(path)?;
                        *last = number;
                    }
                    Ok(())
                });
                stored.await.map_err(|error| raise("commit", error))
            }
        });
    }
}

/// Runs what waits for a disk.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    spawn_blocking(work).await.map_err(io::Error::other)?
}
