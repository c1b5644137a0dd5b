use crate::diag::Format;
use clap::{Parser, Subcommand};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use waybill_cli::{AdminSocketArg, ClientCommand};

/// The name under which the program behaves as `waybill serve`.
const KUMOD: &str = "kumod";
/// And this one as `waybill ctl`.
const KCLI: &str = "kcli";

/// A mail transfer agent whose every delivery event reaches your platform.
#[derive(Parser, Debug)]
#[command(name = "waybill", version, about, max_term_width = 100)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) socket: AdminSocketArg,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Run the daemon
    Serve(ServeOptions),
    #[command(flatten)]
    Client(ClientCommand),
    /// Print what there is, for the documentation
    #[command(hide = true)]
    DumpReference,
}

/// What the daemon is told on the command line.
#[derive(clap::Args, Debug, Clone)]
pub(crate) struct ServeOptions {
    /// The policy script [default: /etc/waybill/init.lua, else a built-in policy that listens on loopback only]
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,

    /// Only check the policy: nothing is opened, the exit code tells
    #[arg(long)]
    pub(crate) validate: bool,

    /// The user to run as; needed when started as root
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,

    /// How diagnostic lines on stderr look
    #[arg(long, value_enum, default_value_t = Format::Full)]
    pub(crate) diag_format: Format,

    /// Where the admin socket and the node's id live
    #[arg(long, value_name = "DIR", env = "WAYBILL_STATE_DIR")]
    pub(crate) state_dir: Option<PathBuf>,
}

impl Args {
    pub(crate) fn from_command_line() -> Self {
        let mut given: Vec<OsString> = std::env::args_os().collect();
        // Started as kumod, the flags are those of `waybill serve`.
        let called = given.first().map(Path::new).and_then(Path::file_name);
        // And as kcli, the commands are those of `waybill ctl`.
        let implied = match called.and_then(|name| name.to_str()) {
            Some(KUMOD) => Some("serve"),
            Some(KCLI) => Some("ctl"),
            _ => None,
        };
        // But for its version, which is that of the program.
        let version = given.get(1).is_some_and(|word| word == "--version" || word == "-V");
        if let Some(command) = implied.filter(|_| !version) {
            given.insert(1, command.into());
        }
        Args::parse_from(given)
    }
}
