//! Event hooks: everybody who may can subscribe a handler to events of this daemon, over the API that Kong's users know
//! (contract/kong-event-hooks.md). What hooks decide is in crate `event-hooks-core`; here they are kept, fed and shown.
//!
//! Each hook is a consumer of the journal, by crate `consumers`: its place, its retries and its dead letters survive any
//! crash, together with what its gate remembers. Events that are no log records go through the stream `signals`
//! ([`Signals`]). It refuses to know HTTP clients and Lua: a [`Courier`] sends, [`Functions`] run.

mod armed;
mod attempts;
mod counts;
mod courier;
mod dice;
mod driver;
mod error;
mod feeds;
mod functions;
mod ground;
mod http;
mod keys;
mod live;
mod manager;
mod memory;
mod occurrence;
mod rows;
mod shared;
mod signals;
mod subscription;
mod target;
mod wanted;

pub use attempts::{Asked, AttemptRecord};
pub use counts::Tally;
pub use courier::{Answer, Courier, Endpoint, Receipt};
pub use error::HookError;
pub use functions::Functions;
pub use http::{Given, Late, ROUTES, Route, router};
pub use manager::{EventHooks, Listed, MAX_HOOKS, Parts, Place, Resend, Status, Tested, Watch, Window};
pub use signals::{Changed, Signals, Told};
pub use target::EndpointTold;
pub use wanted::RecordsWanted;
