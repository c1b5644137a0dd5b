//! What a policy says about a queue and about a path, as values that have been checked.
//!
//! The words are the operator's (contract sections 2.5 and 2.6); the errors are worded as scripts and the `typing`
//! helper expect them, and name the field.

mod check;
mod hidden;
mod list;
mod mx_list;
mod path;
mod protocol;
mod queue;
mod source;
mod words;

pub use hidden::Hidden;
pub use mx_list::MxHost;
pub use path::EgressPathConfig;
pub use protocol::{CustomLuaSection, MaildirSection, NullSection, ProtocolSection, SmtpSection, XferSection};
pub use queue::{QueueConfig, ShrinkRule};
pub use source::{EgressPool, EgressPoolEntry, EgressSource, SourceSuspension, SuspensionTrigger};
pub use words::{IpLookup, MemoryReduction, Reconnect, RefreshStrategy, Tls, TlsMode, Wakeup, WheelStrategy};

pub mod defaults {
    //! What applies where a policy says nothing.

    use std::net::{Ipv4Addr, Ipv6Addr};
    use std::time::Duration;
    use waybill_types::CidrSet;

    /// The wait before the first retry.
    pub const RETRY_INTERVAL: Duration = Duration::from_secs(20 * 60);
    /// How long a message may wait before it expires.
    pub const MAX_AGE: Duration = Duration::from_secs(7 * 24 * 3600);
    /// How long a scheduled queue stays in memory after its last message has left.
    pub const REAP_INTERVAL: Duration = Duration::from_secs(10 * 60);
    /// How often the answer of `get_queue_config` or `get_egress_path_config` is asked for again.
    pub const REFRESH_INTERVAL: Duration = Duration::from_secs(60);
    /// How many connections one path may have at a time.
    pub const CONNECTION_LIMIT: u32 = 32;
    /// How many messages may wait in a ready queue.
    pub const MAX_READY: usize = 1024;
    /// After how many messages a connection is closed and replaced.
    pub const MAX_DELIVERIES_PER_CONNECTION: usize = 1024;
    /// How many recipients one SMTP transaction carries.
    pub const MAX_RECIPIENTS_PER_BATCH: usize = 100;
    /// How long a connection without work stays open.
    pub const IDLE_TIMEOUT: Duration = Duration::from_secs(5);
    /// More connection failures in a row than this send the whole ready queue back to its scheduled queues.
    pub const CONSECUTIVE_CONNECTION_FAILURES: u32 = 100;
    /// How long a ready queue without work and connections stays in memory.
    pub const READY_REAP_INTERVAL: Duration = Duration::from_secs(10 * 60);
    /// Waits of the steps that open a connection: connect, banner, AUTH.
    pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(60);
    /// Waits of the commands that carry a message: EHLO, MAIL, RCPT, DATA and the final dot.
    pub const COMMAND_TIMEOUT: Duration = Duration::from_secs(300);
    /// Waits of the commands that should be quick: RSET, STARTTLS.
    pub const QUICK_TIMEOUT: Duration = Duration::from_secs(5);
    /// Where SMTP servers listen.
    pub const SMTP_PORT: u16 = 25;
    /// Destinations that must be a mistake: this machine itself (`0.0.0.0`, `127.0.0.0/8`, `::/127`).
    pub fn prohibited_hosts() -> CidrSet {
        let loopback = Ipv4Addr::new(127, 0, 0, 0).into();
        CidrSet::of([(Ipv4Addr::UNSPECIFIED.into(), 32), (loopback, 8), (Ipv6Addr::UNSPECIFIED.into(), 127)])
    }
}
