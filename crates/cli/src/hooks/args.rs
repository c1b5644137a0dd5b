use clap::{ArgGroup, Args, Subcommand};

/// What can be asked about hooks and done with them.
#[derive(Clone, PartialEq, Eq, Debug, Subcommand)]
pub enum HooksCommand {
    /// List hooks: how far behind they are, what waits, what their endpoints last said
    List {
        /// Print the daemon's JSON instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Show one hook, lane by lane
    Status {
        /// The hook, or one of its replays
        name: String,
        /// Print the daemon's JSON instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Have a hook rest: it sends nothing until it is resumed, also after a restart
    Pause {
        /// The hook
        name: String,
    },
    /// Have a paused hook go on
    Resume {
        /// The hook
        name: String,
    },
    /// Send events again that a hook had before, beside what it sends now
    Replay(ReplayArgs),
    /// End a replay
    CancelReplay {
        /// The replay, as `hooks list` shows it: `HOOK@replay-1`
        name: String,
    },
    /// List events that could not be delivered, oldest first
    DeadLetters {
        /// The hook
        name: String,
        /// At most so many
        #[arg(long, default_value_t = 100)]
        limit: usize,
        /// Print JSON, with the whole record of each event
        #[arg(long)]
        json: bool,
    },
    /// Try dead letters again: all of a hook, or those that are named
    Redrive(RedriveArgs),
    /// Drop what is kept of a hook that left the policy: its position, what waited for it, and its dead letters
    Forget {
        /// The hook
        name: String,
    },
}

/// Which events are to be sent again.
#[derive(Clone, PartialEq, Eq, Debug, Args)]
#[command(group(ArgGroup::new("begin").required(true).args(["last", "since", "from"])))]
pub struct ReplayArgs {
    /// The hook
    pub name: String,
    /// The last so many events (of the kinds that are named)
    #[arg(long, value_name = "COUNT")]
    pub last: Option<usize>,
    /// Those since this time (2026-11-25T08:00:00Z), or since so long ago (90m)
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Those from this place in the journal on
    #[arg(long, value_name = "OFFSET")]
    pub from: Option<u64>,
    /// Only those before this time, or so long ago
    #[arg(long, value_name = "TIME")]
    pub before: Option<String>,
    /// Only events of this kind, such as Bounce; may be given several times
    #[arg(long = "kind", value_name = "KIND")]
    pub kinds: Vec<String>,
    /// Come back at once instead of showing how far it is
    #[arg(long)]
    pub detach: bool,
}

/// Which dead letters are to be tried again.
#[derive(Clone, PartialEq, Eq, Debug, Args)]
pub struct RedriveArgs {
    /// The hook
    pub name: String,
    /// Only those with this reason, such as permanent or expired
    #[arg(long)]
    pub reason: Option<String>,
    /// Only that of the event at this place in the journal
    #[arg(long)]
    pub offset: Option<u64>,
    /// Come back at once instead of showing how far it is
    #[arg(long)]
    pub detach: bool,
}
