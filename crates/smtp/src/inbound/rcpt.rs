use super::command::{Params, bad_recipient};
use super::mail::{check_ascii, unknown_parameter};
use super::relay::Relay;
use super::reply::Reply;
use super::session::{Recipient, Session, State};
use waybill_policy::Value;
use waybill_types::EnvelopeAddress;

impl Session {
    pub(super) async fn rcpt(&mut self, recipient: EnvelopeAddress, params: Params<'_>) -> Result<Reply, Reply> {
        let State::Open(transaction) = &self.state else {
            return Err(needs_mail());
        };
        if let Some((keyword, _)) = params.0.first() {
            return Err(unknown_parameter(keyword));
        }
        check_ascii(&recipient, transaction.utf8)?;
        let address = self.qualified(recipient)?;
        if transaction.recipients.len() >= self.params.max_recipients_per_message {
            return Err(Reply::new(452, "4.5.3 too many recipients"));
        }
        let reports_only = match self.relay(&transaction.sender, &address).await? {
            Relay::Yes => false,
            Relay::ReportsOnly => true,
            Relay::No => return Err(self.no_relaying()),
        };
        // Behind the relay decision: whom we do not serve shall not cost a call, nor learn from its answer.
        let args = || vec![Value::Address(address.clone()), self.connection()];
        self.fire("smtp_server_rcpt_to", args).await?;
        let reply = Reply::new(250, format!("OK <{address}>"));
        if let State::Open(transaction) = &mut self.state {
            transaction.recipients.push(Recipient { address, reports_only });
        }
        Ok(reply)
    }

    /// `postmaster` without a domain is ours (RFC 5321 section 4.5.1); it gets one, so that it has a queue.
    fn qualified(&self, recipient: EnvelopeAddress) -> Result<EnvelopeAddress, Reply> {
        match recipient.domain() {
            Some(_) => Ok(recipient),
            None => format!("{recipient}@{}", self.host).parse().map_err(|_| bad_recipient()),
        }
    }

    pub(super) fn no_relaying(&self) -> Reply {
        Reply::new(550, format!("5.7.1 relaying not permitted for {}", self.ends.peer))
    }
}

pub(super) fn needs_mail() -> Reply {
    Reply::new(503, "5.5.0 say MAIL FROM first")
}
