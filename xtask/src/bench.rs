//! `cargo xtask bench`, `soak` and `count`: build the daemon and the tool as they are shipped, and start the tool.
//!
//! The tool is a crate of its own, `crates/bench`: it needs an HTTP library, and xtask should compile in seconds.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::debian::{self, Group, Packages};
use crate::toolchain_env;

/// Names the daemons to measure; ours when it is not there.
const COMPARE: &str = "--compare";
/// Names the daemon to wear out or to count; ours when it is not there.
const DAEMON: &str = "--daemon";

/// Runs the bench with these words.
pub(crate) fn run(options: &[String]) -> Result<()> {
    if let Packages::Missing(names) = debian::ensure(Group::Bench)? {
        bail!("missing: {}; install with: {}", names.join(" "), debian::install_command(&names));
    }
    start(&[], COMPARE, options)
}

/// Runs the soak with these words. It brings its own senders and peers.
pub(crate) fn soak(options: &[String]) -> Result<()> {
    start(&["soak"], DAEMON, options)
}

/// Counts instructions with these words.
pub(crate) fn count(options: &[String]) -> Result<()> {
    start(&["count"], DAEMON, options)
}

/// Builds and starts the tool with these words; `of` names a daemon that is not ours.
fn start(words: &[&str], of: &str, options: &[String]) -> Result<()> {
    let release = release()?;
    let mut tool = Command::new(release.join("waybill-bench"));
    tool.args(words);
    if !options.iter().any(|option| option == of || option.starts_with(&format!("{of}="))) {
        tool.arg(of).arg(release.join("waybill"));
    }
    let status = tool.args(options).status().context("run the bench")?;
    if !status.success() {
        bail!("it ended with {status}");
    }
    Ok(())
}

/// Where both programs are, built.
fn release() -> Result<PathBuf> {
    let mut build = toolchain_env::cargo();
    build.args(["build", "--release", "-p", "waybill", "-p", "waybill-bench"]);
    if !build.status().context("run cargo build")?.success() {
        bail!("the release build failed");
    }
    Ok(toolchain_env::target_dir().join("release"))
}
