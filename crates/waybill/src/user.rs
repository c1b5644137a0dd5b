//! Root only opens the door: the daemon itself runs as somebody else (contract/kumomta.md section 1.1).

use anyhow::{Context, Result, bail};
use caps::{CapSet, Capability};
use nix::unistd::{Uid, User, chown, geteuid, initgroups, setgid, setuid};
use std::ffi::CString;
use std::path::Path;

/// Becomes `name`, keeping of root's rights only that to open ports below 1024. The state directory is made theirs.
/// Must run before any thread is started.
///
/// # Errors
/// As root without a name; as somebody else with another name; when the system refuses.
pub(crate) fn become_user(name: Option<&str>, state: &Path) -> Result<()> {
    if !geteuid().is_root() {
        return own_name(name);
    }
    let Some(name) = name else {
        bail!("started as root: say with --user NAME who to run as (a user made for this, not root)");
    };
    let user = find(name)?;
    std::fs::create_dir_all(state).with_context(|| format!("make the state directory {}", state.display()))?;
    chown(state, Some(user.uid), Some(user.gid))
        .with_context(|| format!("give the state directory {} to {name}", state.display()))?;
    let text = CString::new(name).with_context(|| format!("user name {name:?}"))?;
    initgroups(&text, user.gid).with_context(|| format!("take the groups of {name}"))?;
    setgid(user.gid).with_context(|| format!("take the group of {name}"))?;
    // Without this the change of the user id would drop every capability.
    caps::securebits::set_keepcaps(true).context("keep the right to open low ports")?;
    setuid(user.uid).with_context(|| format!("become {name}"))?;
    let keep = [Capability::CAP_NET_BIND_SERVICE].into_iter().collect();
    for set in [CapSet::Effective, CapSet::Permitted] {
        // In a container root may not have had it: then only ports from 1024 on can be opened.
        if let Err(error) = caps::set(None, set, &keep) {
            tracing::debug!("the right to open low ports was not kept: {error}");
            caps::clear(None, set).context("drop root's rights")?;
        }
    }
    Ok(())
}

fn own_name(name: Option<&str>) -> Result<()> {
    let Some(name) = name else { return Ok(()) };
    let user = find(name)?;
    if user.uid != Uid::effective() {
        bail!("--user {name}: only root can become another user, and this process is uid {}", Uid::effective());
    }
    Ok(())
}

fn find(name: &str) -> Result<User> {
    User::from_name(name)
        .with_context(|| format!("look up user {name}"))?
        .with_context(|| format!("there is no user {name} on this machine"))
}

/// As many open files as the system allows.
pub(crate) fn raise_file_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}
