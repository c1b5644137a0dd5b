//! The seam to operator policy: events to call, objects to construct, values that cross. It does not say that policy
//! is Lua.
//!
//! Callers (smtp, queue, hooks, custom-lua) hold an `Arc<dyn PolicyHost>` and read typed results out of the
//! [`Value`]s that come back; the policy engine implements the host.

mod conn_meta;
mod error;
mod host;
mod scripted;
mod value;

pub use conn_meta::ConnMeta;
pub use error::{Ending, PolicyError, Rejected};
pub use host::{Epoch, PolicyHost, PolicyObject};
pub use scripted::{Handler, ScriptedPolicy};
pub use value::{Args, Returned, Value};
