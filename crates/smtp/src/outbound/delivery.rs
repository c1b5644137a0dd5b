//! One message over a connection: whether it may go there at all, in how many transactions, and what became of each of
//! its recipients.

use super::body::{has_international_headers, is_eight_bit};
use super::connection::Connection;
use super::failure::{Step, Trouble, refused};
use super::settings::Settings;
use super::transaction::{self, Envelope, Lost};
use bytes::Bytes;
use std::collections::VecDeque;
use waybill_delivery::Outcome;
use waybill_dns::name::ascii;
use waybill_spool::Message;
use waybill_types::EnvelopeAddress;

/// A message on its way, over as many connections as that takes.
pub(super) struct Carriage {
    sender: EnvelopeAddress,
    recipients: Vec<EnvelopeAddress>,
    content: Bytes,
    outcomes: Vec<Option<Outcome>>,
}

/// What became of the connection.
pub(super) enum After {
    /// It can carry the next message.
    Usable,
    /// It must not be used any more; everybody has an outcome.
    Goodbye,
    /// It was lost before everybody had an outcome.
    Lost(Lost),
}

impl Carriage {
    /// `None` without a body in memory.
    pub(super) fn of(message: &Message) -> Option<Self> {
        let recipients = message.recipients();
        Some(Carriage {
            sender: message.sender(),
            content: message.data()?,
            outcomes: vec![None; recipients.len()],
            recipients,
        })
    }

    pub(super) fn size(&self) -> usize {
        self.content.len()
    }

    pub(super) fn recipients(&self) -> usize {
        self.recipients.len()
    }

    /// Whether nobody has an outcome: then it can go over another connection as if nothing had been.
    pub(super) fn is_whole(&self) -> bool {
        self.outcomes.iter().all(Option::is_none)
    }

    /// The outcome of the message. Those who have none get this one.
    pub(super) fn finish(self, rest: impl FnOnce() -> Outcome) -> Outcome {
        let rest = self.outcomes.iter().any(Option::is_none).then(rest);
        let outcomes = self.outcomes.into_iter().filter_map(|outcome| outcome.or_else(|| rest.clone()));
        Outcome::of_recipients(outcomes.collect())
    }

    /// Sends it to everybody who has no outcome.
    pub(super) async fn carry(&mut self, connection: &mut Connection, settings: &Settings) -> After {
        let offer = match self.offer(connection, settings) {
            Ok(offer) => offer,
            Err(outcome) => {
                self.everybody(&outcome);
                return After::Usable;
            }
        };
        let mut waiting = self.addressed(&offer);
        while !waiting.is_empty() {
            if let Err(lost) = reset(connection, settings).await {
                return After::Lost(lost);
            }
            let now: Vec<_> = waiting.drain(..waiting.len().min(settings.path.max_recipients_per_batch)).collect();
            let mut later: Vec<(usize, String)> = Vec::new();
            let envelope = Envelope { mail: offer.mail.clone(), recipients: now, content: self.content.clone() };
            let ended = transaction::run(connection, settings, &envelope).await;
            for (recipient, outcome) in ended.outcomes {
                self.outcomes[recipient] = Some(outcome);
            }
            if let Some(lost) = ended.lost {
                return After::Lost(lost);
            }
            for recipient in envelope.recipients {
                if ended.another_time.contains(&recipient.0) {
                    later.push(recipient);
                }
            }
            later.into_iter().rev().for_each(|recipient| waiting.push_front(recipient));
            if ended.goodbye {
                return match waiting.is_empty() {
                    true => After::Goodbye,
                    false => After::Lost(Lost { trouble: Trouble::closed(Step::Mail), unheard: true, sent: false }),
                };
            }
        }
        After::Usable
    }

    /// How the message has to be announced here; an outcome when it cannot go here at all.
    fn offer(&self, connection: &Connection, settings: &Settings) -> Result<Offer, Outcome> {
        let (offered, host) = (connection.offered, &connection.candidate.host);
        let mut mail = format!("MAIL FROM:<{}>", self.spelling(&self.sender, offered.smtputf8, host)?);
        if is_eight_bit(&self.content) {
            if offered.eight_bit {
                mail.push_str(" BODY=8BITMIME");
            } else if !settings.path.ignore_8bit_checks {
                let why = format!("the message has 8-bit data and {host} does not offer 8BITMIME");
                return Err(refused(554, "5.6.3", why));
            }
        }
        let international = !self.sender.as_str().is_ascii()
            || self.recipients.iter().any(|recipient| !recipient.as_str().is_ascii())
            || has_international_headers(&self.content);
        if international && offered.smtputf8 {
            mail.push_str(" SMTPUTF8");
        }
        mail.push_str("\r\n");
        Ok(Offer { mail, smtputf8: offered.smtputf8, host: host.clone() })
    }

    /// The RCPT commands of those who have no outcome. Those who cannot be written here get one.
    fn addressed(&mut self, offer: &Offer) -> VecDeque<(usize, String)> {
        let mut commands = VecDeque::new();
        for (index, recipient) in self.recipients.iter().enumerate() {
            if self.outcomes[index].is_some() {
                continue;
            }
            let spelling = if recipient.is_null() {
                Err(refused(550, "5.1.3", "the message has no recipient"))
            } else {
                self.spelling(recipient, offer.smtputf8, &offer.host)
            };
            match spelling {
                Ok(address) => commands.push_back((index, format!("RCPT TO:<{address}>\r\n"))),
                Err(outcome) => self.outcomes[index] = Some(outcome),
            }
        }
        commands
    }

    /// An address as this server can take it.
    fn spelling(&self, address: &EnvelopeAddress, smtputf8: bool, host: &str) -> Result<String, Outcome> {
        let text = address.as_str();
        // A line end in a quoted local part would be a command of its own.
        if text.bytes().any(|byte| byte < b' ' || byte == 127) {
            return Err(refused(553, "5.1.3", "an address has control characters"));
        }
        if text.is_ascii() || smtputf8 {
            return Ok(text.to_owned());
        }
        let domain = address.domain().filter(|_| address.user().is_ascii()).and_then(|domain| ascii(domain).ok());
        match domain {
            Some(domain) => Ok(format!("{}@{domain}", address.user())),
            None => Err(refused(553, "5.6.7", format_args!("{text} needs SMTPUTF8, which {host} does not offer"))),
        }
    }

    fn everybody(&mut self, outcome: &Outcome) {
        for place in self.outcomes.iter_mut().filter(|place| place.is_none()) {
            *place = Some(outcome.clone());
        }
    }
}

/// How a message is announced to one server.
struct Offer {
    mail: String,
    smtputf8: bool,
    host: String,
}

/// Makes sure that the server is in no transaction.
async fn reset(connection: &mut Connection, settings: &Settings) -> Result<(), Lost> {
    // An answer too many would be taken for that of the next command.
    if !connection.wire.is_quiet() {
        let trouble = Trouble::new(Step::Reset, "the server spoke out of turn");
        return Err(Lost { trouble, unheard: true, sent: false });
    }
    let wanted = connection.unclean || (connection.transactions > 0 && settings.path.enable_rset);
    if !wanted {
        return Ok(());
    }
    let limit = settings.path.rset_timeout;
    let asked = async {
        connection.wire.send(b"RSET\r\n", Step::Reset, limit).await?;
        let reply = connection.wire.reply(Step::Reset, limit).await?;
        if reply.is_positive() { Ok(()) } else { Err(Trouble::new(Step::Reset, reply)) }
    };
    match asked.await {
        Ok(()) => {
            connection.unclean = false;
            Ok(())
        }
        // Nothing of this message was said yet.
        Err(trouble) => Err(Lost { trouble, unheard: true, sent: false }),
    }
}
