//! Lua functions of people who are not the operator: the `lambda` handler of event hooks.
//!
//! In-process Lua is no sandbox, so they run in child processes of the daemon: [`Pool`] keeps a few of them, hands each one
//! call at a time, and kills one that takes too long or dies, with its whole process group. [`run_worker`] is what runs in
//! the child: it limits itself (memory, CPU time, descriptors, processes) before it reads anything, then makes a fresh Lua
//! environment for each call, in which there is nothing that reaches out of it but [`Outbound`], and that is asked of the
//! parent. Functions are run in order; each gets what the one before returned.
//!
//! It refuses to know what an event hook is, to open sockets, and to trust what a child says: every frame from it is capped
//! and checked.
//!
//! ```no_run
//! # async fn example(outbound: std::sync::Arc<dyn waybill_lambda::Outbound>) -> Result<(), waybill_lambda::Failure> {
//! use waybill_lambda::{Call, Pool, PoolOptions};
//! use waybill_runtime::{StopSource, Supervisor};
//! let (_source, stop) = StopSource::new();
//! let pool = Pool::start(PoolOptions::this_program(["lambda-worker"]), outbound, &Supervisor::current(), stop);
//! let call = Call {
//!     functions: vec!["return function(data, event, source, pid) return { n = data.n + 1 } end".into()],
//!     data: serde_json::json!({"n": 1}),
//!     event: "Bounce".into(),
//!     source: "log".into(),
//!     hops: 0,
//! };
//! pool.check(&call.functions).await?;
//! assert_eq!(pool.call(&call).await?, serde_json::json!({"n": 2}));
//! # Ok(()) }
//! ```

mod call;
#[cfg(feature = "test-util")]
pub mod fuzz;
mod outbound;
mod pool;
mod protocol;
mod worker;

pub use call::{Call, Failure, MAX_DATA, ScriptError};
pub use outbound::{Answer, Outbound, Request};
pub use pool::{Pool, PoolOptions, Tally};
pub use worker::run_worker;
