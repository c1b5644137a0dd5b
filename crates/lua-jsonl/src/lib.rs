//! The `kumo.jsonl` module (contract/kumomta.md section 2.11): files of JSON lines, such as the daemon's log files, followed
//! with a checkpoint; and files of the same kind written.
//!
//! A tailer reads every file of a directory whose name fits, zstd or plain, also while it grows, and gives batches of
//! records. What was committed is not given again, whatever happened to the process; what was not, is. It looks at the
//! directory every [`POLL`]; nothing here waits for the kernel to tell. Texts become values by the state's own
//! `kumo.serde`, which has to be registered before.
//!
//! ```
//! # use std::sync::Arc;
//! let jsonl = waybill_lua_jsonl::Jsonl::new(Arc::new(waybill_runtime::SystemClock));
//! let lua = mlua::Lua::new();
//! let kumo = lua.create_table()?;
//! kumo.set("serde", lua.create_table()?)?;
//! jsonl.register(&lua, &kumo)?;
//! # Ok::<(), mlua::Error>(())
//! ```

mod checkpoint;
mod cursor;
mod follow;
mod options;
mod tailer;
mod writer;

pub use cursor::POLL;

use mlua::{Lua, Table};
use std::fmt::Display;
use std::sync::Arc;
use waybill_runtime::Clock;
use writer::Writers;

/// The module. Clones share the writers.
#[derive(Clone)]
pub struct Jsonl {
    writers: Arc<Writers>,
}

impl Jsonl {
    /// Files are named by this clock.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Jsonl { writers: Arc::new(Writers::new(clock)) }
    }

    /// Adds `kumo.jsonl`.
    ///
    /// # Errors
    /// When `kumo.serde` is not there.
    pub fn register(&self, lua: &Lua, kumo: &Table) -> mlua::Result<()> {
        let module = lua.create_table()?;
        let serde: Table = kumo.get("serde")?;
        module.raw_set("new_tailer", tailer::single(lua, &serde)?)?;
        module.raw_set("new_multi_tailer", tailer::several(lua, &serde)?)?;
        let (writers, serde) = (self.writers.clone(), serde);
        let open = lua.create_function(move |lua, options| writers.open(lua, options, &serde))?;
        module.raw_set("new_writer", open)?;
        kumo.raw_set("jsonl", module)
    }

    /// Completes the files of all writers: for the end of the daemon. Waits while a disk refuses.
    pub async fn finish(&self) {
        self.writers.finish().await;
    }
}

/// An error that says which function raised it.
fn raise(function: &str, why: impl Display) -> mlua::Error {
    mlua::Error::external(format!("kumo.jsonl.{function}: {why}"))
}
