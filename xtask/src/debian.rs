//! Debian packages that a command needs: which are missing, and installing them.
//!
//! The list and the installing are `xtask/debian/`, shared with `.ci/run`, which needs them before there is an xtask.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::paths;

/// A column of `packages.txt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    /// What compiling the workspace takes.
    Build,
    /// What the tests call.
    Test,
    /// What `cargo xtask bench` calls.
    Bench,
}

impl Group {
    fn name(self) -> &'static str {
        match self {
            Group::Build => "build",
            Group::Test => "test",
            Group::Bench => "bench",
        }
    }
}

/// What is known about the packages of a group.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Packages {
    /// All installed.
    Complete,
    /// These are not.
    Missing(Vec<String>),
    /// No Debian, so nobody can say.
    Unknown,
}

/// Installs what the group lacks if this is Debian and we are root; otherwise only says what it lacks.
pub(crate) fn ensure(group: Group) -> Result<Packages> {
    let packages = missing(group)?;
    match &packages {
        Packages::Missing(_) if is_root() => {
            install(group)?;
            missing(group)
        }
        _ => Ok(packages),
    }
}

/// The command with which a person installs these packages.
pub(crate) fn install_command(names: &[String]) -> String {
    format!("sudo apt-get install {}", names.join(" "))
}

/// Whether this process may install packages and has to tell the daemon which user to become.
pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

fn missing(group: Group) -> Result<Packages> {
    let output = script().args(["--missing", group.name()]).output().context("run install.sh --missing")?;
    match output.status.code() {
        Some(0) => Ok(from_names(&String::from_utf8_lossy(&output.stdout))),
        Some(3) => Ok(Packages::Unknown),
        _ => bail!("install.sh --missing: {}", String::from_utf8_lossy(&output.stderr).trim()),
    }
}

fn from_names(names: &str) -> Packages {
    let names: Vec<String> = names.split_whitespace().map(str::to_owned).collect();
    if names.is_empty() { Packages::Complete } else { Packages::Missing(names) }
}

fn install(group: Group) -> Result<()> {
    let status = script().arg(group.name()).status().context("run install.sh")?;
    if !status.success() {
        bail!("install.sh {} did not succeed: {status}", group.name());
    }
    Ok(())
}

fn script() -> Command {
    let mut command = Command::new("bash");
    command.arg(paths::workspace().join("xtask/debian/install.sh"));
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_names_means_that_nothing_is_missing() {
        assert_eq!(from_names("\n"), Packages::Complete);
        assert_eq!(from_names("mold swaks\n"), Packages::Missing(vec!["mold".into(), "swaks".into()]));
    }

    #[test]
    fn every_package_has_a_known_group_and_a_reason() {
        let list = include_str!("../debian/packages.txt");
        for line in list.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            let words: Vec<&str> = line.split_whitespace().collect();
            assert!([Group::Build, Group::Test, Group::Bench].iter().any(|group| group.name() == words[0]), "{line}");
            assert!(words.len() > 3, "no reason given: {line}");
        }
    }
}
