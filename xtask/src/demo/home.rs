//! The demo's folder, and the commands that live in it.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{debian, paths};

/// The policy that `docs/guide/first-webhook.md` walks through.
const POLICY: &str = "examples/first-webhook/init.lua";
/// Whom the daemon becomes when root starts it: it insists on somebody.
const UNPRIVILEGED: &str = "nobody";
const STATE_DIR: &str = "WAYBILL_STATE_DIR";

/// A temporary folder that everything of one demo is under.
pub(super) struct Home {
    folder: PathBuf,
    policy: PathBuf,
    user: Option<User>,
    kept: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct User {
    name: String,
    uid: u32,
    gid: u32,
}

impl Home {
    /// Makes the folder, owned by whom the daemon will run as.
    pub(super) fn create() -> Result<Home> {
        let policy = paths::workspace().join(POLICY);
        if !policy.is_file() {
            bail!("the example policy {POLICY} is missing");
        }
        let folder = std::env::temp_dir().join(format!("waybill-demo-{}", std::process::id()));
        fs::DirBuilder::new().mode(0o755).create(&folder).with_context(|| format!("create {}", folder.display()))?;
        // From here on a failure removes the folder again.
        let mut home = Home { folder, policy, user: None, kept: false };
        if debian::is_root() {
            let user = User::find(UNPRIVILEGED)?;
            chown(&home.folder, Some(user.uid), Some(user.gid)).context("give the demo's folder away")?;
            home.user = Some(user);
            home.make_policy_readable()?;
        }
        Ok(home)
    }

    /// Everything is under here.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The policy that the daemon runs.
    pub(super) fn policy(&self) -> &Path {
        &self.policy
    }

    /// What the daemon writes to stderr.
    pub(super) fn log(&self) -> PathBuf {
        self.folder.join("waybill.log")
    }

    /// Leaves the folder for somebody to look into.
    pub(super) fn keep(&mut self) {
        self.kept = true;
    }

    /// The command that starts the daemon. The policy learns from two variables where to keep things and where to send events.
    pub(super) fn serve(&self, binary: &Path, webhook_url: &str) -> Command {
        let mut command = self.client(binary);
        command.arg("serve").arg("--policy").arg(&self.policy);
        if let Some(user) = &self.user {
            command.args(["--user", &user.name]);
        }
        command.env("WAYBILL_DEMO_DIR", &self.folder).env("WAYBILL_DEMO_WEBHOOK_URL", webhook_url);
        // Else it would be made in a system folder.
        command.env("KUMO_NODE_ID_PATH", self.folder.join("nodeid"));
        command
    }

    /// A client command of the binary, which finds this demo's daemon by its state directory.
    pub(super) fn client(&self, binary: &Path) -> Command {
        let mut command = Command::new(binary);
        command.current_dir(&self.folder).env(STATE_DIR, self.state());
        command
    }

    /// What a person types before a client command to reach this demo's daemon.
    pub(super) fn state_variable(&self) -> String {
        format!("{STATE_DIR}={}", self.state().display())
    }

    fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// The daemon reads the policy again after it has given up root: a clone in a private folder needs a copy outside of it.
    fn make_policy_readable(&mut self) -> Result<()> {
        if !readable_by_all(&self.policy) {
            let copy = self.folder.join("init.lua");
            fs::copy(&self.policy, &copy).with_context(|| format!("copy {}", self.policy.display()))?;
            fs::set_permissions(&copy, fs::Permissions::from_mode(0o644)).context("make the policy readable")?;
            self.policy = copy;
        }
        Ok(())
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if !self.kept {
            // What is left in a temporary folder is somebody's to clean, not a reason to fail.
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

impl User {
    fn find(name: &str) -> Result<User> {
        let accounts = fs::read_to_string("/etc/passwd").context("read /etc/passwd")?;
        User::among(&accounts, name).with_context(|| format!("there is no user {name} in /etc/passwd"))
    }

    fn among(accounts: &str, name: &str) -> Option<User> {
        let account =
            accounts.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| fields[0] == name)?;
        Some(User { name: name.to_owned(), uid: account.get(2)?.parse().ok()?, gid: account.get(3)?.parse().ok()? })
    }
}

/// Whether a user without any rights can read the file: it is readable, and every folder above it can be passed.
fn readable_by_all(file: &Path) -> bool {
    let mode = |path: &Path| fs::metadata(path).map_or(0, |found| found.permissions().mode());
    mode(file) & 0o004 != 0 && file.ancestors().skip(1).all(|folder| mode(folder) & 0o001 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_name() {
        let accounts = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65533:nobody:/:/usr/sbin/nologin\n";
        assert_eq!(User::among(accounts, "nobody"), Some(User { name: "nobody".into(), uid: 65534, gid: 65533 }));
        assert_eq!(User::among(accounts, "no"), None);
    }

    #[test]
    fn the_folder_goes_away_with_the_value_unless_it_is_kept() {
        let make = |name: &str| {
            let folder = std::env::temp_dir().join(format!("xtask-home-{}-{name}", std::process::id()));
            fs::create_dir(&folder).unwrap();
            Home { folder, policy: PathBuf::new(), user: None, kept: false }
        };
        let (gone, mut kept) = (make("gone"), make("kept"));
        kept.keep();
        let (gone_folder, kept_folder) = (gone.folder.clone(), kept.folder.clone());
        drop((gone, kept));
        assert!(!gone_folder.exists() && kept_folder.exists());
        fs::remove_dir(kept_folder).unwrap();
    }

    #[test]
    fn a_file_below_a_private_folder_is_not_readable_by_all() {
        let folder = std::env::temp_dir().join(format!("xtask-private-{}", std::process::id()));
        fs::DirBuilder::new().mode(0o700).create(&folder).unwrap();
        fs::write(folder.join("init.lua"), "").unwrap();
        fs::set_permissions(folder.join("init.lua"), fs::Permissions::from_mode(0o644)).unwrap();
        assert!(!readable_by_all(&folder.join("init.lua")));
        assert!(readable_by_all(Path::new("/etc/passwd")));
        fs::remove_dir_all(&folder).unwrap();
    }
}
