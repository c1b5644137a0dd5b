//! swaks, an SMTP client that is not ours.

use super::skip::{program, skip};
use super::{Daemon, output_of};
use std::path::PathBuf;
use std::process::Command;

/// The program, with what it needs for TLS.
pub(crate) struct Swaks {
    program: PathBuf,
}

impl Swaks {
    /// `None`, and said aloud, where it is not installed.
    pub(crate) fn find(part: &str) -> Option<Swaks> {
        let program = program(part, "swaks", "swaks libnet-ssleay-perl")?;
        let support = Command::new(&program).arg("--support").output().expect("ask swaks what it can do");
        if !String::from_utf8_lossy(&support.stdout).contains("=== TLS supported") {
            skip(&format!("{part} (swaks without TLS)"), "sudo apt-get install libnet-ssleay-perl");
            return None;
        }
        Some(Swaks { program })
    }

    /// One conversation with the daemon, which must end well. Returns what was said on both sides.
    pub(crate) fn talk(&self, daemon: &Daemon, args: &[&str]) -> String {
        let mut command = Command::new(&self.program);
        let server = daemon.smtp();
        command.args(["--server", &server.ip().to_string(), "--port", &server.port().to_string()]);
        command.args(["--helo", "client.example", "--timeout", "60"]).args(args);
        let output = output_of(&mut command);
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{}\n{said}", output.status);
        said
    }

    /// The same, and the ids of what was taken.
    pub(crate) fn send(&self, daemon: &Daemon, args: &[&str]) -> Vec<String> {
        let said = self.talk(daemon, args);
        let ids = said.lines().find_map(|line| line.split_once("250 OK ids=")).map(|(_, ids)| ids.trim());
        ids.unwrap_or_else(|| panic!("nothing was taken:\n{said}")).split(' ').map(str::to_owned).collect()
    }
}
