//! Postfix's smtp-sink, a next hop that is not ours, and smtp-source, which sends as fast as it can.

use super::skip::program;
use super::wait::wait_until;
use super::{Home, address};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A running smtp-sink, gone with this value.
pub(crate) struct Sink {
    running: Child,
    address: SocketAddr,
    dumps: PathBuf,
}

impl Sink {
    /// With these options, at an address of its own; `None`, and said aloud, where it is not installed.
    pub(crate) fn start(part: &str, home: &Home, options: &[&str]) -> Option<Sink> {
        let [address] = address::free();
        Sink::at(part, home, address, options)
    }

    /// The same at this address.
    pub(crate) fn at(part: &str, home: &Home, address: SocketAddr, options: &[&str]) -> Option<Sink> {
        let mut command = Command::new(program(part, "smtp-sink", "postfix")?);
        if let Some(user) = home.user() {
            command.args(["-u", user]);
        }
        let dumps = home.file(&format!("sink-{address}"));
        command.arg("-d").arg(dumps.join("mail.")).args(options).arg(address.to_string()).arg("64");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let running = command.spawn().expect("start the sink");
        let sink = Sink { running, address, dumps };
        wait_until("the sink listens", || TcpStream::connect(address).ok());
        Some(sink)
    }

    /// An address for another one, and so for one more host of the same domain: the port is the same.
    pub(crate) fn beside(&self) -> SocketAddr {
        SocketAddr::new(address::own().into(), self.address.port())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The mails that it has, each with the envelope before it.
    pub(crate) fn mails(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(&self.dumps) else { return Vec::new() };
        entries.filter_map(|entry| std::fs::read_to_string(entry.ok()?.path()).ok()).collect()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.running.kill();
        let _ = self.running.wait();
    }
}

/// Sends mails with smtp-source, from `source@example.com`; all must be taken. False, and said aloud, where it is not
/// installed.
pub(crate) fn smtp_source(part: &str, server: SocketAddr, options: &[&str]) -> bool {
    let Some(source) = program(part, "smtp-source", "postfix") else { return false };
    let mut command = Command::new(source);
    command.args(["-f", "source@example.com", "-M", "source.example"]).args(options).arg(format!("inet:{server}"));
    let output = command.output().expect("run smtp-source");
    assert!(output.status.success(), "{}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    true
}
