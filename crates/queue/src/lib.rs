//! The queue manager of the mail: takes responsibility for messages, drives the pure core, and turns what it decides
//! into stored changes, records and sessions.
//!
//! One task, the driver, owns the core. Whatever it decides about messages is stored together with the events that
//! tell of it, in one batch (I2), before anything else is done; when the store fails, the driver keeps trying and
//! hands nothing out. The driver waits for the store and for nothing else: policy is asked and records are written by
//! tasks beside it, which may themselves bring new mail.
//!
//! It refuses to know how a protocol works, what a policy is written in, and what becomes of a record.
//!
//! ```
//! use std::{collections::HashMap, sync::Arc};
//! use waybill_queue::{ManagerOptions, QueueManager};
//! use waybill_spool::{IntakeState, MemoryStore, NullSink};
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let (stop, stopped) = waybill_runtime::StopSource::new();
//! let supervisor = waybill_runtime::Supervisor::current();
//! let manager = QueueManager::new(ManagerOptions {
//!     store: Arc::new(MemoryStore::new()),
//!     policy: Arc::new(waybill_policy::ScriptedPolicy::new()),
//!     protocols: Arc::new(HashMap::new()),
//!     sink: Arc::new(NullSink),
//!     clock: Arc::new(waybill_runtime::SystemClock),
//!     mint: Arc::new(waybill_types::IdMint::random()),
//!     nodeid: "node".into(),
//!     supervisor: supervisor.clone(),
//!     seed: 1,
//!     limits: Default::default(),
//! });
//! let driver = manager.clone();
//! supervisor.spawn("queue manager", async move { driver.run(stopped).await });
//! manager.open();
//! assert_eq!(manager.intake().state(), IntakeState::Open);
//! stop.request();
//! supervisor.join().await;
//! # });
//! # Ok::<(), std::io::Error>(())
//! ```

mod accept;
mod admin;
mod ahead;
mod asking;
mod commit;
mod configs;
mod divide;
mod driver;
mod inbox;
mod land;
mod manager;
mod messages;
mod outcomes;
mod partings;
mod perform;
mod records;
mod rejections;
mod returns;
mod routes;
mod spool_in;
mod stats;
mod turn;
mod watch;
mod ways;
mod writer;

pub use manager::{ManagerOptions, QueueManager};
pub use stats::{Delays, QueueSnapshot, ReadyCounts, Stats};
pub use watch::{BacklogRule, Happening, Watcher};
pub use waybill_queue_core::shared::SharedLimits;
