use super::reply::Reply;
use super::session::Session;
use serde_json::Value as Json;
use waybill_log_record::{FieldsBuilder, LogRecord, PeerAddress, RecordType};
use waybill_spool::{Message, MetaValue, Rejection};
use waybill_types::Response;

/// The most recipients of its transaction that the refusal of a command shows.
const MOST_SHOWN: usize = 16;

/// So many refusals, each an event, are all that one connection is worth: a client that only makes mistakes must not
/// fill the journal. Above the most recipients that a message has by default, so that honest lists get through.
const MAX_REFUSALS: u32 = 2000;

impl Session {
    /// Has the last word on a reply: policy may word it anew, and a refusal is recorded.
    pub(super) async fn answer(&mut self, reply: Reply, command: Option<&str>) -> Reply {
        let command = command.map(without_secrets);
        self.refusals += u32::from(reply.is_refusal());
        if self.refusals > MAX_REFUSALS {
            return Reply::new(421, format!("4.7.0 {} too many refused commands", self.host));
        }
        let reply = self.rewrite(reply, command).await;
        // 421 4.3.2 is about us, not about the client: a busy or stopping server is no event of anybody's mail.
        if reply.is_refusal() && !(reply.code == 421 && reply.text.starts_with("4.3.2 ")) {
            self.shared.stats.reject();
            self.shared.intake.rejected(Rejection::new(self.rejection(&reply, command))).await;
        }
        reply
    }

    fn rejection(&self, reply: &Reply, command: Option<&str>) -> LogRecord {
        let mut response = reply.response();
        response.command = command.map(str::to_owned);
        let mut record = self.record(RecordType::Rejection, response);
        if let Some(transaction) = self.transaction() {
            record.sender = transaction.sender.to_string();
            // A thousand recipients in each of two thousand refusals would fill the journal. Only DATA is about all of them.
            let shown = if command == Some("DATA") { usize::MAX } else { MOST_SHOWN };
            let recipients = transaction.recipients.iter().take(shown);
            record.recipients = recipients.map(|taken| taken.address.to_string()).collect();
        }
        if let Some(capture) = &self.shared.capture {
            let mut meta = FieldsBuilder::default();
            for (name, value) in self.meta.all().iter().filter(|(name, _)| capture.wants_meta(name)) {
                meta.push(name, value);
            }
            record.meta = meta.finish();
        }
        record
    }

    /// The Reception record of a message; the intake adds what the message itself knows.
    pub(super) fn reception(&self, message: &Message) -> LogRecord {
        let mut record = self.record(RecordType::Reception, Response::plain(250, ""));
        if let Some(MetaValue::Json(Json::String(protocol))) = message.meta("reception_protocol") {
            record.reception_protocol = Some(protocol.into());
        }
        record
    }

    pub(super) fn record(&self, kind: RecordType, response: Response) -> LogRecord {
        let mut record = LogRecord::new(kind, (self.shared.now)(), response, self.shared.nodeid.clone());
        let (name, addr) = (self.hello.clone(), self.ends.peer.ip().to_string());
        record.peer_address = Some(PeerAddress { name, addr, is_secure: false });
        record.session_id = Some(self.id.clone());
        record.tls = self.tls.clone().unwrap_or_default();
        record
    }
}

/// The command as others may see it: what follows AUTH and its mechanism is a password.
fn without_secrets(command: &str) -> &str {
    let verb = command.trim_start();
    match verb.get(..4) {
        Some(start) if start.eq_ignore_ascii_case("AUTH") => {
            let mechanism = verb[4..].trim_start();
            let secret = mechanism.find(char::is_whitespace).map_or(0, |end| mechanism.len() - end);
            &command[..command.len() - secret]
        }
        _ => command,
    }
}

#[cfg(test)]
mod tests {
    use super::without_secrets;

    #[test]
    fn passwords_do_not_reach_records() {
        assert_eq!(without_secrets("AUTH PLAIN AGEAYg=="), "AUTH PLAIN");
        assert_eq!(without_secrets("auth login x y"), "auth login");
        assert_eq!(without_secrets("AUTH PLAIN"), "AUTH PLAIN");
        assert_eq!(without_secrets("MAIL FROM:<a@x> A B"), "MAIL FROM:<a@x> A B");
        assert_eq!(without_secrets("é"), "é");
        assert_eq!(without_secrets(" AUTH\tPLAIN  AGEAYg== x"), " AUTH\tPLAIN");
        assert_eq!(without_secrets(" "), " ");
    }
}
