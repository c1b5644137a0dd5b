//! Names of a scenario's own: an /etc/hosts that one daemon sees, and that changes while it runs.

use super::Home;
use super::skip::skip;
use nix::unistd::geteuid;
use std::ffi::OsString;
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A file of names, shown to whoever is started behind it in the place of /etc/hosts.
pub(crate) struct Hosts {
    file: PathBuf,
}

impl Hosts {
    /// With one name. `None`, and said aloud, where we may not show it to anybody.
    pub(crate) fn new(part: &str, home: &Home, name: &str, address: Ipv4Addr) -> Option<Hosts> {
        let hosts = Hosts { file: home.file("hosts") };
        hosts.lead(name, address);
        fs::set_permissions(&hosts.file, fs::Permissions::from_mode(0o644)).expect("let others read the names");
        let is_shown = || {
            let tried = hosts.behind("true", []).stdin(Stdio::null()).output();
            tried.is_ok_and(|output| output.status.success())
        };
        if !geteuid().is_root() || !is_shown() {
            skip(&format!("{part} (an /etc/hosts of one's own)"), "sudo -E cargo xtask test");
            return None;
        }
        Some(hosts)
    }

    /// From now on the name leads there. The file stays the same one: what is shown is that.
    pub(crate) fn lead(&self, name: &str, address: Ipv4Addr) {
        fs::write(&self.file, format!("127.0.0.1 localhost\n{address} {name}\n")).expect("write the names");
    }

    /// The same command, for which these names hold.
    pub(crate) fn shown_to(&self, command: &Command) -> Command {
        let arguments = command.get_args().map(OsString::from).collect::<Vec<_>>();
        let mut shown = self.behind(command.get_program(), arguments);
        shown.env_clear().stdin(Stdio::null());
        shown.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        shown
    }

    fn behind(&self, program: impl Into<OsString>, arguments: impl IntoIterator<Item = OsString>) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--", "sh", "-c", "mount --bind \"$0\" /etc/hosts && exec \"$@\""]);
        command.arg(&self.file).arg(program.into()).args(arguments);
        command
    }
}
