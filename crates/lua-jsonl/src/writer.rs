use crate::options::read;
use crate::raise;
use mlua::{Function, Lua, Table, UserData, UserDataMethods, Value};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use waybill_line_files::{LineFiles, LineFilesConfig, Lines, Metrics, Route};
use waybill_runtime::Clock;
use waybill_types::Timestamp;

type Files = Arc<LineFiles<Vec<u8>>>;

/// The writers of all states, by directory: two that each began files of their own there would take each other's for those
/// of an earlier run.
pub(crate) struct Writers {
    clock: Arc<dyn Clock>,
    open: Mutex<HashMap<PathBuf, (LineFilesConfig, Files)>>,
}

impl Writers {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Writers { clock, open: Mutex::default() }
    }

    /// `new_writer`. The same directory has the same writer; another form of it is refused.
    pub(crate) fn open(self: &Arc<Self>, lua: &Lua, options: Value, serde: &Table) -> mlua::Result<Writer> {
        let config: LineFilesConfig = read(lua, "new_writer", options)?;
        let encode: Function = serde.get("json_encode")?;
        let mut open = self.open.lock();
        let dir = config.log_dir.clone();
        let files = match open.get(&dir) {
            Some((known, files)) if *known == config => files.clone(),
            Some(_) => {
                let why = format!("a writer with other options is open for {}", dir.display());
                return Err(raise("new_writer", why));
            }
            None => {
                let name = format!("jsonl-{}", dir.display());
                let started = LineFiles::start(
                    name,
                    config.settings(),
                    Plain(Route { place: 0, header: "".into() }),
                    self.clock.clone(),
                );
                let files = Arc::new(started.map_err(|error| raise("new_writer", error))?);
                open.insert(dir.clone(), (config, files.clone()));
                files
            }
        };
        Ok(Writer { writers: self.clone(), dir, files, encode })
    }

    pub(crate) async fn finish(&self) {
        let all: Vec<Files> = self.open.lock().drain().map(|(_, (_, files))| files).collect();
        for files in all {
            files.finish().await;
        }
    }
}

/// What `new_writer` returns.
pub(crate) struct Writer {
    writers: Arc<Writers>,
    dir: PathBuf,
    files: Files,
    encode: Function,
}

impl UserData for Writer {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_async_method("write_line", |_, this, line: mlua::LuaString| async move {
            let mut line = line.as_bytes().to_vec();
            if line.last() != Some(&b'\n') {
                line.push(b'\n');
            }
            if line[..line.len() - 1].contains(&b'\n') {
                return Err(raise("write_line", "expected one line, got several"));
            }
            put(&this.files, "write_line", line).await
        });
        methods.add_async_method("write_record", |_, this, record: Value| async move {
            let text: mlua::LuaString = this.encode.call_async(record).await?;
            let mut line = text.as_bytes().to_vec();
            line.push(b'\n');
            put(&this.files, "write_record", line).await
        });
        // Whoever has the same writer finds it closed; a new one begins new files.
        methods.add_async_method("close", |_, this, ()| async move {
            let ours = |(_, files): &mut (LineFilesConfig, Files)| Arc::ptr_eq(files, &this.files);
            {
                let mut open = this.writers.open.lock();
                if open.get_mut(&this.dir).is_some_and(ours) {
                    open.remove(&this.dir);
                }
            }
            this.files.finish().await;
            Ok(())
        });
    }
}

async fn put(files: &Files, function: &str, line: Vec<u8>) -> mlua::Result<()> {
    if files.write(line).await { Ok(()) } else { Err(raise(function, "the writer is closed")) }
}

/// Lines as they are.
struct Plain(Route);

impl Lines for Plain {
    type Item = Vec<u8>;

    fn route(&self, _: &Vec<u8>) -> Option<Route> {
        Some(self.0.clone())
    }

    fn line(&mut self, line: &Vec<u8>, _: Timestamp, _: &Metrics) -> Vec<u8> {
        line.clone()
    }
}
