//! A Postfix of our own: Debian's programs, with configuration, queue and mail in a temporary folder. No service of the
//! system is started or touched.

use super::skip::{program, skip};
use super::wait::wait_until;
use super::{Smtp, address};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, chown, geteuid};
use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// Its name in greetings and reports.
pub(crate) const NAME: &str = "mx.postfix.example";
/// Debian's user for it.
const OWNER: &str = "postfix";

/// All of it, at work. It ends with this value.
pub(crate) struct Postfix {
    folder: TempDir,
    plain: SocketAddr,
    encrypted: SocketAddr,
    running: Child,
}

impl Postfix {
    /// With these lines of `main.cf` as well; `None`, and said aloud, where it cannot run.
    pub(crate) fn start(part: &str, settings: &str) -> Option<Postfix> {
        let postfix = program(part, "postfix", "postfix")?;
        let owner = User::from_name(OWNER).expect("look up a user").filter(|_| geteuid().is_root());
        let Some(owner) = owner else {
            skip(&format!("{part} (Postfix starts for root only)"), "sudo -E cargo xtask test");
            return None;
        };
        let folder = tempfile::Builder::new().prefix("waybill-postfix-").tempdir().expect("make a temporary folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("open the folder to others");
        for (name, owned) in [("etc", false), ("queue", false), ("data", true), ("mail", true)] {
            let path = folder.path().join(name);
            fs::create_dir(&path).expect("make a folder");
            if owned {
                chown(&path, Some(owner.uid), Some(owner.gid)).expect("give a folder away");
            }
        }
        certificate(folder.path());
        let [plain, encrypted] = address::free();
        let main = main_cf(folder.path(), &owner, settings);
        fs::write(folder.path().join("etc/main.cf"), main).expect("write main.cf");
        fs::write(folder.path().join("etc/master.cf"), master_cf(plain, encrypted)).expect("write master.cf");
        let log = File::create(folder.path().join("log")).expect("make its log");
        let mut command = Command::new(postfix);
        command.arg("-c").arg(folder.path().join("etc")).arg("start-fg").stdin(Stdio::null());
        command.stdout(log.try_clone().expect("share its log")).stderr(log);
        let running = command.spawn().expect("start Postfix");
        let mut postfix = Postfix { folder, plain, encrypted, running };
        wait_until("Postfix listens", || postfix.answers());
        Some(postfix)
    }

    fn answers(&mut self) -> Option<()> {
        if let Some(status) = self.running.try_wait().expect("look after Postfix") {
            panic!("Postfix has ended: {status}\n{}", self.log());
        }
        Smtp::connect(self.plain).ok().map(|_| ())
    }

    /// Where it takes mail without encryption.
    pub(crate) fn plain(&self) -> SocketAddr {
        self.plain
    }

    /// Where it takes mail over TLS only.
    pub(crate) fn encrypted(&self) -> SocketAddr {
        self.encrypted
    }

    /// What it delivered to a mailbox, which is a maildir.
    pub(crate) fn mailbox(&self, name: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.folder.path().join("mail").join(name).join("new")) else {
            return Vec::new();
        };
        let read = |entry: std::io::Result<fs::DirEntry>| fs::read(entry.ok()?.path()).ok();
        entries.filter_map(read).map(|mail| String::from_utf8_lossy(&mail).into_owned()).collect()
    }

    /// What it says of itself.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- Postfix says:\n{}\n---", self.log());
        }
        // The master is a child of the script that we started, and ends all others when it is told to end.
        let pid = fs::read_to_string(self.folder.path().join("queue/pid/master.pid"));
        match pid.ok().and_then(|pid| pid.trim().parse().ok()) {
            Some(master) => drop(kill(Pid::from_raw(master), Signal::SIGTERM)),
            None => drop(self.running.kill()),
        }
        let _ = self.running.wait();
    }
}

/// As PEM, beside everything else.
fn certificate(folder: &Path) {
    let own = rcgen::generate_simple_self_signed([NAME.to_owned()]).expect("make a certificate");
    let write = |name: &str, text: String| fs::write(folder.join(name), text).expect("write a PEM file");
    write("cert.pem", own.cert.pem());
    write("key.pem", own.signing_key.serialize_pem());
}

fn main_cf(folder: &Path, owner: &User, settings: &str) -> String {
    let dir: PathBuf = folder.to_owned();
    let (dir, uid, gid) = (dir.display(), owner.uid, owner.gid);
    format!(
        "compatibility_level = 3.6
queue_directory = {dir}/queue
data_directory = {dir}/data
mail_owner = {OWNER}
setgid_group = postdrop
maillog_file = /dev/stdout
myhostname = {NAME}
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
biff = no
disable_dns_lookups = yes
smtpd_tls_cert_file = {dir}/cert.pem
smtpd_tls_key_file = {dir}/key.pem
smtp_tls_security_level = encrypt
virtual_mailbox_base = {dir}/mail
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 1
{settings}
"
    )
}

/// As Debian has it, but for what nobody needs here; nothing is in a chroot.
fn master_cf(plain: SocketAddr, encrypted: SocketAddr) -> String {
    format!(
        "{plain} inet n - n - - smtpd
{encrypted} inet n - n - - smtpd -o smtpd_tls_security_level=encrypt
cleanup unix n - n - 0 cleanup
qmgr unix n - n 1 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"
    )
}
