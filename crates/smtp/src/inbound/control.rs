//! Commands of one line: RSET, VRFY.

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
}
