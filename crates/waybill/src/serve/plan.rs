use super::secrets;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::net::TcpListener;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;
use waybill_bounce::{Classifier, Rules};
use waybill_hooks::{LocalLogsConfig, LogDispositionHookConfig, LogHookConfig};
use waybill_http_api::HttpListenerConfig;
use waybill_lambda::PoolOptions;
use waybill_line_files::LineFilesConfig;
use waybill_log_record::Capture;
use waybill_sealing::KeyId;
use waybill_smtp::inbound::ListenerConfig;
use waybill_spool_rocksdb::Room;
use waybill_streams_core::Limits;
use waybill_tls::KeySource;
use waybill_types::{MinFree, serde_duration};
use waybill_webhook_core::AddressPolicy;

/// What `pre_init` and `init` of the policy configured.
#[derive(Default)]
pub(crate) struct Plan {
    pub(crate) spools: Vec<SpoolSection>,
    pub(crate) logs: Vec<LocalLogsConfig>,
    pub(crate) hooks: Vec<LogHookConfig>,
    pub(crate) dispositions: Vec<LogDispositionHookConfig>,
    /// Names of log hooks and disposition hooks: unique over both.
    pub(crate) hook_names: Vec<String>,
    pub(crate) journal: Option<JournalSection>,
    pub(crate) classifier: Option<Classifier>,
    pub(crate) webhooks: Option<WebhooksSection>,
    pub(crate) event_hooks: Option<EventHooksSection>,
    pub(crate) user_logs: Option<UserLogsSection>,
    /// Where mail is accounted for.
    pub(crate) accounting: Option<PathBuf>,
    /// Where decisions about who may do what are kept.
    pub(crate) account_log: Option<LineFilesConfig>,
    pub(crate) smtp: Vec<(ListenerConfig, TcpListener)>,
    pub(crate) http: Vec<(HttpListenerConfig, TcpListener)>,
}

/// `kumo.define_spool`.
#[derive(Deserialize, Serialize, Clone, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct SpoolSection {
    pub(crate) name: String,
    #[serde(deserialize_with = "waybill_types::text::path")]
    pub(crate) path: PathBuf,
    /// Accepted and checked: there is one store here, whatever the kind.
    #[serde(rename = "kind", default)]
    pub(crate) _kind: SpoolKind,
    /// Unset and true both mean synced before a 250; only an explicit false means written, not synced.
    pub(crate) flush: Option<bool>,
    #[serde(default)]
    pub(crate) rocks_params: Value,
    #[serde(default = "default_min_free")]
    pub(crate) min_free_space: MinFree,
    #[serde(default = "default_min_free")]
    pub(crate) min_free_inodes: MinFree,
}

impl SpoolSection {
    pub(crate) fn room(&self) -> Room {
        Room { min_free_space: self.min_free_space, min_free_inodes: self.min_free_inodes }
    }
}

/// Both are our own store.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum SpoolKind {
    #[default]
    LocalDisk,
    RocksDB,
}

fn default_min_free() -> MinFree {
    MinFree::DEFAULT
}

/// `kumo.define_journal`.
#[derive(Deserialize, Serialize, Clone, Debug)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct JournalSection {
    #[serde(with = "serde_duration")]
    pub(crate) retention: Duration,
    #[serde(deserialize_with = "size")]
    pub(crate) max_size: u64,
    #[serde(with = "serde_duration")]
    pub(crate) max_age: Duration,
    pub(crate) headers: Names,
    pub(crate) meta: Names,
}

impl Default for JournalSection {
    fn default() -> Self {
        let day = Duration::from_secs(86_400);
        JournalSection {
            retention: day,
            max_size: 10 << 30,
            max_age: 7 * day,
            headers: Names::default(),
            meta: Names::default(),
        }
    }
}

impl JournalSection {
    /// Whether what it says can be meant.
    pub(crate) fn check(&self) -> Result<(), String> {
        match self.max_age.is_zero() {
            true => {
                Err("max_age: expected a duration above zero: every event would be too old for its hook".to_owned())
            }
            false => Ok(()),
        }
    }

    pub(crate) fn capture(&self) -> Capture {
        let own = |names: &Names| names.0.clone();
        Capture::new(own(&self.headers), own(&self.meta))
    }
}

/// `kumo.configure_bounce_classifier`.
#[derive(Deserialize, Serialize, Clone, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClassifierSection {
    pub(crate) files: Names,
    /// Accepted: a response is classified where it is, nothing waits in a line.
    #[serde(rename = "back_pressure", default)]
    pub(crate) _back_pressure: Option<NonZeroUsize>,
    /// Accepted likewise: there is no pool.
    #[serde(rename = "pool_size", default)]
    pub(crate) _pool_size: Option<NonZeroUsize>,
    #[serde(default = "default_cache_size")]
    pub(crate) cache_size: usize,
}

/// Responses that are remembered.
fn default_cache_size() -> usize {
    1024
}

impl ClassifierSection {
    /// Reads the files.
    pub(crate) fn load(&self) -> Result<Classifier, String> {
        let mut rules = Rules::default();
        for name in &self.files.0 {
            let text = std::fs::read_to_string(name).map_err(|error| format!("files: {name}: {error}"))?;
            rules.add(name, &text).map_err(|error| format!("files: {error}"))?;
        }
        Classifier::new(&rules, self.cache_size).map_err(|error| format!("files: {error}"))
    }
}

/// `kumo.configure_webhooks`: what all webhooks of our own sender have in common.
#[derive(Deserialize, Serialize, Clone, Debug, Default)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct WebhooksSection {
    /// Addresses, ranges and names that may be called although they are not of the public internet.
    pub(crate) allow_targets: Names,
    /// The same of proxies that event hooks name: what opens a target opens no proxy.
    pub(crate) allow_proxies: Names,
    /// Whether functions run of who is not the operator.
    pub(crate) untrusted_lua: UntrustedLua,
    /// What secrets are sealed with in the spool.
    #[serde(skip_serializing)]
    pub(crate) secrets_key: Option<KeySource>,
    /// Ids of keys that are gone for good: what they sealed does not keep the daemon from starting.
    pub(crate) lost_secrets_keys: Names,
}

/// `kumo.configure_event_hooks`: when queues are told of, and what functions may use.
#[derive(Deserialize, Serialize, Clone, Debug)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct EventHooksSection {
    /// A scheduled queue with so many messages has a backlog.
    pub(crate) backlog_size: usize,
    /// And one whose oldest message is of this age.
    #[serde(with = "serde_duration")]
    pub(crate) backlog_age: Duration,
    pub(crate) functions: FunctionsSection,
}

/// What the functions of event hooks may use.
#[derive(Deserialize, Serialize, Clone, Debug)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct FunctionsSection {
    /// Calls beside each other, each in a process of its own.
    pub(crate) processes: usize,
    /// What a call may take in all, requests included.
    #[serde(with = "serde_duration")]
    pub(crate) timeout: Duration,
    /// Bytes that Lua may hold.
    #[serde(deserialize_with = "size")]
    pub(crate) memory: u64,
    /// Instructions of Lua a call.
    pub(crate) instructions: u64,
    /// Calls after which a process is replaced.
    pub(crate) calls: u64,
    /// How long a process that has nothing to do is kept.
    #[serde(with = "serde_duration")]
    pub(crate) idle: Duration,
}

impl Default for EventHooksSection {
    fn default() -> Self {
        let (backlog_size, backlog_age) = (10_000, Duration::from_secs(3600));
        EventHooksSection { backlog_size, backlog_age, functions: FunctionsSection::default() }
    }
}

impl Default for FunctionsSection {
    fn default() -> Self {
        let options = PoolOptions::this_program([]);
        FunctionsSection {
            processes: options.workers,
            timeout: options.timeout,
            memory: options.memory as u64,
            instructions: options.instructions,
            calls: options.calls,
            idle: options.idle,
        }
    }
}

impl EventHooksSection {
    /// Whether what it says can be used.
    pub(crate) fn check(&self) -> Result<(), String> {
        let FunctionsSection { processes, timeout, memory, instructions, calls, idle } = &self.functions;
        let (most, mib) = (PoolOptions::MOST_MEMORY as u64, 1 << 20);
        for (field, fits, expected) in [
            ("backlog_size", self.backlog_size > 0, "at least 1".to_owned()),
            ("backlog_age", !self.backlog_age.is_zero(), "more than 0s".to_owned()),
            ("functions.processes", (1..=64).contains(processes), "1 to 64".to_owned()),
            ("functions.timeout", (1..=600).contains(&timeout.as_secs()), "1s to 10m".to_owned()),
            ("functions.memory", (mib..=most).contains(memory), format!("1MiB to {}MiB", most / mib)),
            ("functions.instructions", *instructions > 0, "at least 1".to_owned()),
            ("functions.calls", *calls > 0, "at least 1".to_owned()),
            ("functions.idle", *idle <= Duration::from_secs(86_400), "at most 1d".to_owned()),
        ] {
            if !fits {
                return Err(format!("{field}: expected {expected}"));
            }
        }
        Ok(())
    }
}

impl FunctionsSection {
    /// As the pool takes it.
    pub(crate) fn options<const N: usize>(&self, arguments: [&str; N]) -> PoolOptions {
        PoolOptions {
            workers: self.processes,
            timeout: self.timeout,
            memory: usize::try_from(self.memory).unwrap_or(PoolOptions::MOST_MEMORY),
            instructions: self.instructions,
            calls: self.calls,
            idle: self.idle,
            ..PoolOptions::this_program(arguments)
        }
    }
}

/// Where functions run that event hooks bring along.
#[derive(Deserialize, Serialize, Clone, Copy, PartialEq, Eq, Debug, Default)]
#[serde(rename_all = "lowercase")]
pub(crate) enum UntrustedLua {
    /// Nowhere: a hook that has some is refused.
    Off,
    /// In child processes.
    #[default]
    Sandbox,
}

impl WebhooksSection {
    /// Whether what it says can be used.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.addresses()?;
        self.proxies()?;
        for id in &self.lost_secrets_keys.0 {
            id.parse::<KeyId>().map_err(|_| {
                format!("lost_secrets_keys: {id:?} is no id of a key: it has 16 hex digits, as the refusal to start shows it")
            })?;
        }
        secrets::check(self)
    }

    /// Whether the operator has given a key up.
    pub(crate) fn is_lost(&self, key: &KeyId) -> bool {
        self.lost_keys().any(|lost| lost == *key)
    }

    /// The keys that the operator has given up.
    pub(crate) fn lost_keys(&self) -> impl Iterator<Item = KeyId> {
        self.lost_secrets_keys.0.iter().filter_map(|id| id.parse().ok())
    }

    /// Which addresses may be called.
    pub(crate) fn addresses(&self) -> Result<AddressPolicy, String> {
        allowing("allow_targets", &self.allow_targets)
    }

    /// Which addresses may be called as proxies.
    pub(crate) fn proxies(&self) -> Result<AddressPolicy, String> {
        allowing("allow_proxies", &self.allow_proxies)
    }
}

fn allowing(list: &str, rules: &Names) -> Result<AddressPolicy, String> {
    let allowing = AddressPolicy::allowing(rules.0.iter().map(String::as_str));
    allowing.map_err(|error| format!("{list}: {error}"))
}

/// `kumo.configure_logs`: what may be asked of user logs, and how much there may be.
#[derive(Deserialize, Serialize, Clone, Debug)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct UserLogsSection {
    #[serde(deserialize_with = "size")]
    pub(crate) max_key_size: u64,
    #[serde(deserialize_with = "size")]
    pub(crate) max_value_size: u64,
    #[serde(deserialize_with = "size")]
    pub(crate) max_publish_size: u64,
    pub(crate) max_publish_messages: usize,
    #[serde(with = "serde_duration")]
    pub(crate) max_poll: Duration,
    pub(crate) max_waiting: usize,
    pub(crate) max_logs: usize,
    pub(crate) max_offsets: usize,
    pub(crate) max_egress_webhooks: usize,
    pub(crate) max_filters: usize,
    pub(crate) max_ingress_webhooks: usize,
    #[serde(with = "serde_duration")]
    pub(crate) idempotency_window: Duration,
    pub(crate) max_idempotency_keys: u64,
}

/// What stays far below anything that would not fit into memory or a field of the store.
const MOST_BYTES: u64 = 64 << 20;

impl Default for UserLogsSection {
    fn default() -> Self {
        let limits = Limits::default();
        UserLogsSection {
            max_key_size: limits.key as u64,
            max_value_size: limits.value as u64,
            max_publish_size: limits.publish_bytes as u64,
            max_publish_messages: limits.publish_messages,
            max_poll: limits.poll,
            max_waiting: limits.waiting,
            max_logs: limits.logs,
            max_offsets: limits.offsets,
            max_egress_webhooks: limits.egress_webhooks,
            max_filters: limits.filters,
            max_ingress_webhooks: limits.ingress_webhooks,
            idempotency_window: limits.remember,
            max_idempotency_keys: limits.remembered,
        }
    }
}

impl UserLogsSection {
    pub(crate) fn limits(&self) -> Result<Limits, String> {
        let bytes = |name: &str, size: u64| match usize::try_from(size) {
            Ok(bytes) if size <= MOST_BYTES => Ok(bytes),
            _ => Err(format!("{name}: at most {MOST_BYTES} bytes")),
        };
        if self.max_publish_messages > Limits::MOST_MESSAGES {
            return Err(format!("max_publish_messages: at most {}", Limits::MOST_MESSAGES));
        }
        Ok(Limits {
            key: bytes("max_key_size", self.max_key_size)?,
            value: bytes("max_value_size", self.max_value_size)?,
            publish_bytes: bytes("max_publish_size", self.max_publish_size)?,
            publish_messages: self.max_publish_messages,
            poll: self.max_poll,
            waiting: self.max_waiting,
            logs: self.max_logs,
            offsets: self.max_offsets,
            egress_webhooks: self.max_egress_webhooks,
            filters: self.max_filters,
            ingress_webhooks: self.max_ingress_webhooks,
            remember: self.idempotency_window,
            remembered: self.max_idempotency_keys,
            ..Limits::default()
        })
    }
}

/// A list of names; an empty Lua table arrives as an empty object.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Names(Vec<String>);

impl Names {
    pub(crate) fn into_vec(self) -> Vec<String> {
        self.0
    }
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        if value.as_object().is_some_and(serde_json::Map::is_empty) {
            return Ok(Names::default());
        }
        let names: Vec<String> = serde_json::from_value(value).map_err(serde::de::Error::custom)?;
        if let Some(wrong) = names.iter().find(|name| name.is_empty() || name.contains(char::is_control)) {
            let why = format_args!("expected texts without control characters, got {wrong:?}");
            return Err(serde::de::Error::custom(why));
        }
        Ok(Names(names))
    }
}

/// Bytes, or a text such as `10GiB`, `500MB`.
fn size<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    use serde::de::Error;
    let value = Value::deserialize(deserializer)?;
    let text = match &value {
        Value::Number(number) => return number.as_u64().ok_or_else(|| Error::custom("expected a size in bytes")),
        Value::String(text) => text.trim(),
        _ => return Err(Error::custom("expected a size such as \"10GiB\" or a number of bytes")),
    };
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (count, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kib" | "k" => 1 << 10,
        "mib" | "m" => 1 << 20,
        "gib" | "g" => 1 << 30,
        "tib" | "t" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => {
            return Err(Error::custom(format!("unknown unit in size {text:?}, expected KiB, MiB, GiB, TiB, kB, MB …")));
        }
    };
    let count: u64 =
        count.parse().map_err(|_| Error::custom(format!("expected a size such as \"10GiB\", got {text:?}")))?;
    count.checked_mul(factor).ok_or_else(|| Error::custom(format!("size {text:?} is too large")))
}
