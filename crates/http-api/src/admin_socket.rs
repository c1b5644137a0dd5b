//! The socket in the state directory over which the operator's own commands come in: whoever may open it is trusted.

use socket2::{Domain, SockAddr, Socket, Type};
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tokio::net::UnixListener;

/// Only the owner may connect.
const MODE: u32 = 0o600;
/// How many clients may wait to be accepted.
const BACKLOG: i32 = 64;

/// Why there is no admin socket.
#[derive(Debug, thiserror::Error)]
pub enum AdminSocketError {
    /// Somebody answers on it.
    #[error("{}: another daemon answers on this admin socket; stop it, or use another state directory", .0.display())]
    InUse(PathBuf),
    /// Something else has its name; it is left alone.
    #[error("{}: there is something that is no socket; move it away, or use another state directory", .0.display())]
    NotASocket(PathBuf),
    /// The operating system refused.
    #[error("admin socket {}: {step}: {source}", path.display())]
    Io {
        /// Which socket.
        path: PathBuf,
        /// What was being done.
        step: &'static str,
        /// What it said.
        source: io::Error,
    },
}

/// Binds the admin socket with mode 0600 and listens on it; must be called within a tokio runtime. A socket that a
/// dead daemon left behind is replaced, anything else in its place is left alone.
///
/// # Errors
/// When somebody answers on it, something else stands there, or the operating system refuses (no such directory, no
/// permission, a path longer than a socket's name may be).
pub fn bind_admin_socket(path: &Path) -> Result<UnixListener, AdminSocketError> {
    let failed = |step| move |source| AdminSocketError::Io { path: path.to_owned(), step, source };
    clear_the_place(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(failed("make"))?;
    let address = SockAddr::unix(path).map_err(failed("name it (is the path too long?)"))?;
    socket.bind(&address).map_err(failed("bind"))?;
    // Before `listen`: until then nobody can connect, whatever the umask says.
    fs::set_permissions(path, fs::Permissions::from_mode(MODE)).map_err(failed("set its mode to 0600"))?;
    socket.listen(BACKLOG).map_err(failed("listen"))?;
    socket.set_nonblocking(true).map_err(failed("make it non-blocking"))?;
    UnixListener::from_std(socket.into()).map_err(failed("register"))
}

fn clear_the_place(path: &Path) -> Result<(), AdminSocketError> {
    let failed = |step| move |source| AdminSocketError::Io { path: path.to_owned(), step, source };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("look at its place")(error)),
        Ok(found) if !found.file_type().is_socket() => return Err(AdminSocketError::NotASocket(path.to_owned())),
        Ok(_) => {}
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(failed("make"))?;
    probe.set_nonblocking(true).map_err(failed("make it non-blocking"))?;
    let address = SockAddr::unix(path).map_err(failed("name it (is the path too long?)"))?;
    match probe.connect(&address) {
        // WouldBlock: somebody listens, with a full backlog.
        Ok(()) => Err(AdminSocketError::InUse(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(AdminSocketError::InUse(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(failed("remove what a dead daemon left"))
        }
        Err(error) => Err(failed("see whether somebody answers")(error)),
    }
}
