//! valgrind's callgrind around a program, switched on and off from outside.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use nix::unistd::User;

use crate::scratch::Scratch;

/// Where the profile goes and how the running program is reached.
#[derive(Debug)]
pub(crate) struct Callgrind {
    profile: PathBuf,
    kept: Option<PathBuf>,
    prefix: String,
    user: Option<User>,
}

impl Callgrind {
    pub(super) fn of(scratch: &Scratch, kept: Option<&Path>) -> Callgrind {
        let folder = scratch.path();
        let prefix = format!("--vgdb-prefix={}", folder.join("vgdb").display());
        // The pipes must be those of the user that the daemon runs as: it is started as that user.
        let user = scratch.user.as_deref().and_then(|name| User::from_name(name).ok().flatten());
        Callgrind { profile: folder.join("callgrind.out"), kept: kept.map(Path::to_owned), prefix, user }
    }

    /// Runs a program, counting nothing at first.
    pub(crate) fn around(&self, program: &Path) -> Command {
        let mut command = self.command("valgrind");
        command.args(["--tool=callgrind", "--instr-atstart=no", "--quiet"]).arg(&self.prefix);
        command.arg(format!("--callgrind-out-file={}", self.profile.display())).arg(program);
        command
    }

    /// Begins to count, or ends it.
    pub(super) fn switch(&self, pid: u32, to: &str) -> Result<()> {
        let mut command = self.command("callgrind_control");
        let output =
            command.args([&self.prefix, "-i", to, &pid.to_string()]).output().context("run callgrind_control")?;
        let said = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() || !said.contains("OK") {
            bail!("callgrind_control: {said}{}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }

    /// Instructions that were counted, once the program has ended.
    pub(super) fn total(&self) -> Result<u64> {
        let text = fs::read_to_string(&self.profile).with_context(|| format!("read {}", self.profile.display()))?;
        if let Some(kept) = &self.kept {
            fs::write(kept, &text).with_context(|| format!("write {}", kept.display()))?;
        }
        let mut totals = text.lines().filter_map(|line| line.strip_prefix("totals: "));
        totals.next_back().context("the profile has no totals")?.trim().parse().context("the profile's totals")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        if let Some(user) = &self.user {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        command
    }
}
