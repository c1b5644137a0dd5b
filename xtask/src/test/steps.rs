//! The steps, in the order they run.

use std::env;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

use super::Outcome;
use super::report::Part;
use super::skipped_list::SkippedList;
use crate::debian::{self, Group, Packages};
use crate::docs::{self, Depth, Task};
use crate::graph::{self, Kind};
use crate::usage::Scope;
use crate::{paths, toolchain_env};

/// One step.
pub(super) type Step = fn(Scope) -> Result<Outcome>;

/// The steps of a run.
pub(super) fn of(scope: Scope) -> Vec<(&'static str, Step)> {
    let all: [(&'static str, bool, Step); 9] = [
        ("build packages", false, build_packages),
        ("test packages", false, test_packages),
        ("format", true, format),
        ("lints", true, lints),
        ("tests", true, tests),
        ("graph", true, |_| graph::check().map(|()| Outcome::Passed)),
        ("docs", true, documentation),
        ("policy-extras", true, policy_extras),
        ("dependencies", false, dependencies),
    ];
    let wanted = all.into_iter().filter(|(_, quick, _)| *quick || scope == Scope::Full);
    wanted.map(|(name, _, step)| (name, step)).collect()
}

fn build_packages(_: Scope) -> Result<Outcome> {
    Ok(match debian::ensure(Group::Build)? {
        Packages::Missing(names) => {
            Outcome::Failed(format!("missing: {}; install with: {}", names.join(" "), debian::install_command(&names)))
        }
        other => packages_outcome(other),
    })
}

fn test_packages(_: Scope) -> Result<Outcome> {
    debian::ensure(Group::Test).map(packages_outcome)
}

fn packages_outcome(packages: Packages) -> Outcome {
    match packages {
        Packages::Complete => Outcome::Passed,
        Packages::Missing(names) => skipped(
            &format!("missing: {}; tests that call them skip themselves", names.join(" ")),
            &debian::install_command(&names),
        ),
        Packages::Unknown => skipped(
            "not a Debian system, so packages are not looked at",
            "install what xtask/debian/packages.txt lists, under this system's names",
        ),
    }
}

fn format(_: Scope) -> Result<Outcome> {
    if !cargo_has("fmt")? {
        return Ok(skipped("rustfmt is not installed", "rustup component add rustfmt"));
    }
    outcome(toolchain_env::cargo().args(["fmt", "--all", "--check"]))
}

fn lints(scope: Scope) -> Result<Outcome> {
    if !cargo_has("clippy")? {
        return Ok(skipped("clippy is not installed", "rustup component add clippy"));
    }
    let mut clippy = toolchain_env::cargo();
    clippy.arg("clippy").args(packages(scope)).arg("--all-targets").args(locked()).args(["--", "-D", "warnings"]);
    outcome(&mut clippy)
}

fn tests(scope: Scope) -> Result<Outcome> {
    let mut test = toolchain_env::cargo();
    test.arg("test").args(packages(scope)).arg("--no-fail-fast").args(locked());
    let list = SkippedList::new()?;
    let outcome = outcome(test.env(SkippedList::NAME, list.path()))?;
    Ok(match (outcome, list.read()?) {
        (Outcome::Passed, parts) if !parts.is_empty() => Outcome::Partly(parts),
        (outcome, parts) => {
            parts.iter().for_each(|part| println!("not run: {part}"));
            outcome
        }
    })
}

fn documentation(scope: Scope) -> Result<Outcome> {
    let depth = match scope {
        Scope::Full => Depth::Program,
        Scope::Quick => Depth::Files,
    };
    docs::run(Task::Check, depth).map(|()| Outcome::Passed)
}

fn policy_extras(_: Scope) -> Result<Outcome> {
    let folder = paths::workspace().join("policy-extras/tests");
    if paths::find_program("lua5.4").is_none() {
        return Ok(skipped("lua5.4 is not installed", &debian::install_command(&["lua5.4".to_owned()])));
    }
    let entries = fs::read_dir(&folder).with_context(|| format!("list {}", folder.display()))?;
    let mut tests: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with("_test.lua"))
        .collect();
    tests.sort();
    let mut failed = Vec::new();
    for name in &tests {
        println!("policy-extras/tests/{name}");
        let mut lua = Command::new("lua5.4");
        lua.current_dir(paths::workspace()).env("LUA_PATH", "./?.lua").arg(format!("policy-extras/tests/{name}"));
        if !lua.status().context("run lua5.4")?.success() {
            failed.push(name.as_str());
        }
    }
    Ok(match (tests.len(), failed.is_empty()) {
        (0, _) => Outcome::Failed("policy-extras/tests holds no *_test.lua".to_owned()),
        (_, true) => Outcome::Passed,
        (_, false) => Outcome::Failed(failed.join(", ")),
    })
}

fn dependencies(_: Scope) -> Result<Outcome> {
    if paths::find_program("cargo-deny").is_none() {
        return Ok(skipped("cargo-deny is not installed", "cargo install --locked cargo-deny"));
    }
    outcome(toolchain_env::cargo().args(["deny", "check", "bans", "licenses", "sources"]))
}

/// The packages that lints and tests look at, as cargo's arguments.
fn packages(scope: Scope) -> Vec<String> {
    match scope {
        Scope::Full => vec!["--workspace".to_owned()],
        Scope::Quick => graph::packages(Kind::Pure).into_iter().flat_map(|name| ["-p".to_owned(), name]).collect(),
    }
}

/// In CI a Cargo.lock that does not fit the manifests is a fault of the commit, not something to mend in passing.
fn locked() -> Option<&'static str> {
    env::var_os("CI").map(|_| "--locked")
}

fn cargo_has(subcommand: &str) -> Result<bool> {
    let asked = toolchain_env::cargo().args([subcommand, "--version"]).output();
    Ok(asked.with_context(|| format!("run cargo {subcommand} --version"))?.status.success())
}

/// Runs a command whose output is for the reader, and judges it by how it ended.
fn outcome(command: &mut Command) -> Result<Outcome> {
    let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
    println!("{} {}", command.get_program().to_string_lossy(), words.join(" "));
    let status = command.status().with_context(|| format!("run {}", command.get_program().to_string_lossy()))?;
    Ok(if status.success() { Outcome::Passed } else { Outcome::Failed(status.to_string()) })
}

fn skipped(why: &str, enable: &str) -> Outcome {
    Outcome::Skipped(Part { why: why.to_owned(), enable: enable.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quick_run_compiles_no_cpp_and_installs_nothing() {
        let names: Vec<&str> = of(Scope::Quick).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["format", "lints", "tests", "graph", "docs", "policy-extras"]);
        let packages = packages(Scope::Quick);
        assert!(packages.contains(&"waybill-queue-core".to_owned()));
        assert!(!packages.contains(&"waybill-spool-rocksdb".to_owned()));
    }

    #[test]
    fn a_full_run_looks_at_the_whole_workspace() {
        assert_eq!(packages(Scope::Full), ["--workspace"]);
        assert_eq!(of(Scope::Full).len(), 9);
    }
}
