//! `cargo xtask bench`: builds the daemon and the bench as they are shipped, and starts the bench.
//!
//! The bench is a crate of its own, `crates/bench`: it needs an HTTP library, and xtask should compile in seconds.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::debian::{self, Group, Packages};
use crate::toolchain_env;

/// Names the daemons to measure; ours when it is not there.
const COMPARE: &str = "--compare";

/// Runs the bench with these words.
pub(crate) fn run(options: &[String]) -> Result<()> {
    if let Packages::Missing(names) = debian::ensure(Group::Bench)? {
        bail!("missing: {}; install with: {}", names.join(" "), debian::install_command(&names));
    }
    let mut build = toolchain_env::cargo();
    build.args(["build", "--release", "-p", "waybill", "-p", "waybill-bench"]);
    if !build.status().context("run cargo build")?.success() {
        bail!("the release build failed");
    }
    let release = toolchain_env::target_dir().join("release");
    let mut bench = Command::new(release.join("waybill-bench"));
    if !options.iter().any(|option| option == COMPARE || option.starts_with("--compare=")) {
        bench.arg(COMPARE).arg(release.join("waybill"));
    }
    let status = bench.args(options).status().context("run the bench")?;
    if !status.success() {
        bail!("the bench ended with {status}");
    }
    Ok(())
}
