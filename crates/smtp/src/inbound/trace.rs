//! Headers that reception puts before a message.

use super::session::Session;
use std::io::Write as _;
use waybill_spool::Message;

/// `Received` (RFC 5321 section 4.4). All parts were checked when they came in: none can end the line.
pub(super) fn received(out: &mut Vec<u8>, session: &Session, message: &Message) {
    let Session { hello, host, ends, .. } = session;
    let (peer, via, id) = (ends.peer.ip(), ends.via.ip(), message.id());
    // RFC 5321 section 7.2: others' addresses are not shown to a recipient.
    let to = match message.recipients().as_slice() {
        [only] => format!(" for <{only}>"),
        _ => String::new(),
    };
    // RFC 3848.
    let with = match (&session.tls, &session.authz) {
        (Some(_), Some(_)) => "ESMTPSA",
        (Some(_), None) => "ESMTPS",
        (None, _) => "ESMTP",
    };
    let date = (session.shared.now)().to_utc().to_rfc2822();
    // Writing into a Vec cannot fail.
    let _ = write!(out, "Received: from {hello} ({peer})\r\n  by {host} (Waybill {via}) \r\n");
    let _ = write!(out, "  with {with} id {id}{to};\r\n  {date}\r\n");
}
