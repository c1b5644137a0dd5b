//! What a run needs, looked at before it begins: an hour of measuring should not end at a full disk.

use std::path::Path;

use anyhow::{Context, Result, bail};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::statvfs::statvfs;

use crate::args::{Args, Scale, Subject};
use crate::load::SBIN;

/// Programs and the Debian packages they are in.
const TOOLS: &[(&str, &str)] = &[("smtp-source", "postfix"), ("nginx", "nginx-light"), ("wrk", "wrk")];
/// Connections of sender, hooks and endpoint, with room.
const DESCRIPTORS: u64 = 4096;
/// With ten thousand who wait.
const DESCRIPTORS_OF_LOGS: u64 = 12_000;
/// What a soak writes: the journal, log files, and mail that waits.
const SOAK_AT_LEAST: u64 = 1 << 30;
const SOAK_A_MINUTE: u64 = 512 << 20;
/// What an event and its mail take on disk at the most, with what a store leaves behind until it compacts.
const BYTES_PER_EVENT: u64 = 16 * 1024;

/// Everything that is missing, in one error.
pub(crate) fn check(args: &Args) -> Result<()> {
    let mut missing = Vec::new();
    let packages: Vec<&str> = TOOLS.iter().filter(|(tool, _)| !installed(tool)).map(|(_, package)| *package).collect();
    if !packages.is_empty() {
        missing.push(format!("programs; install them with: sudo apt-get install {}", packages.join(" ")));
    }
    for binary in &args.binaries {
        if !binary.is_file() {
            missing.push(format!("the daemon {}", binary.display()));
        }
    }
    let many = args.wants(Subject::Logs) && args.scale != Scale::Quick;
    if let Some(short) = descriptors(if many { DESCRIPTORS_OF_LOGS } else { DESCRIPTORS })? {
        missing.push(short);
    }
    if let Some(short) = disk(args)? {
        missing.push(short);
    }
    missing.extend([&args.json, &args.plot].into_iter().flatten().filter_map(|file| folder_of(file)));
    told(&missing)
}

/// The same for a soak, which brings its own tools and asks the system for ports that are free.
pub(crate) fn check_soak(daemon: &Path, minutes: f64, plot: Option<&Path>) -> Result<()> {
    let mut missing = Vec::new();
    if !daemon.is_file() {
        missing.push(format!("the daemon {}", daemon.display()));
    }
    missing.extend(descriptors(DESCRIPTORS)?);
    missing.extend(room_for(SOAK_AT_LEAST + (minutes.max(0.0) * SOAK_A_MINUTE as f64) as u64)?);
    missing.extend(plot.and_then(folder_of));
    told(&missing)
}

/// The same for a count of instructions.
pub(crate) fn check_count(daemon: &Path, profile: Option<&Path>) -> Result<()> {
    let mut missing: Vec<String> = ["smtp-source", "nginx", "valgrind", "callgrind_control"]
        .iter()
        .filter(|tool| !installed(tool))
        .map(|tool| format!("the program {tool} (Debian: postfix, nginx-light, valgrind)"))
        .collect();
    if !daemon.is_file() {
        missing.push(format!("the daemon {}", daemon.display()));
    }
    missing.extend(profile.and_then(folder_of));
    told(&missing)
}

fn told(missing: &[String]) -> Result<()> {
    if missing.is_empty() { Ok(()) } else { bail!("cannot begin; missing:\n  {}", missing.join("\n  ")) }
}

/// Where a file cannot be written because its folder is not there.
fn folder_of(file: &Path) -> Option<String> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    (!folder.is_dir()).then(|| format!("the folder {} for {}", folder.display(), file.display()))
}

fn installed(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain([SBIN.into()]).any(|folder| folder.join(tool).is_file())
}

/// Raises the limit of open files as far as it may be raised.
fn descriptors(needed: u64) -> Result<Option<String>> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok((hard < needed).then(|| format!("open files: {hard} allowed, {needed} needed (ulimit -n)")))
}

fn disk(args: &Args) -> Result<Option<String>> {
    let events = match (args.wants(Subject::Backlog) || args.wants(Subject::Drain), args.scale) {
        (true, scale) => scale.backlog(),
        (false, _) => Scale::Standard.mails(),
    };
    room_for(events * BYTES_PER_EVENT)
}

/// Says so where there is less room than needed.
fn room_for(needed: u64) -> Result<Option<String>> {
    let folder = std::env::temp_dir();
    let disk = statvfs(&folder).with_context(|| format!("look at the disk of {}", folder.display()))?;
    // statvfs's numbers are of different width on different systems.
    #[allow(clippy::unnecessary_cast, reason = "f_bavail is 32 bits wide on some systems")]
    let free = disk.blocks_available() as u64 * disk.fragment_size() as u64;
    Ok((free < needed).then(|| {
        format!("disk: {} MiB free in {}, {} MiB needed (TMPDIR)", free >> 20, folder.display(), needed >> 20)
    }))
}
