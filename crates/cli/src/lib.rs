//! The commands that talk to a running daemon, over its admin socket, or over HTTP where an endpoint is named.
//!
//! The binary flattens [`ClientCommand`] into its own commands and [`AdminSocketArg`] into its options, and hands what
//! was parsed to [`run`]. Nothing here starts a daemon or reads its files.
//!
//! ```
//! use clap::Parser;
//! #[derive(Parser)]
//! struct Cli {
//!     #[command(flatten)]
//!     socket: waybill_cli::AdminSocketArg,
//!     #[command(subcommand)]
//!     command: waybill_cli::ClientCommand,
//! }
//! let cli = Cli::parse_from(["waybill", "hooks", "list", "--admin-socket", "/run/waybill/admin.sock"]);
//! let socket = cli.socket.or("/var/lib/waybill/admin.sock");
//! assert_eq!(socket.to_str(), Some("/run/waybill/admin.sock"));
//! let work = waybill_cli::run(cli.command, &socket, cli.socket.named());
//! # drop(work);
//! ```

mod client;
mod command;
mod ctl;
mod endpoint;
mod event_hooks;
mod hooks;
mod misuse;
mod reach;
mod receive;
mod show;
mod streams;
mod token;
mod tokens;

pub use client::{AdminClient, ClientError};
pub use command::{AdminSocketArg, ClientCommand, Named, run};
pub use ctl::{CtlArgs, CtlCommand};
pub use endpoint::{Endpoint, EndpointError};
pub use event_hooks::{EventHooksCommand, HookArgs, TailArgs};
pub use hooks::{HookStatus, HooksCommand};
pub use misuse::Misuse;
pub use reach::{At, ReachArgs, With};
pub use receive::ReceiveArgs;
pub use streams::StreamsCommand;
pub use tokens::{ApiError, TokensArgs, TokensCommand};
