//! Commands of one line: RSET, VRFY, AUTH.

use super::reply::Reply;
use super::session::Session;

impl Session {
    pub(super) fn rset(&mut self) -> Reply {
        self.reset();
        Reply::new(250, "OK, nothing is under way")
    }

    /// Whether a mailbox exists is nobody's business.
    pub(super) fn vrfy(&self) -> Result<Reply, Reply> {
        Err(Reply::syntax())
    }

    /// There is no encrypted channel yet, and no password goes over one that is not.
    pub(super) fn auth(&self, mechanism: &str) -> Result<Reply, Reply> {
        if mechanism.is_empty() {
            return Err(Reply::syntax());
        }
        Err(Reply::new(524, format!("5.7.11 AUTH {} needs an encrypted connection", mechanism.to_ascii_uppercase())))
    }
}
