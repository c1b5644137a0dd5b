use super::{ListenerConfig, Stats};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use waybill_authorizer::Decisions;
use waybill_log_record::Capture;
use waybill_policy::PolicyHost;
use waybill_spool::{Durability, Intake};
use waybill_tls::Acceptors;
use waybill_trace::{Hub, ServerConn};
use waybill_types::{IdMint, Timestamp};

/// What all sessions of one listener have in common.
pub struct Shared {
    /// The listener's configuration.
    pub config: ListenerConfig,
    /// The system's name, for listeners whose configuration gives none.
    pub hostname: Arc<str>,
    /// Operator policy.
    pub policy: Arc<dyn PolicyHost>,
    /// Where messages and rejections go.
    pub intake: Arc<dyn Intake>,
    /// What 250 promises (I1).
    pub durability: Durability,
    /// Message ids.
    pub mint: Arc<IdMint>,
    /// The clock.
    pub now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// The node, for records.
    pub nodeid: Arc<str>,
    /// Which meta fields a Rejection record shows. The intake fills in those of every other record, but a rejection
    /// may have no message to take them from.
    pub capture: Option<Arc<Capture>>,
    /// How long a session in DATA may take to finish once the listener stops.
    pub shutdown_grace: Duration,
    /// Who listens to what is said.
    pub traces: Hub<ServerConn>,
    /// Who keeps what was decided about credentials.
    pub decisions: Decisions,
    /// Counters.
    pub stats: Stats,
    /// Certificates in use.
    pub(super) acceptors: Acceptors,
}

impl Shared {
    /// Mail is synced before 250, ids come from a mint of its own, the node id is nil, rejections show no meta. Fields
    /// may be changed before the value is shared.
    pub fn new(
        config: ListenerConfig,
        hostname: impl Into<Arc<str>>,
        policy: Arc<dyn PolicyHost>,
        intake: Arc<dyn Intake>,
        now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    ) -> Self {
        Shared {
            config,
            hostname: hostname.into(),
            policy,
            intake,
            durability: Durability::Synced,
            mint: Arc::new(IdMint::random()),
            now,
            nodeid: uuid::Uuid::nil().to_string().into(),
            capture: None,
            shutdown_grace: DEFAULT_SHUTDOWN_GRACE,
            traces: Hub::default(),
            decisions: Decisions::default(),
            stats: Stats::default(),
            acceptors: Acceptors::default(),
        }
    }
}

/// Long enough for a message that is on its way over a slow line, short enough for a service manager.
const DEFAULT_SHUTDOWN_GRACE: Duration = Duration::from_secs(30);

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("config", &self.config).field("stats", &self.stats).finish_non_exhaustive()
    }
}

/// The two ends of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ends {
    /// The client's address.
    pub peer: SocketAddr,
    /// The address of ours that it connected to.
    pub via: SocketAddr,
}

impl Ends {
    /// An IPv4 address that came through an IPv6 socket is shown, and matched, as IPv4.
    pub fn new(peer: SocketAddr, via: SocketAddr) -> Self {
        let plain = |addr: SocketAddr| SocketAddr::new(addr.ip().to_canonical(), addr.port());
        Ends { peer: plain(peer), via: plain(via) }
    }
}
