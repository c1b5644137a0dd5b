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
    /// Run functions that the daemon gives it over standard input; the daemon starts it
    #[command(hide = true)]
    LambdaWorker,
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

    /// Only load the policy and run its main event; its error is ours
    #[arg(long, conflicts_with = "validate")]
    pub(crate) script: bool,

    /// An argument for main, before those behind --; may be there several times
    #[arg(long, requires = "script", value_name = "ARG", allow_hyphen_values = true)]
    pub(crate) script_args: Vec<String>,

    /// Arguments for main, each a text
    #[arg(last = true, requires = "script", value_name = "ARG")]
    pub(crate) main_args: Vec<String>,

    /// Print the description of the HTTP API and end
    #[arg(long)]
    pub(crate) dump_openapi_spec: bool,

    /// Print which caches there are and end
    #[arg(long)]
    pub(crate) dump_lruttl_caches: bool,

    /// Print which metrics there are and end
    #[arg(long)]
    pub(crate) dump_metric_metadata: bool,

    /// The user to run as; needed when started as root
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,

    /// Write diagnostic lines to a file for each hour in this directory, not to stderr
    #[arg(long, value_name = "DIR")]
    pub(crate) diag_log_dir: Option<PathBuf>,

    /// How diagnostic lines look
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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Arg, ArgAction, CommandFactory, error::ErrorKind};

    /// Every command that does something, with the words that lead to it.
    fn commands() -> Vec<(Vec<String>, clap::Command)> {
        let mut root = Args::command();
        root.build();
        let (mut leaves, mut waiting) = (Vec::new(), vec![(vec!["waybill".to_owned()], root)]);
        while let Some((words, command)) = waiting.pop() {
            if !command.has_subcommands() {
                leaves.push((words, command));
                continue;
            }
            for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
                waiting.push(([words.clone(), vec![below.get_name().to_owned()]].concat(), below.clone()));
            }
        }
        leaves
    }

    fn refusal(words: &[String], more: &[&str]) -> clap::Error {
        let line = words.iter().map(String::as_str).chain(more.iter().copied());
        let refused = Args::try_parse_from(line).err().unwrap_or_else(|| panic!("{words:?} {more:?} is taken"));
        assert_eq!(refused.exit_code(), 2, "{words:?} {more:?}: {refused}");
        refused
    }

    fn takes_value(option: &Arg) -> bool {
        matches!(option.get_action(), ArgAction::Set | ArgAction::Append)
    }

    #[test]
    fn every_command_says_what_it_does_not_know_and_ends_with_2() {
        let commands = commands();
        assert!(commands.len() > 25, "{} commands", commands.len());
        for (words, command) in &commands {
            let text = refusal(words, &["--colour"]).to_string();
            assert!(text.contains("unexpected argument '--colour'"), "{text}");
            assert!(text.contains(&format!("Usage: {}", words.join(" "))) && text.contains("--help"), "{text}");
            for option in command.get_arguments().filter(|option| takes_value(option) && !option.is_positional()) {
                let name = format!("--{}", option.get_long().expect("a name"));
                let text = refusal(words, &[&name]).to_string();
                assert!(text.contains(&name) && text.contains("a value is required"), "{text}");
                assert!(option.get_help().is_some(), "{words:?} {name} has no help");
            }
        }
    }

    #[test]
    fn every_command_names_what_is_missing_and_ends_with_2() {
        let mut checked = 0;
        for (words, command) in commands() {
            let required: Vec<&Arg> = command.get_arguments().filter(|argument| argument.is_required_set()).collect();
            if required.is_empty() {
                continue;
            }
            let refused = refusal(&words, &[]);
            assert_eq!(refused.kind(), ErrorKind::MissingRequiredArgument, "{words:?}: {refused}");
            for argument in required {
                let name = argument.get_long().map_or_else(
                    || format!("<{}>", argument.get_value_names().expect("a name")[0]),
                    |long| format!("--{long}"),
                );
                assert!(refused.to_string().contains(&name), "{words:?}: {name} is not named: {refused}");
                checked += 1;
            }
        }
        assert!(checked > 20, "{checked} arguments");
        let unknown = refusal(&["waybill".to_owned()], &["sreve"]).to_string();
        assert!(unknown.contains("'sreve'") && unknown.contains("serve"), "{unknown}");
    }
}
