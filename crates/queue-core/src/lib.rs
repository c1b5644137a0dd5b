//! The queue core: what happens to a message next, as a function of state, time and event.
//!
//! Pure: nothing here reads a clock, opens a file, waits, or starts a task. [`queues::Queues`] and
//! [`ready::ReadyQueues`] each take one event and say what is to be done; whoever drives them does it and reports
//! back. Randomness is a seed, so that a run can be repeated.
//!
//! It refuses to know what a message contains, how a protocol works, or where anything is stored.
//!
//! The arithmetic can be used on its own ([`queues`] and [`ready`] have examples of theirs):
//!
//! ```
//! use std::time::Duration;
//! use waybill_queue_core::config::QueueConfig;
//! use waybill_queue_core::retry::at_least;
//!
//! let config: QueueConfig = serde_json::from_str(r#"{"retry_interval": "1m", "max_retry_interval": "20m"}"#)?;
//! let waits = (0..6).map(|attempts| config.retry().delay(attempts).as_secs() / 60);
//! assert_eq!(waits.collect::<Vec<_>>(), [1, 2, 4, 8, 16, 20]);
//! let retry_after = Some(Duration::from_secs(3600));
//! assert_eq!(at_least(config.retry().delay(0), retry_after), Duration::from_secs(3600));
//! # Ok::<(), serde_json::Error>(())
//! ```

pub mod config;
pub mod due;
pub mod queues;
pub mod ready;
pub mod reason;
pub mod retry;
pub mod shared;
pub mod throttle;
