//! What everything that runs stands on: the clock, tasks with a name and an owner, a stop in stages, runtimes with a
//! priority, how full a disk and the memory are, how long things take, and that a request waits.
//!
//! The one crate that may read the system's clock and call `tokio::spawn`.

mod clock;
mod disk;
mod histogram;
mod lull;
mod memory;
mod pool;
mod say;
mod stop;
mod supervisor;

pub use clock::{Clock, ManualClock, SystemClock};
pub use disk::DiskRoom;
pub use histogram::{Histogram, Histograms, Observed, WORK_BOUNDS};
pub use lull::Lull;
pub use memory::{MemoryLimits, resident_memory};
pub use pool::{Pool, PoolOptions};
pub use say::say;
pub use stop::{Stop, StopSource};
pub use supervisor::Supervisor;
