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
    let with = protocol(session);
    let date = (session.shared.now)().to_utc().to_rfc2822();
    // Writing into a Vec cannot fail.
    let _ = write!(out, "Received: from {hello} ({peer})\r\n  by {host} (Waybill {via}) \r\n");
    let _ = write!(out, "  with {with} id {id}{to};\r\n  {date}\r\n");
}

/// The protocol's name, as RFC 3848 and, where the client said SMTPUTF8, RFC 6531 section 4.3 register it.
fn protocol(session: &Session) -> String {
    let base = match session.transaction() {
        Some(transaction) if transaction.utf8 => "UTF8SMTP",
        _ if session.extended => "ESMTP",
        // HELO brings neither encryption nor authentication.
        _ => return "SMTP".to_owned(),
    };
    let encrypted = if session.tls.is_some() { "S" } else { "" };
    let authenticated = if session.authz.is_some() { "A" } else { "" };
    format!("{base}{encrypted}{authenticated}")
}
