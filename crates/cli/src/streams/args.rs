use super::call::Body;
use super::message::MessageArgs;
use crate::reach::{At, With};
use anyhow::Context;
use clap::{Args, Subcommand};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;
use waybill_types::parse_duration;

/// Commands about logs, as klev has them.
#[derive(Clone, PartialEq, Eq, Debug, Subcommand)]
pub enum StreamsCommand {
    /// Logs of the running daemon
    Logs(At<LogsCommand>),
    /// Places in logs that consumers keep with the daemon
    Offsets(At<OffsetsCommand>),
    /// Webhooks that send each new message of a log
    EgressWebhooks(At<EgressCommand>),
    /// What of one log is copied into another
    Filters(At<FiltersCommand>),
    /// Webhooks of others that are received into a log
    IngressWebhooks(At<IngressCommand>),
    /// Publish a message to a log
    Publish(Box<With<PublishArgs>>),
    /// Read messages of a log
    Consume(With<ConsumeArgs>),
    /// Show one message of a log
    GetByOffset(With<GetArgs>),
    /// Drop messages of a log now
    Cleanup(With<CleanupArgs>),
}

/// What of a log is dropped. Nothing said: nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Args)]
pub struct LimitArgs {
    /// From the front: messages older than so many seconds; 0 takes the limit away
    #[arg(long, value_name = "SECONDS")]
    trim_seconds: Option<u64>,
    /// From the front: until the rest has so many bytes; 0 takes the limit away
    #[arg(long, value_name = "BYTES")]
    trim_size: Option<u64>,
    /// From the front: until so many messages are left; 0 takes the limit away
    #[arg(long, value_name = "MESSAGES")]
    trim_count: Option<u64>,
    /// Messages older than so many seconds whose key has a later message; 0 takes the limit away
    #[arg(long, value_name = "SECONDS")]
    compact_seconds: Option<u64>,
    /// Messages older than so many seconds without a value; 0 takes the limit away
    #[arg(long, value_name = "SECONDS")]
    expire_seconds: Option<u64>,
}

impl LimitArgs {
    pub(super) fn body(&self) -> Body {
        let mut body = Body::default();
        body.set("trim_seconds", self.trim_seconds).set("trim_size", self.trim_size);
        body.set("trim_count", self.trim_count).set("compact_seconds", self.compact_seconds);
        body.set("expire_seconds", self.expire_seconds);
        body
    }
}

/// The commands of `waybill logs`.
#[derive(Clone, PartialEq, Eq, Debug, Subcommand)]
pub enum LogsCommand {
    /// List logs, the built-in one of mail events first
    List {
        /// Only those with exactly this metadata
        #[arg(long, value_name = "TEXT")]
        metadata: Option<String>,
    },
    /// Make a log
    Create {
        /// What to say about it
        #[arg(long, value_name = "TEXT")]
        metadata: Option<String>,
        /// Keep the newest message of each key findable; never changes later
        #[arg(long)]
        compacting: bool,
        /// The tenant whose it is: tokens of that tenant reach it; never changes later
        #[arg(long, value_name = "TENANT")]
        tenant: Option<String>,
        #[command(flatten)]
        limits: LimitArgs,
    },
    /// Show a log
    Get {
        /// Its id
        #[arg(value_name = "LOG")]
        id: String,
    },
    /// Tell how much a log holds
    Stats {
        /// Its id
        #[arg(value_name = "LOG")]
        id: String,
    },
    /// Change a log; what is not named stays
    Update {
        /// Its id
        #[arg(value_name = "LOG")]
        id: String,
        /// What to say about it
        #[arg(long, value_name = "TEXT")]
        metadata: Option<String>,
        #[command(flatten)]
        limits: LimitArgs,
    },
    /// Delete a log with its messages, stored offsets, webhooks and filters
    Delete {
        /// Its id
        #[arg(value_name = "LOG")]
        id: String,
    },
}

/// The commands of `waybill offsets`.
#[derive(Clone, PartialEq, Eq, Debug, Subcommand)]
pub enum OffsetsCommand {
    /// List stored offsets
    List {
        /// Only those with exactly this metadata
        #[arg(long, value_name = "TEXT")]
        metadata: Option<String>,
    },
    /// Make a stored offset, at the oldest message of a log
    Create {
        /// The log
        #[arg(long, value_name = "LOG")]
        log_id: String,
        /// What to say about it
        #[arg(long, value_name = "TEXT")]
        metadata: Option<String>,
    },
    /// Show a stored offset
    Get {
        /// Its id
        #[arg(value_name = "OFFSET")]
        id: String,
    },
    /// Move a stored offset; what is not named stays
    Update {
        /// Its id
        #[arg(value_name = "OFFSET")]
        id: String,
        /// What to say about it
        #[arg(long, value_name = "TEXT")]
        metadata: Option<String>,
        /// Where to go on
        #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
        value: Option<i64>,
        /// What to say about that
        #[arg(long, value_name = "TEXT")]
        value_metadata: Option<String>,
    },
    /// Delete a stored offset
    Delete {
        /// Its id
        #[arg(value_name = "OFFSET")]
        id: String,
    },
}

/// The commands of `waybill egress-webhooks`.
#[derive(Clone, PartialEq, Eq, Debug, Subcommand)]
pub enum EgressCommand {
    /// List egress webhooks
    List {
        /// Only those with exactly this metadata
        #[arg(long, value_name = "TEXT")]
        metadata: Option<String>,
    },
    /// Make an egress webhook, and show its secret this once
    Create {
        /// The log whose messages it sends
        #[arg(long, value_name = "LOG")]
        log_id: String,
        /// The URL that it sends them to
        #[arg(long, value_name = "URL")]
        destination: String,
        /// What of them: message, key or value
        #[arg(long, value_name = "WHAT", default_value = "message")]
        payload: String,
        /// In which order: strict, or parallel_by_key
        #[arg(long, value_name = "MODE")]
        mode: Option<String>,
        /// What to say about it
        #[arg(long, value_name = "TEXT")]
        metadata: Option<String>,
        /// Where to begin: an offset, -2 for the oldest message [default: what comes next]
        #[arg(long, value_name = "OFFSET", allow_negative_numbers = true)]
        offset: Option<i64>,
    },
    /// Show an egress webhook
    Get {
        /// Its id
        #[arg(value_name = "WEBHOOK")]
        id: String,
    },
    /// Give an egress webhook a new secret, and show it this once
    Rotate {
        /// Its id
        #[arg(value_name = "WEBHOOK")]
        id: String,
        /// How long the old secret signs too; 0: not at all
        #[arg(long, value_name = "SECONDS", default_value_t = 0)]
        expire_seconds: u64,
    },
    /// Tell how an egress webhook stands
    Status {
        /// Its id
        #[arg(value_name = "WEBHOOK")]
        id: String,
    },
    /// Change, pause, move or wake an egress webhook; what is not named stays
    Update {
        /// Its id
        #[arg(value_name = "WEBHOOK")]
        id: String,
        /// What to say about it
        #[arg(long, value_name = "TEXT")]
        metadata: Option<String>,
        /// The URL that it sends to
        #[arg(long, value_name = "URL")]
        destination: Option<String>,
        /// Have it rest (false) or go on (true)
        #[arg(long, value_name = "BOOL")]
        active: Option<bool>,
        /// Where to go on: an offset, -2 for the oldest message, -1 for what comes next
        #[arg(long, value_name = "OFFSET", allow_negative_numbers = true, group = "move")]
        next_offset: Option<i64>,
        /// Where to go on: at the first message of this time or later; RFC 3339, or microseconds since the epoch
        #[arg(long, value_name = "TIME", group = "move")]
        next_time: Option<String>,
        /// A message that waits and is not to be sent any more: the next one, or by key one that is parked
        #[arg(long, value_name = "OFFSET", group = "move")]
        skip: Option<u64>,
    },
    /// Delete an egress webhook
    Delete {
        /// Its id
        #[arg(value_name = "WEBHOOK")]
        id: String,
    },
}

/// The commands of `waybill filters`.
#[derive(Clone, PartialEq, Eq, Debug, Subcommand)]
pub enum FiltersCommand {
    /// List filters
    List {
        /// Only those with exactly this metadata
        #[arg(long, value_name = "TEXT")]
        metadata: Option<String>,
    },
    /// Make a filter
    Create {
        /// The log that is read
        #[arg(long, value_name = "LOG")]
        source_id: String,
        /// The log that is written
        #[arg(long, value_name = "LOG")]
        target_id: String,
        /// Which messages are copied: a condition in CEL over offset, time, key and value
        #[arg(long, value_name = "CEL", required_unless_present = "mode")]
        expression: Option<String>,
        /// What is made of them: copy, or last_state (of mail: nothing behind how it ended)
        #[arg(long, value_name = "MODE")]
        mode: Option<String>,
        /// What to say about it
        #[arg(long, value_name = "TEXT")]
        metadata: Option<String>,
        /// Where to begin: an offset, -2 for the oldest message [default: what comes next]
        #[arg(long, value_name = "OFFSET", allow_negative_numbers = true)]
        offset: Option<i64>,
    },
    /// Show a filter
    Get {
        /// Its id
        #[arg(value_name = "FILTER")]
        id: String,
    },
    /// Tell how a filter stands
    Status {
        /// Its id
        #[arg(value_name = "FILTER")]
        id: String,
    },
    /// Change, pause or wake a filter; what is not named stays
    Update {
        /// Its id
        #[arg(value_name = "FILTER")]
        id: String,
        /// What to say about it
        #[arg(long, value_name = "TEXT")]
        metadata: Option<String>,
        /// Which messages are copied from now on
        #[arg(long, value_name = "CEL")]
        expression: Option<String>,
        /// Have it rest (false) or go on (true)
        #[arg(long, value_name = "BOOL")]
        active: Option<bool>,
    },
    /// Delete a filter
    Delete {
        /// Its id
        #[arg(value_name = "FILTER")]
        id: String,
    },
}

/// Where a secret comes from: better a file or the environment than the command line, which others can see.
#[derive(Clone, PartialEq, Eq, Default, Args)]
pub struct SecretArgs {
    /// The secret that the sender signs with; better kept off the command line, by one of the two other ways
    #[arg(long, value_name = "SECRET", env = "WAYBILL_WEBHOOK_SECRET", hide_env_values = true)]
    secret: Option<String>,
    /// A file that holds the secret
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
}

impl fmt::Debug for SecretArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretArgs").field("secret_file", &self.secret_file).finish_non_exhaustive()
    }
}

impl SecretArgs {
    /// The secret; white space around that of a file is none of it.
    pub(super) fn read(&self) -> anyhow::Result<Option<String>> {
        let Some(file) = &self.secret_file else { return Ok(self.secret.clone()) };
        let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
        Ok(Some(text.trim().to_owned()))
    }
}

/// The commands of `waybill ingress-webhooks`.
#[derive(Clone, PartialEq, Eq, Debug, Subcommand)]
pub enum IngressCommand {
    /// List ingress webhooks
    List {
        /// Only those with exactly this metadata
        #[arg(long, value_name = "TEXT")]
        metadata: Option<String>,
    },
    /// Make an ingress webhook: what is sent to /ingress_webhook/ID and signed with the secret comes into the log
    Create {
        /// The log that takes what comes
        #[arg(long, value_name = "LOG")]
        log_id: String,
        /// Who sends: gitHub, klev-message, klev-key, klev-value, slack, stripe or standard (Standard Webhooks)
        #[arg(long = "type", value_name = "TYPE")]
        kind: String,
        #[command(flatten)]
        secret: SecretArgs,
        /// What to say about it
        #[arg(long, value_name = "TEXT")]
        metadata: Option<String>,
    },
    /// Show an ingress webhook
    Get {
        /// Its id
        #[arg(value_name = "WEBHOOK")]
        id: String,
    },
    /// Change an ingress webhook or its secret; what is not named stays
    Update {
        /// Its id
        #[arg(value_name = "WEBHOOK")]
        id: String,
        #[command(flatten)]
        secret: SecretArgs,
        /// How long the old secret counts too
        #[arg(long, value_name = "SECONDS")]
        expire_seconds: Option<u64>,
        /// What to say about it
        #[arg(long, value_name = "TEXT")]
        metadata: Option<String>,
    },
    /// Delete an ingress webhook
    Delete {
        /// Its id
        #[arg(value_name = "WEBHOOK")]
        id: String,
    },
}

/// What `waybill publish` takes.
#[derive(Clone, PartialEq, Eq, Debug, Args)]
pub struct PublishArgs {
    /// The log's id
    #[arg(value_name = "LOG")]
    pub(super) log: String,
    /// By what the publish is known: the same key with the same message again is not stored again
    #[arg(long, value_name = "KEY")]
    pub(super) idempotency_key: Option<String>,
    #[command(flatten)]
    pub(super) message: MessageArgs,
}

/// What `waybill consume` takes.
#[derive(Clone, PartialEq, Eq, Debug, Args)]
pub struct ConsumeArgs {
    /// The log's id
    #[arg(value_name = "LOG")]
    pub(super) log: String,
    /// Where to begin: an offset, -2 for the oldest message, -1 for what comes next
    #[arg(long, value_name = "OFFSET", default_value_t = -2, allow_negative_numbers = true)]
    pub(super) offset: i64,
    /// Begin where this stored offset stands
    #[arg(long, value_name = "OFFSET", conflicts_with = "offset")]
    pub(super) offset_id: Option<String>,
    /// Begin at the first message of this time or later: RFC 3339, or microseconds since the epoch
    #[arg(long, value_name = "TIME", conflicts_with_all = ["offset", "offset_id"])]
    pub(super) time: Option<String>,
    /// At most so many messages
    #[arg(long, value_name = "MESSAGES", default_value_t = 100)]
    pub(super) size: u64,
    /// How long to wait for the first message [default: not at all, with --continue 30s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(super) poll: Option<Duration>,
    /// How to show keys and values: string or base64
    #[arg(long, value_name = "ENCODING", default_value = "string")]
    pub(super) encoding: String,
    /// Go on with what comes next, until interrupted; that nothing came is not printed
    #[arg(long = "continue")]
    pub(super) go_on: bool,
}

/// What `waybill get-by-offset` takes.
#[derive(Clone, PartialEq, Eq, Debug, Args)]
pub struct GetArgs {
    /// The log's id
    #[arg(value_name = "LOG")]
    pub(super) log: String,
    /// The message's offset; -1 for the last, -2 for the oldest
    #[arg(long, value_name = "OFFSET", default_value_t = -1, allow_negative_numbers = true)]
    pub(super) offset: i64,
    /// How to show key and value: string or base64
    #[arg(long, value_name = "ENCODING", default_value = "string")]
    pub(super) encoding: String,
}

/// What `waybill cleanup` takes.
#[derive(Clone, PartialEq, Eq, Debug, Args)]
pub struct CleanupArgs {
    /// The log's id
    #[arg(value_name = "LOG")]
    pub(super) log: String,
    #[command(flatten)]
    pub(super) limits: LimitArgs,
}
