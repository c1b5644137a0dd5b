use clap::{ArgAction, Args, Subcommand};
use std::path::PathBuf;

/// The commands of `waybill event-hooks`.
#[derive(Clone, PartialEq, Eq, Debug, Subcommand)]
pub enum EventHooksCommand {
    /// List what can be subscribed to
    Sources {
        /// Only the events of this source
        #[arg(value_name = "SOURCE")]
        source: Option<String>,
        /// Print the answer as it came
        #[arg(long)]
        json: bool,
    },
    /// List event hooks, the oldest first
    List {
        /// Print the answer as it came
        #[arg(long)]
        json: bool,
    },
    /// Make an event hook
    Create(Box<HookArgs>),
    /// Show an event hook
    Get {
        /// The event hook
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Change what is named of an event hook
    Update {
        /// The event hook
        #[arg(value_name = "ID")]
        id: String,
        /// What is to be different
        #[command(flatten)]
        hook: Box<HookArgs>,
    },
    /// Delete an event hook, with the events that are on their way to it
    Delete {
        /// The event hook
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Send the ping document to the target of a webhook
    Ping {
        /// The event hook
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Run an event hook once with an event of yours
    Test {
        /// The event hook
        #[arg(value_name = "ID")]
        id: String,
        /// The event's fields, a JSON object
        #[arg(long, value_name = "JSON", default_value = "{}")]
        data: String,
    },
    /// List attempts, the newest last
    Attempts {
        /// The event hook
        #[arg(value_name = "ID")]
        id: String,
        /// So many at most
        #[arg(long, value_name = "COUNT", default_value_t = 100)]
        limit: usize,
        /// Behind this one
        #[arg(long, value_name = "ATTEMPT")]
        after: Option<u64>,
        /// Print the answer as it came
        #[arg(long)]
        json: bool,
    },
    /// Send the events of an attempt, or of a range of offsets, again
    Resend {
        /// The event hook
        #[arg(value_name = "ID")]
        id: String,
        /// The attempt
        #[arg(long, value_name = "ATTEMPT", conflicts_with_all = ["from", "until"])]
        attempt: Option<u64>,
        /// The first offset
        #[arg(long, value_name = "OFFSET", required_unless_present = "attempt")]
        from: Option<u64>,
        /// The last offset [default: the first]
        #[arg(long, value_name = "OFFSET")]
        until: Option<u64>,
    },
    /// Send events since a time again
    Replay {
        /// The event hook
        #[arg(value_name = "ID")]
        id: String,
        /// A time such as 2026-11-25T08:00:00Z, or how long ago: 90m
        #[arg(long, value_name = "TIME")]
        since: String,
        /// Another; now when left out
        #[arg(long, value_name = "TIME")]
        until: Option<String>,
    },
    /// List events that were given up
    DeadLetters {
        /// The event hook
        #[arg(value_name = "ID")]
        id: String,
        /// So many at most
        #[arg(long, value_name = "COUNT", default_value_t = 100)]
        limit: usize,
    },
    /// Try events again that were given up
    Redrive {
        /// The event hook
        #[arg(value_name = "ID")]
        id: String,
        /// Only those with this reason
        #[arg(long, value_name = "REASON")]
        reason: Option<String>,
        /// Only the one at this offset
        #[arg(long, value_name = "OFFSET")]
        offset: Option<u64>,
    },
    /// Show what the last events would be sent as, without sending them
    DryRun {
        /// The event hook
        #[arg(value_name = "ID")]
        id: String,
        /// So many events
        #[arg(long, value_name = "COUNT", default_value_t = 10)]
        last: usize,
    },
    /// Tell how an event hook stands
    Status {
        /// The event hook
        #[arg(value_name = "ID")]
        id: String,
    },
}

/// What an event hook is to be. What is left out is not sent.
#[derive(Clone, PartialEq, Eq, Debug, Default, Args)]
pub struct HookArgs {
    /// Where its events come from
    #[arg(long, value_name = "SOURCE")]
    pub(super) source: Option<String>,
    /// Which of them; all when left out
    #[arg(long, value_name = "EVENT")]
    pub(super) event: Option<String>,
    /// What to do: webhook, webhook-custom, log or lambda
    #[arg(long, value_name = "HANDLER")]
    pub(super) handler: Option<String>,
    /// Whom to call (config.url)
    #[arg(long, value_name = "URL")]
    pub(super) url: Option<String>,
    /// A file with what to sign with (config.secret), so that it stands in no history of a shell
    #[arg(long, value_name = "FILE")]
    pub(super) secret_file: Option<PathBuf>,
    /// Only events for which this condition in CEL holds
    #[arg(long, value_name = "CEL")]
    pub(super) filter: Option<String>,
    /// Keep quiet for so many seconds after it fired
    #[arg(long, value_name = "SECONDS")]
    pub(super) snooze: Option<u64>,
    /// Only when the event differs from the one before
    #[arg(long, value_name = "true|false")]
    pub(super) on_change: Option<bool>,
    /// Whether it fires
    #[arg(long, value_name = "true|false")]
    pub(super) enabled: Option<bool>,
    /// Any other field, such as config.payload.text=hello; what is JSON counts as such
    #[arg(long, value_name = "FIELD=VALUE", action = ArgAction::Append)]
    pub(super) set: Vec<String>,
    /// Any other field by what a file holds, such as config.tls.ca=ca.pem or config.auth.bearer.token=token.txt
    #[arg(long, value_name = "FIELD=FILE", action = ArgAction::Append)]
    pub(super) set_file: Vec<String>,
    /// A JSON file with the rest of the description, - for standard input
    #[arg(long, value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
}
