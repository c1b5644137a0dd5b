use std::time::Duration;

/// What a request may ask for and a daemon may hold. Configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Bytes of a key.
    pub key: usize,
    /// Bytes of a value.
    pub value: usize,
    /// Messages of one publish, at most [`Limits::MOST_MESSAGES`].
    pub publish_messages: usize,
    /// Bytes of keys and values of one publish.
    pub publish_bytes: usize,
    /// Messages that one consume may ask for.
    pub consume: usize,
    /// Bytes of keys and values that one consume gives; one message always fits.
    pub consume_bytes: usize,
    /// How long a consume may wait.
    pub poll: Duration,
    /// Consumers that may wait at once.
    pub waiting: usize,
    /// Bytes of metadata.
    pub metadata: usize,
    /// Logs.
    pub logs: usize,
    /// Stored offsets.
    pub offsets: usize,
    /// Egress webhooks.
    pub egress_webhooks: usize,
    /// Filters.
    pub filters: usize,
    /// Ingress webhooks.
    pub ingress_webhooks: usize,
    /// How long a log remembers what was published once.
    pub remember: Duration,
    /// How many such publishes a log remembers.
    pub remembered: u64,
}

impl Limits {
    /// More messages than any limit may allow in one publish: of a longer list nothing more is held in memory.
    pub const MOST_MESSAGES: usize = 65_536;
}

/// Messages that a consume gives where it names no number.
pub(crate) const CONSUMED_BY_DEFAULT: usize = 100;

impl Default for Limits {
    fn default() -> Self {
        Limits {
            key: 64 << 10,
            value: 1 << 20,
            publish_messages: 1_000,
            publish_bytes: 4 << 20,
            consume: 1_000,
            consume_bytes: 4 << 20,
            poll: Duration::from_secs(30),
            waiting: 10_000,
            metadata: 4 << 10,
            logs: 10_000,
            offsets: 10_000,
            egress_webhooks: 1_000,
            filters: 1_000,
            ingress_webhooks: 1_000,
            remember: Duration::from_secs(24 * 3600),
            remembered: 100_000,
        }
    }
}
