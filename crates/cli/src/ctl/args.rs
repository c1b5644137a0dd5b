use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::time::Duration;
use waybill_types::{format_duration, parse_duration};

/// Administer the queues of a running daemon (KumoMTA's kcli)
#[derive(Clone, PartialEq, Eq, Debug, Args)]
pub struct CtlArgs {
    /// The daemon's HTTP listener [default: its admin socket, else http://127.0.0.1:8000]
    #[arg(long, global = true, env = "KUMO_KCLI_ENDPOINT", value_name = "URL")]
    pub(crate) endpoint: Option<String>,
    /// The certificates that an https:// endpoint is believed by, in PEM form [default: the system's]
    #[arg(long, global = true, env = "WAYBILL_CA_FILE", value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Print the daemon's JSON instead of a table
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: CtlCommand,
}

/// The commands of `waybill ctl`.
#[derive(Clone, PartialEq, Eq, Debug, Subcommand)]
pub enum CtlCommand {
    /// Fail everything in some queues for good, now and for a while
    Bounce(Bounce),
    /// List the bounces in force
    BounceList,
    /// End a bounce before its time
    BounceCancel(Which),
    /// Move messages to other queues, or change their meta
    Rebind(Rebind),
    /// Let nothing leave some scheduled queues for a while
    Suspend(Suspend),
    /// List the suspensions of scheduled queues in force
    SuspendList,
    /// End a suspension of scheduled queues before its time
    SuspendCancel(Which),
    /// Let nothing leave a ready queue for a while
    SuspendReadyQ(SuspendReadyQ),
    /// List the suspensions of ready queues in force
    SuspendReadyQList,
    /// End a suspension of a ready queue before its time
    SuspendReadyQCancel(Which),
    /// Choose which diagnostics the daemon writes
    SetLogFilter {
        /// Such as info, or waybill_queue=debug,info
        filter: String,
    },
    /// Have the policy read again
    BumpConfigEpoch,
    /// Have a spool give back the room of what was removed from it; may take long
    SpoolCompact {
        /// Its name in the policy: data or meta
        name: String,
    },
    /// Show a message
    InspectMessage {
        /// Its id
        id: String,
        /// With headers and body
        #[arg(long)]
        want_body: bool,
    },
    /// Show a scheduled queue and some of its messages
    InspectSchedQ(InspectSchedQ),
    /// Show a ready queue and its sessions
    InspectReadyQ {
        /// Its name, SOURCE->SITE@PROTOCOL
        queue_name: String,
        /// With the names of the scheduled queues that lead to it
        #[arg(long)]
        sched_q: bool,
    },
    /// Show which ready queues are kept back by a limit
    ReadyQStates {
        /// Only these queues
        queue: Vec<String>,
    },
    /// Cut a session off; its messages go back to their queue
    AbortReadyQConn {
        /// The ready queue
        queue_name: String,
        /// The session, as inspect-ready-q shows it
        session_id: String,
    },
    /// Show how mail for a domain would leave
    ResolveEgressPath {
        /// The domain
        domain: String,
        /// The egress source
        #[arg(long)]
        source: Option<String>,
    },
    /// Count what waits and what left, by queue
    QueueSummary(Summary),
    /// Count what waits and what left, by provider
    ProviderSummary(Summary),
    /// Listen to mail that comes in by SMTP; passwords are hidden
    TraceSmtpServer(TraceServer),
    /// Listen to mail that goes out by SMTP; passwords are hidden
    TraceSmtpClient(TraceClient),
    /// Watch what flows and what waits
    Top(super::top::Top),
    /// Move messages that wait to another node
    Xfer(super::xfer::Xfer),
    /// Bring messages back that wait to move to another node
    XferCancel(super::xfer::XferCancel),
}

/// Which scheduled queues a command is about: those that every given option fits.
#[derive(Clone, PartialEq, Eq, Debug, Default, Args)]
pub(crate) struct Criteria {
    /// Queues of this domain
    #[arg(long)]
    pub(crate) domain: Option<String>,
    /// Queues of this campaign
    #[arg(long)]
    pub(crate) campaign: Option<String>,
    /// Queues of this tenant
    #[arg(long)]
    pub(crate) tenant: Option<String>,
    /// Every queue; needed when nothing else says which
    #[arg(long, conflicts_with_all = ["domain", "campaign", "tenant"])]
    pub(crate) everything: bool,
}

/// `bounce`.
#[derive(Clone, PartialEq, Eq, Debug, Args)]
pub struct Bounce {
    #[command(flatten)]
    pub(crate) which: Criteria,
    /// Queues of this routing domain
    #[arg(long, conflicts_with = "everything")]
    pub(crate) routing_domain: Option<String>,
    /// The queue of this whole name; may be there several times
    #[arg(long = "queue", alias = "queue-name", value_name = "NAME", conflicts_with = "everything")]
    pub(crate) queue_names: Vec<String>,
    /// What the records say
    #[arg(long)]
    pub(crate) reason: String,
    /// How long messages that come bounce too, such as 30m [default: 5m]
    #[arg(long, value_parser = duration)]
    pub(crate) duration: Option<String>,
    /// Write no records
    #[arg(long)]
    pub(crate) suppress_logging: bool,
}

/// `suspend`.
#[derive(Clone, PartialEq, Eq, Debug, Args)]
pub struct Suspend {
    #[command(flatten)]
    pub(crate) which: Criteria,
    /// The queue of this whole name; may be there several times
    #[arg(long = "queue", alias = "queue-name", value_name = "NAME", conflicts_with = "everything")]
    pub(crate) queue_names: Vec<String>,
    /// What the records say
    #[arg(long)]
    pub(crate) reason: String,
    /// For how long, such as 30m [default: 5m]
    #[arg(long, value_parser = duration)]
    pub(crate) duration: Option<String>,
}

/// `suspend-ready-q`.
#[derive(Clone, PartialEq, Eq, Debug, Args)]
pub struct SuspendReadyQ {
    /// The ready queue, SOURCE->SITE@PROTOCOL
    #[arg(long)]
    pub(crate) name: String,
    /// What the records say
    #[arg(long)]
    pub(crate) reason: String,
    /// For how long, such as 30m [default: 5m]
    #[arg(long, value_parser = duration)]
    pub(crate) duration: Option<String>,
}

/// `rebind`.
#[derive(Clone, PartialEq, Eq, Debug, Args)]
pub struct Rebind {
    #[command(flatten)]
    pub(crate) which: Criteria,
    /// Queues of this routing domain
    #[arg(long, conflicts_with = "everything")]
    pub(crate) routing_domain: Option<String>,
    /// What the records say
    #[arg(long)]
    pub(crate) reason: String,
    /// Meta to set, or what the event gets: a JSON object of texts
    #[arg(long, value_name = "JSON")]
    pub(crate) data: Option<String>,
    /// One meta to set; may be there several times
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) set: Vec<String>,
    /// Let the policy's rebind_message decide what becomes of the data
    #[arg(long)]
    pub(crate) trigger_rebind_event: bool,
    /// Try the messages at once, also where their queue stays the same
    #[arg(long)]
    pub(crate) always_flush: bool,
    /// Write no records
    #[arg(long)]
    pub(crate) suppress_logging: bool,
}

/// By which an order is cancelled.
#[derive(Clone, PartialEq, Eq, Debug, Args)]
pub struct Which {
    /// Its id, as the list shows it
    #[arg(long)]
    pub(crate) id: String,
}

/// `inspect-sched-q`.
#[derive(Clone, PartialEq, Eq, Debug, Args)]
pub struct InspectSchedQ {
    /// Its name
    pub(crate) queue_name: String,
    /// With headers and bodies
    #[arg(long)]
    pub(crate) want_body: bool,
    /// So many messages at most
    #[arg(long, default_value_t = 5, conflicts_with = "no_limit")]
    pub(crate) limit: usize,
    /// All messages
    #[arg(long)]
    pub(crate) no_limit: bool,
}

/// What both traces can be told.
#[derive(Clone, PartialEq, Eq, Debug, Default, Args)]
pub(crate) struct Listening {
    /// Only sessions that begin from now on
    #[arg(long)]
    pub(crate) only_new: bool,
    /// Only the first session that says something; ends with its connection
    #[arg(long)]
    pub(crate) only_one: bool,
    /// Only the beginning of messages
    #[arg(long)]
    pub(crate) terse: bool,
}

/// `trace-smtp-server`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Args)]
pub struct TraceServer {
    /// Only clients of this address or network (10.0.0.0/8); may be there several times
    #[arg(long, value_name = "CIDR")]
    pub(crate) source: Vec<String>,
    #[command(flatten)]
    pub(crate) how: Listening,
}

/// `trace-smtp-client`. Each list may be there several times; all that are there have to fit.
#[derive(Clone, PartialEq, Eq, Debug, Default, Args)]
pub struct TraceClient {
    /// Only mail of this campaign; may be there several times, as all that follow
    #[arg(long)]
    pub(crate) campaign: Vec<String>,
    /// Only mail of this tenant
    #[arg(long)]
    pub(crate) tenant: Vec<String>,
    /// Only mail for this domain
    #[arg(long)]
    pub(crate) domain: Vec<String>,
    /// Only mail for this routing domain
    #[arg(long)]
    pub(crate) routing_domain: Vec<String>,
    /// Only mail that goes by this egress pool
    #[arg(long)]
    pub(crate) egress_pool: Vec<String>,
    /// Only sessions from this egress source
    #[arg(long)]
    pub(crate) egress_source: Vec<String>,
    /// Only mail of this envelope sender
    #[arg(long)]
    pub(crate) mail_from: Vec<String>,
    /// Only mail for this recipient
    #[arg(long)]
    pub(crate) rcpt_to: Vec<String>,
    /// Only sessions with this host
    #[arg(long)]
    pub(crate) mx_host: Vec<String>,
    /// Only sessions of this ready queue
    #[arg(long)]
    pub(crate) ready_queue: Vec<String>,
    /// Only sessions with a host of this address or network
    #[arg(long, value_name = "CIDR")]
    pub(crate) mx_addr: Vec<String>,
    #[command(flatten)]
    pub(crate) how: Listening,
}

/// `queue-summary`, `provider-summary`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Args)]
pub struct Summary {
    /// So many lines of a table at most
    #[arg(long)]
    pub(crate) limit: Option<usize>,
    /// The largest first, not by name
    #[arg(long)]
    pub(crate) by_volume: bool,
    /// Only queues whose name has this in it
    #[arg(long)]
    pub(crate) domain: Option<String>,
}

/// Checked here, so that the mistake is found before anything is sent.
fn duration(text: &str) -> Result<String, String> {
    let duration: Duration = parse_duration(text).map_err(|error| error.to_string())?;
    Ok(format_duration(duration))
}
