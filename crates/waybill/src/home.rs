//! Where the daemon keeps what is its own: the state directory with admin socket and node id.

use anyhow::{Context, Result};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use uuid::Uuid;
use waybill_sealing::{Key, Keyring};

/// The admin socket's name in the state directory.
pub(crate) const ADMIN_SOCKET: &str = "admin.sock";
/// The node id's name in the state directory.
const NODE_ID: &str = ".nodeid";
/// The name of the keys that secrets are sealed with, in the state directory.
const SECRET_KEYS: &str = "secrets.key";
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

/// What secrets in the store are sealed with: the keys in `WAYBILL_SECRETS_KEY`, or those of a file
/// (`WAYBILL_SECRETS_KEY_FILE`, else `secrets.key` in the state directory), which is made when it is not there.
pub(crate) fn secret_keys(state: &Path) -> Result<Keyring> {
    if let Ok(text) = std::env::var("WAYBILL_SECRETS_KEY") {
        return Keyring::parse(text.as_bytes()).context("WAYBILL_SECRETS_KEY");
    }
    let named = std::env::var_os("WAYBILL_SECRETS_KEY_FILE").map(PathBuf::from);
    let path = named.clone().unwrap_or_else(|| state.join(SECRET_KEYS));
    match std::fs::read(&path) {
        Ok(text) => Keyring::parse(&text).with_context(|| format!("the keys in {}", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && named.is_none() => {
            let key = Key::random().context("make a key for secrets")?;
            let text = format!(
                "# What Waybill seals secrets with. Whoever loses this loses the event hooks.\n{}\n",
                *key.reveal()
            );
            let options = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
            let written = options.and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
            written.with_context(|| format!("write a key for secrets to {}", path.display()))?;
            Ok(Keyring::of(key))
        }
        Err(error) => Err(error).with_context(|| format!("read the keys in {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use waybill_sealing::Place;

    #[test]
    fn a_key_for_secrets_is_made_once_and_is_for_nobody_else() {
        let dir = tempfile::tempdir().expect("a folder");
        let place = Place::new("test");
        let sealed = secret_keys(dir.path()).expect("a key").seal(&place, b"secret").expect("seal");
        let again = secret_keys(dir.path()).expect("the same key");
        assert_eq!(again.open(&place, &sealed).expect("open").reveal(), b"secret");
        let mode = std::fs::metadata(dir.path().join(SECRET_KEYS)).expect("the file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::write(dir.path().join(SECRET_KEYS), "hunter2").expect("write");
        let error = format!("{:#}", secret_keys(dir.path()).expect_err("a passphrase is no key"));
        assert!(error.contains(SECRET_KEYS) && !error.contains("hunter2"), "{error}");
    }
}
