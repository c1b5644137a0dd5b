//! Compares the arrows that are there with the allowed ones.

use std::collections::BTreeSet;
use std::fmt;

use super::allowed::{Door, Kind, NOT_PURE, Reach, Rule, package};
use super::metadata::{Crate, Dependency};

/// One thing that the table does not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Offence {
    /// A crate of the workspace without a row.
    NoRow(String),
    /// A row without a crate.
    NoCrate(String),
    /// An arrow between two crates of ours.
    Arrow {
        /// Where it starts.
        from: String,
        /// Where it ends.
        to: String,
        /// Why it may not.
        why: String,
    },
    /// A library named by a crate that may not name it.
    Library {
        /// The crate.
        from: String,
        /// The library.
        library: String,
        /// Why it may not.
        why: String,
    },
}

impl fmt::Display for Offence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Offence::NoRow(name) => write!(f, "{}: has no row in xtask/src/graph/allowed.rs", package(name)),
            Offence::NoCrate(name) => {
                write!(f, "{}: has a row in xtask/src/graph/allowed.rs, but is no crate", package(name))
            }
            Offence::Arrow { from, to, why } => write!(f, "{} → {}: {why}", package(from), package(to)),
            Offence::Library { from, library, why } => write!(f, "{} → {library}: {why}", package(from)),
        }
    }
}

/// Everything in the workspace that the tables do not allow.
pub(crate) fn offences(rules: &[Rule], doors: &[Door], crates: &[Crate]) -> Vec<Offence> {
    let there: BTreeSet<&str> = crates.iter().map(|krate| krate.name.as_str()).collect();
    let gone =
        rules.iter().filter(|rule| !there.contains(rule.name)).map(|rule| Offence::NoCrate(rule.name.to_owned()));
    let wrong = crates.iter().flat_map(|krate| match rules.iter().find(|rule| rule.name == krate.name) {
        None => vec![Offence::NoRow(krate.name.clone())],
        Some(rule) => {
            krate.dependencies.iter().filter_map(|dependency| judge(rules, doors, rule, dependency)).collect()
        }
    });
    wrong.chain(gone).collect()
}

fn judge(rules: &[Rule], doors: &[Door], from: &Rule, dependency: &Dependency) -> Option<Offence> {
    if !dependency.ours {
        return judge_library(doors, from, &dependency.name);
    }
    // A crate without a row is an offence of its own, once.
    let to = rules.iter().find(|rule| rule.name == dependency.name)?;
    // Tests may use the doubles and suites of any contract; a crate may be its own dev-dependency for a feature's sake.
    let for_tests = dependency.only_tests && (to.kind < Kind::Shell || to.name == from.name);
    if for_tests || from.may_use.includes(to) {
        return None;
    }
    Some(Offence::Arrow { from: from.name.to_owned(), to: to.name.to_owned(), why: why_not(from, to, dependency) })
}

fn why_not(from: &Rule, to: &Rule, dependency: &Dependency) -> String {
    match (to.kind, dependency.only_tests) {
        (Kind::Shell, true) => "a test needs no other shell: a scenario of several belongs to the binary".to_owned(),
        (Kind::Shell, false) => "a shell is named by the binary alone: meet it at a contract".to_owned(),
        (Kind::Binary | Kind::Tool, _) => "nothing depends on this one".to_owned(),
        _ => match from.may_use {
            Reach::Only([]) => format!("{} uses none of our crates", from.name),
            Reach::Only(names) => format!("{} may use {}", from.name, names.join(", ")),
            Reach::BelowShells | Reach::Everything => "not allowed".to_owned(),
        },
    }
}

fn judge_library(doors: &[Door], from: &Rule, library: &str) -> Option<Offence> {
    let not_pure: &[Door] = if from.kind == Kind::Pure { NOT_PURE } else { &[] };
    let door = doors.iter().chain(not_pure).find(|door| door.library == library)?;
    if door.open_to.contains(&from.name) {
        return None;
    }
    let who = match door.open_to {
        [] => String::new(),
        names => format!(" (its door: {})", names.join(", ")),
    };
    Some(Offence::Library {
        from: from.name.to_owned(),
        library: library.to_owned(),
        why: format!("{}{who}", door.why),
    })
}

#[cfg(test)]
mod tests {
    use super::super::allowed::{CRATES, DOORS};
    use super::*;

    /// The complaints about one crate with one dependency, in a workspace where all else is in order.
    fn complaints(from: &str, to: &str, only_tests: bool) -> Vec<String> {
        let ours = CRATES.iter().any(|rule| rule.name == to);
        let crates: Vec<Crate> = CRATES
            .iter()
            .map(|rule| Crate {
                name: rule.name.to_owned(),
                dependencies: if rule.name == from {
                    vec![Dependency { name: to.to_owned(), ours, only_tests }]
                } else {
                    Vec::new()
                },
            })
            .collect();
        offences(CRATES, DOORS, &crates).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn allowed_arrows_pass() {
        for (from, to) in [("ready", "delivery"), ("queue", "consumers"), ("waybill", "smtp"), ("lua-http", "reqwest")]
        {
            assert_eq!(complaints(from, to, false), Vec::<String>::new(), "{from} → {to}");
        }
    }

    #[test]
    fn a_shell_may_not_name_a_shell_not_even_for_tests() {
        assert_eq!(
            complaints("smtp", "queue", false),
            ["waybill-smtp → waybill-queue: a shell is named by the binary alone: meet it at a contract"]
        );
        assert_eq!(complaints("smtp", "queue", true).len(), 1);
    }

    #[test]
    fn tests_may_reach_any_double() {
        assert_eq!(complaints("types", "spool", false).len(), 1);
        assert_eq!(complaints("types", "spool", true), Vec::<String>::new());
    }

    #[test]
    fn a_heavy_library_has_one_door_for_tests_too() {
        let said = complaints("queue", "rocksdb", true);
        assert_eq!(
            said,
            ["waybill-queue → rocksdb: the Store has other homes than RocksDB (its door: spool-rocksdb, bench)"]
        );
    }

    #[test]
    fn a_pure_crate_may_not_name_a_runtime() {
        let said = complaints("queue-core", "tokio", false);
        assert_eq!(said, ["waybill-queue-core → tokio: a pure crate has no sockets, files, clock or tasks"]);
        assert_eq!(complaints("runtime", "tokio", false), Vec::<String>::new());
    }

    #[test]
    fn the_tool_names_none_of_ours() {
        assert_eq!(complaints("xtask", "types", false), ["xtask → waybill-types: xtask uses none of our crates"]);
        assert_eq!(complaints("waybill", "xtask", false), ["waybill → xtask: nothing depends on this one"]);
    }

    #[test]
    fn rows_and_crates_must_match() {
        let stranger = Crate { name: "common".into(), dependencies: Vec::new() };
        let found = offences(&CRATES[..1], DOORS, &[stranger]);
        assert_eq!(found, [Offence::NoRow("common".into()), Offence::NoCrate("types".into())]);
    }
}
