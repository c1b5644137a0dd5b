//! Traces of SMTP conversations: those who speak tell a [`Hub`], those who listen [`watch`](Hub::watch) it.
//!
//! While nobody listens, telling costs one atomic load: neither the facts nor the payload are made. While somebody does,
//! nobody waits for them either: a listener has a bounded backlog, and what does not fit into it is counted instead.
//! Passwords never get here: [`Mask`] takes them out of the lines first.
//!
//! ```
//! use waybill_trace::{Payload, ServerConn, ServerFilter, Tracers};
//! # use waybill_types::Timestamp;
//! let tracers = Tracers::default();
//! let conn = || ServerConn { peer: [127, 0, 0, 1].into(), meta: serde_json::Map::new() };
//! tracers.server.tell(Timestamp::EPOCH, conn, || unreachable!("nobody listens"));
//! let mut watch = tracers.server.watch(ServerFilter::default()).expect("room for one more");
//! tracers.server.tell(Timestamp::EPOCH, conn, || Payload::Connected);
//! assert!(watch.try_next().expect("a frame").contains(r#""payload":"Connected""#));
//! ```

mod conn;
mod hub;
mod mask;
mod payload;

pub use conn::{ClientConn, ClientFilter, Conn, ServerConn, ServerFilter};
pub use hub::{Hub, TooManyWatchers, Watch};
pub use mask::Mask;
pub use payload::{Disposition, Level, Payload};

/// What can be traced in a daemon. Clones are the same hubs.
#[derive(Clone, Debug, Default)]
pub struct Tracers {
    /// Mail that comes in.
    pub server: Hub<ServerConn>,
    /// Mail that goes out.
    pub client: Hub<ClientConn>,
}
