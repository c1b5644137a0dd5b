use crate::ClientError;
use crate::ctl::{self, CtlArgs};
use crate::event_hooks::{self, EventHooksCommand, TailArgs};
use crate::hooks::{self, HooksCommand};
use crate::reach::{At, With};
use crate::receive::{self, ReceiveArgs};
use crate::streams::{self, StreamsCommand};
use crate::tokens::{self, ApiError, TokensArgs};
use clap::{Args, Subcommand};
use std::path::{Path, PathBuf};

/// Commands that ask a running daemon.
#[derive(Clone, PartialEq, Eq, Debug, Subcommand)]
pub enum ClientCommand {
    /// Webhooks and other log hooks of the running daemon
    Hooks(At<HooksCommand>),
    /// Administer the queues of the running daemon, as KumoMTA's kcli does
    Ctl(Box<CtlArgs>),
    /// Bearer tokens for programs that use the API
    Tokens(Box<TokensArgs>),
    /// Logs, offsets, egress webhooks
    #[command(flatten)]
    Streams(StreamsCommand),
    /// Event hooks: who is told of which events
    EventHooks(At<EventHooksCommand>),
    /// Show events as they happen
    Tail(With<TailArgs>),
    /// Receive what an egress webhook sends, and print it
    Receive(ReceiveArgs),
}

/// Whether somebody named the admin socket, or it is where it would be by default.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Named {
    /// By option or environment: nothing else is tried.
    Yes,
    /// Where it is not there, `ctl` looks for an HTTP listener.
    No,
}

/// Where the daemon's admin socket is.
#[derive(Clone, PartialEq, Eq, Debug, Default, Args)]
pub struct AdminSocketArg {
    /// The admin socket of the daemon to talk to [default: admin.sock in its state directory]
    #[arg(long, global = true, env = "WAYBILL_ADMIN_SOCKET", value_name = "PATH")]
    pub admin_socket: Option<PathBuf>,
}

impl AdminSocketArg {
    /// The socket that was named, else this one.
    pub fn or(&self, default: impl Into<PathBuf>) -> PathBuf {
        self.admin_socket.clone().unwrap_or_else(|| default.into())
    }

    /// Whether one was named.
    pub fn named(&self) -> Named {
        if self.admin_socket.is_some() { Named::Yes } else { Named::No }
    }
}

/// Runs a command against the daemon behind `socket`, and prints what it answers.
///
/// # Errors
/// When the daemon cannot be reached or refuses, or standard output cannot be written.
pub async fn run(command: ClientCommand, socket: &Path, named: Named) -> anyhow::Result<()> {
    let text = match command {
        ClientCommand::Hooks(At { reach, command }) => hooks::run(command, &reach.client(socket)?).await?,
        ClientCommand::Ctl(args) => ctl::run(*args, socket, named == Named::Yes).await?,
        ClientCommand::EventHooks(At { reach, command }) => event_hooks::run(command, &reach.client(socket)?).await?,
        ClientCommand::Tokens(args) => tokens::run(*args, socket).await.map_err(as_json)?,
        // These print as they go: they may go on for long.
        ClientCommand::Streams(command) => return streams::run(command, socket).await,
        ClientCommand::Tail(With { reach, args }) => return event_hooks::tail::run(args, &reach.client(socket)?).await,
        ClientCommand::Receive(args) => return receive::run(args).await,
    };
    crate::show::print(&text)
}

/// An error of the API in the form that scripts written for klev's command read.
fn as_json(error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref::<ClientError>().and_then(ApiError::of) {
        Some(json) => json.into(),
        None => error,
    }
}
