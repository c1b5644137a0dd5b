//! What records say when the script gave no answer that counts. None of it is the peer's word.

use std::fmt;
use std::time::Duration;
use waybill_delivery::{BatchOutcome, ConnectError, Fate, Outcome};
use waybill_types::{Response, format_duration};

/// The script failed: every message of the call is tried again, in another session.
pub(crate) fn script(count: usize, what: impl fmt::Display) -> BatchOutcome {
    let response = Response::plain(400, format!("KumoMTA internal: error in deliver_message: {what}"));
    ours(count, response, Fate::Close)
}

/// The script was stopped while it ran: nobody knows how far it came.
pub(crate) fn watchdog(count: usize, method: &str, limit: Duration) -> BatchOutcome {
    let limit = format_duration(limit);
    let text = format!(
        "4.4.1 dispatcher watchdog aborted task; phase=deliver_message no_progress_for={limit} detail=\"lua: {method}\""
    );
    ours(count, Response::new(451, text), Fate::Broken)
}

/// The constructor gave no connection.
pub(crate) fn connect(why: impl fmt::Display) -> ConnectError {
    let text = format!("KumoMTA internal: failed to connect to any candidate hosts: {why}");
    ConnectError::new(Response::plain(400, text))
}

/// A session that was there has no connection any more.
pub(crate) fn refused(count: usize, error: &ConnectError) -> BatchOutcome {
    ours(count, error.response.clone(), Fate::Close)
}

fn ours(count: usize, response: Response, session: Fate) -> BatchOutcome {
    BatchOutcome { outcomes: vec![Outcome::Transient(response, None); count], peer_spoke: false, session }
}
