use clap::{Arg, ArgAction, Command};
use serde::Serialize;

/// A command and what may stand behind it.
#[derive(Serialize)]
pub(super) struct Known {
    /// With those above it: `waybill hooks list`.
    name: String,
    about: String,
    arguments: Vec<Argument>,
}

#[derive(Serialize)]
struct Argument {
    /// `--limit`, or `NAME` for one that has its meaning by its place.
    name: String,
    /// What stands behind it; none for a switch.
    value: Option<String>,
    default: Option<String>,
    variable: Option<String>,
    required: bool,
    several: bool,
    help: String,
}

/// Every command that is shown, without those that only hold others.
pub(super) fn all(mut program: Command) -> Vec<Known> {
    program.build();
    let mut known = Vec::new();
    collect(&program, "", &mut known);
    known
}

fn collect(command: &Command, above: &str, known: &mut Vec<Known>) {
    let name = format!("{above}{}", command.get_name());
    let mut below =
        command.get_subcommands().filter(|command| !command.is_hide_set() && command.get_name() != "help").peekable();
    if below.peek().is_none() {
        let shown = command.get_arguments().filter(|argument| !argument.is_hide_set());
        let own = shown.filter(|argument| !matches!(argument.get_id().as_str(), "help" | "version"));
        known.push(Known {
            name: name.clone(),
            about: command.get_about().map(ToString::to_string).unwrap_or_default(),
            arguments: own.map(argument).collect(),
        });
    }
    for command in below {
        collect(command, &format!("{name} "), known);
    }
}

fn argument(argument: &Arg) -> Argument {
    let takes = matches!(argument.get_action(), ArgAction::Set | ArgAction::Append);
    let values = argument.get_value_names().unwrap_or_default();
    let value = values.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let choices: Vec<String> = argument.get_possible_values().iter().map(|word| word.get_name().to_owned()).collect();
    let value = if takes && !choices.is_empty() { choices.join(", ") } else { value };
    let defaults: Vec<_> = argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    Argument {
        name: argument.get_long().map_or_else(|| value.clone(), |long| format!("--{long}")),
        value: (takes && argument.get_long().is_some()).then_some(value),
        default: (takes && !defaults.is_empty()).then(|| defaults.join(" ")),
        variable: argument.get_env().map(|name| name.to_string_lossy().into_owned()),
        required: argument.is_required_set(),
        several: matches!(argument.get_action(), ArgAction::Append),
        help: argument.get_help().map(ToString::to_string).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn commands_are_named_whole_and_tell_what_they_take() {
        let known = all(crate::args::Args::command());
        let find = |name: &str| known.iter().find(|command| command.name == name).unwrap_or_else(|| panic!("{name}"));
        let letters = find("waybill hooks dead-letters");
        let limit = letters.arguments.iter().find(|argument| argument.name == "--limit").unwrap();
        assert_eq!(limit.default.as_deref(), Some("100"));
        assert!(letters.arguments.iter().any(|argument| argument.name == "NAME" && argument.required));
        assert!(
            find("waybill ctl bounce").arguments.iter().any(|argument| argument.name == "--queue" && argument.several)
        );
        assert!(
            !known.iter().any(|command| command.name.contains("dump-reference") || command.name == "waybill hooks")
        );
    }
}
