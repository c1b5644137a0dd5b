//! What a worker takes away from itself before it reads anything. Done here and not between fork and exec: that would need
//! unsafe code, and nothing of a stranger's is in the process yet.

use super::syscalls::{self, Filter};
use nix::sys::prctl;
use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};
use std::fs::File;
use std::io::{self, Error};
use std::os::fd::{AsFd, RawFd};

/// Bytes of address space beyond what the program has when it begins.
const MEMORY: u64 = 256 * 1024 * 1024;

/// Confines the process and gives the way to the parent, which is no longer standard output.
pub(super) fn confine() -> io::Result<(File, Filter)> {
    close_inherited()?;
    // Whatever prints to standard output must not reach the parent as a frame.
    let output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    nix::unistd::dup2_stdout(File::options().write(true).open("/dev/null")?)?;
    prctl::set_no_new_privs()?;
    for (resource, limit) in [
        (Resource::RLIMIT_AS, address_space()?.saturating_add(MEMORY)),
        (Resource::RLIMIT_CORE, 0),
        (Resource::RLIMIT_FSIZE, 0),
        // No more processes and threads, no more descriptors: what is open stays open.
        (Resource::RLIMIT_NPROC, 0),
        (Resource::RLIMIT_NOFILE, 0),
    ] {
        setrlimit(resource, limit, limit)?;
    }
    // The last of it: what came before may not be done any more.
    Ok((output, syscalls::install()?))
}

/// Lets the process use so many seconds of CPU time from now on; then the kernel kills it. This ends a worker whose parent
/// is gone too.
pub(super) fn allow_cpu(seconds: u64) -> io::Result<()> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let used = usage.user_time().tv_sec() + usage.system_time().tv_sec();
    let (_, hard) = getrlimit(Resource::RLIMIT_CPU)?;
    // Both parts of what was used are rounded down.
    let limit = u64::try_from(used).unwrap_or_default().saturating_add(seconds).saturating_add(2);
    Ok(setrlimit(Resource::RLIMIT_CPU, limit.min(hard), hard)?)
}

/// Closes every descriptor but the three standard ones. Ours are all closed on exec; those that the daemon itself was
/// started with need not be.
fn close_inherited() -> io::Result<()> {
    let mut open: Vec<RawFd> = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        open.extend(entry?.file_name().to_str().and_then(|name| name.parse::<RawFd>().ok()));
    }
    for descriptor in open.into_iter().filter(|descriptor| *descriptor > 2) {
        // The one that read the directory is closed already.
        let _ = nix::unistd::close(descriptor);
    }
    Ok(())
}

/// Bytes of address space that the process has.
fn address_space() -> io::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:"));
    let kilobytes = size.and_then(|size| size.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kilobytes.map(|size| size * 1024).ok_or_else(|| Error::other("/proc/self/status has no VmSize"))
}
