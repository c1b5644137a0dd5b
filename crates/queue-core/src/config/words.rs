//! The words that a policy may choose from.

use serde::{Deserialize, Serialize};

/// When a configuration is asked for again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum RefreshStrategy {
    /// After `refresh_interval`.
    #[default]
    Ttl,
    /// When the policy's epoch changes.
    Epoch,
}

/// How KumoMTA keeps a scheduled queue. Accepted and shown; we have one due index whatever it says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum WheelStrategy {
    /// One wheel for all queues.
    #[default]
    SingletonTimerWheel,
    /// Its second version.
    SingletonTimerWheelV2,
    /// One wheel for each queue.
    TimerWheel,
    /// An ordered list for each queue.
    SkipList,
}

/// What happens to a message's data when memory is short or the wait is long.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum MemoryReduction {
    /// Data and meta leave memory.
    #[default]
    ShrinkDataAndMeta,
    /// Only the data leaves memory.
    ShrinkData,
    /// Everything stays.
    NoShrink,
}

/// How TLS is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Tls {
    /// Used where offered, the certificate must be good.
    #[default]
    Opportunistic,
    /// Used where offered, any certificate.
    OpportunisticInsecure,
    /// Must be offered, the certificate must be good.
    Required,
    /// Must be offered, any certificate.
    RequiredInsecure,
    /// Never used.
    Disabled,
}

/// When TLS begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum TlsMode {
    /// With the STARTTLS command.
    #[default]
    StartTls,
    /// With the first byte.
    ImplicitTls,
}

/// What an SMTP session does after its connection broke during a delivery.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Reconnect {
    /// Goes on with the next host of the plan.
    #[default]
    ConnectNextHost,
    /// Ends.
    TerminateSession,
    /// Tries the same host again.
    ReconnectSameHost,
}

/// How eagerly KumoMTA wakes its tasks. Accepted and shown; our queues have no task to wake.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Wakeup {
    /// All idle ones for each message.
    #[default]
    Aggressive,
    /// One.
    Relaxed,
}

/// Which addresses of a host are asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum IpLookup {
    /// A and AAAA together.
    #[default]
    Ipv4AndIpv6,
    /// A only.
    Ipv4Only,
    /// AAAA only.
    Ipv6Only,
    /// AAAA, then A where there was none.
    Ipv6ThenIpv4,
    /// A, then AAAA where there was none.
    Ipv4ThenIpv6,
}
