//! What may be typed after `cargo xtask`.

use std::fmt;

use crate::docs::{Depth, Task};

/// The help text.
pub(crate) const TEXT: &str = "\
Usage: cargo xtask COMMAND

  test             everything CI runs: format, lints, tests, graph, links, Lua helpers, licences
  test --quick     the same, but lints and tests of the pure crates only: seconds, no C++
  graph            print the crates and their arrows as a mermaid diagram
  graph --check    fail when a crate depends on something it may not
  docs             write what the program knows itself into docs/reference, and begin missing pages
  docs --check     fail when that is not current, a page, a word, a link or a named test is missing
  docs --check --quick  the same for links and named tests only: the program is not built
  demo             start a daemon and a webhook receiver, send mail, show every event as it arrives
  demo --keep      the same, and leave both running until the daemon is stopped
  fuzz             let libFuzzer feed each target of crates/fuzz-targets for a minute (needs cargo-fuzz)
  fuzz --target smtp_session --seconds 600  only that one, for longer
  bench [OPTION…]  measure the release build end to end: throughput, CPU, memory, latency (see bench --help)
  soak [OPTION…]   full load and kill -9 for minutes, then everything is compared (see soak --help)
  count [OPTION…]  instructions of an event that a hook sends, by valgrind (see count --help)
  help             this text

Compilers and the linker are chosen by what is installed (ccache, mold); artifacts go to
CARGO_TARGET_DIR, by default ~/.cache/waybill/target.
";

/// How much `test` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Everything CI runs.
    Full,
    /// Lints and tests of the pure crates only.
    Quick,
}

/// What `graph` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GraphTask {
    /// Compare the arrows with the allowed ones.
    Check,
    /// Print them.
    Print,
}

/// What `demo` does once the events are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Stop the daemon and remove the demo's folder.
    Stop,
    /// Leave it running until somebody stops the daemon.
    Keep,
}

/// What `fuzz` does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fuzzing {
    /// Which target; unset is each after the other.
    pub(crate) target: Option<String>,
    /// For how long, each.
    pub(crate) seconds: u64,
}

/// A command line that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Print the help text.
    Help,
    /// Run the checks.
    Test(Scope),
    /// Look at the arrows between the crates.
    Graph(GraphTask),
    /// Make or check the documentation.
    Docs(Task, Depth),
    /// Show the daemon at work.
    Demo(Ending),
    /// Feed what reads strangers' bytes.
    Fuzz(Fuzzing),
    /// Measure it, with these words for the bench itself.
    Bench(Vec<String>),
    /// Wear it out, with these words for the soak itself.
    Soak(Vec<String>),
    /// Count its instructions, with these words for the count itself.
    Count(Vec<String>),
}

/// What was wrong with a command line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Usage {
    /// Nothing was asked for.
    NoCommand,
    /// A command that does not exist.
    UnknownCommand(String),
    /// An argument that the command does not take.
    UnknownArgument(String),
    /// An option whose value is missing or none that it takes.
    BadValue {
        /// The option.
        option: &'static str,
        /// What it takes.
        expected: &'static str,
    },
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Usage::NoCommand => write!(f, "a command is missing"),
            Usage::UnknownCommand(command) => write!(f, "there is no command `{command}`"),
            Usage::UnknownArgument(argument) => write!(f, "this command does not take `{argument}`"),
            Usage::BadValue { option, expected } => write!(f, "`{option}` takes {expected}"),
        }
    }
}

impl Command {
    /// Reads the arguments after the program's name.
    pub(crate) fn parse(arguments: &[String]) -> Result<Command, Usage> {
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        match words.as_slice() {
            [] => Err(Usage::NoCommand),
            // They have options of their own, and a help text about them.
            ["bench", options @ ..] => Ok(Command::Bench(owned(options))),
            ["soak", options @ ..] => Ok(Command::Soak(owned(options))),
            ["count", options @ ..] => Ok(Command::Count(owned(options))),
            ["help" | "--help" | "-h", ..] | [_, "--help" | "-h"] => Ok(Command::Help),
            ["test"] => Ok(Command::Test(Scope::Full)),
            ["test", "--quick"] => Ok(Command::Test(Scope::Quick)),
            ["graph"] => Ok(Command::Graph(GraphTask::Print)),
            ["graph", "--check"] => Ok(Command::Graph(GraphTask::Check)),
            ["docs"] => Ok(Command::Docs(Task::Write, Depth::Program)),
            ["docs", "--check"] => Ok(Command::Docs(Task::Check, Depth::Program)),
            ["docs", "--check", "--quick"] => Ok(Command::Docs(Task::Check, Depth::Files)),
            ["demo"] => Ok(Command::Demo(Ending::Stop)),
            ["demo", "--keep"] => Ok(Command::Demo(Ending::Keep)),
            ["fuzz", options @ ..] => fuzzing(options).map(Command::Fuzz),
            ["test" | "graph" | "docs" | "demo", first] => Err(Usage::UnknownArgument((*first).to_owned())),
            ["test" | "graph" | "docs" | "demo", .., last] => Err(Usage::UnknownArgument((*last).to_owned())),
            [command, ..] => Err(Usage::UnknownCommand((*command).to_owned())),
        }
    }
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

/// `--target NAME`, `--seconds N`, in any order.
fn fuzzing(mut options: &[&str]) -> Result<Fuzzing, Usage> {
    let mut fuzzing = Fuzzing { target: None, seconds: 60 };
    while let [option, rest @ ..] = options {
        let value = rest.first().copied();
        match *option {
            "--target" => {
                let bad = Usage::BadValue { option: "--target", expected: "the name of a target" };
                fuzzing.target = Some(value.ok_or(bad)?.to_owned());
            }
            "--seconds" => {
                let bad = Usage::BadValue { option: "--seconds", expected: "a number above zero" };
                let seconds = value.and_then(|value| value.parse().ok()).filter(|seconds| *seconds > 0);
                fuzzing.seconds = seconds.ok_or(bad)?;
            }
            other => return Err(Usage::UnknownArgument(other.to_owned())),
        }
        options = rest.get(1..).unwrap_or_default();
    }
    Ok(fuzzing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, Usage> {
        Command::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn each_command_of_the_help_text_is_understood() {
        for line in TEXT.lines().filter_map(|line| line.strip_prefix("  ")) {
            let command = line.split("  ").next().unwrap();
            assert!(parse(command).is_ok(), "{command}");
        }
    }

    #[test]
    fn options_choose_the_variant() {
        assert_eq!(parse("test --quick"), Ok(Command::Test(Scope::Quick)));
        assert_eq!(parse("graph --check"), Ok(Command::Graph(GraphTask::Check)));
        assert_eq!(parse("docs"), Ok(Command::Docs(Task::Write, Depth::Program)));
        assert_eq!(parse("docs --check --quick"), Ok(Command::Docs(Task::Check, Depth::Files)));
        assert_eq!(parse("demo --keep"), Ok(Command::Demo(Ending::Keep)));
        assert_eq!(parse("demo --help"), Ok(Command::Help));
        let fuzz = |target: Option<&str>, seconds| Command::Fuzz(Fuzzing { target: target.map(Into::into), seconds });
        assert_eq!(parse("fuzz"), Ok(fuzz(None, 60)));
        assert_eq!(parse("fuzz --seconds 5 --target reports"), Ok(fuzz(Some("reports"), 5)));
        assert_eq!(parse("bench --runs 2"), Ok(Command::Bench(vec!["--runs".to_owned(), "2".to_owned()])));
        assert_eq!(parse("soak --seed 2"), Ok(Command::Soak(vec!["--seed".to_owned(), "2".to_owned()])));
        assert_eq!(parse("count --kind json"), Ok(Command::Count(vec!["--kind".to_owned(), "json".to_owned()])));
    }

    #[test]
    fn a_mistake_is_named() {
        assert_eq!(parse(""), Err(Usage::NoCommand));
        assert_eq!(parse("tset"), Err(Usage::UnknownCommand("tset".into())));
        assert_eq!(parse("demo --kepe"), Err(Usage::UnknownArgument("--kepe".into())));
        assert_eq!(parse("test --quick now"), Err(Usage::UnknownArgument("now".into())));
        assert_eq!(parse("fuzz --sconds 5"), Err(Usage::UnknownArgument("--sconds".into())));
        for (line, option) in
            [("fuzz --seconds", "--seconds"), ("fuzz --seconds 0", "--seconds"), ("fuzz --target", "--target")]
        {
            assert!(matches!(parse(line), Err(Usage::BadValue { option: said, .. }) if said == option), "{line}");
        }
    }
}
