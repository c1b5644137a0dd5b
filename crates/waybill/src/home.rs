//! Where the daemon keeps what is its own: the state directory with admin socket and node id.

use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// The admin socket's name in the state directory.
pub(crate) const ADMIN_SOCKET: &str = "admin.sock";
/// The node id's name in the state directory.
const NODE_ID: &str = ".nodeid";
/// The state directory of a system's daemon.
const SYSTEM_STATE: &str = "/var/lib/waybill";

/// The one given, `WAYBILL_STATE_DIR`, `/var/lib/waybill` where it exists or can be made (root), else the user's own.
pub(crate) fn state_dir(given: Option<&Path>) -> Result<PathBuf> {
    if let Some(dir) = given {
        return Ok(dir.to_owned());
    }
    if let Some(dir) = std::env::var_os("WAYBILL_STATE_DIR") {
        return Ok(dir.into());
    }
    if nix::unistd::geteuid().is_root() || Path::new(SYSTEM_STATE).join(ADMIN_SOCKET).exists() {
        return Ok(SYSTEM_STATE.into());
    }
    if let Some(dir) = std::env::var_os("XDG_STATE_HOME") {
        return Ok(Path::new(&dir).join("waybill"));
    }
    let home = std::env::var_os("HOME").context("neither --state-dir nor HOME says where to keep the admin socket")?;
    Ok(Path::new(&home).join(".local/state/waybill"))
}

/// This node's id: `KUMO_NODE_ID`, or the one kept in a file (`KUMO_NODE_ID_PATH`, else the state directory), which is
/// made when it is not there.
pub(crate) fn node_id(state: &Path) -> Result<Uuid> {
    if let Ok(text) = std::env::var("KUMO_NODE_ID") {
        return text.trim().parse().with_context(|| format!("KUMO_NODE_ID is no uuid: {text:?}"));
    }
    let path = std::env::var_os("KUMO_NODE_ID_PATH").map_or_else(|| state.join(NODE_ID), PathBuf::from);
    if let Ok(text) = std::fs::read_to_string(&path) {
        return text.trim().parse().with_context(|| format!("{} holds no uuid", path.display()));
    }
    let id = Uuid::new_v4();
    std::fs::write(&path, id.to_string()).with_context(|| format!("write the node id to {}", path.display()))?;
    Ok(id)
}
