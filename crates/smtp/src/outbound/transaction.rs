//! One mail transaction: MAIL, RCPT, DATA, the message, and what was said to each of them.

use super::body::{Content, Piece};
use super::connection::Connection;
use super::failure::{Step, Trouble};
use super::reply::Reply;
use super::settings::Settings;
use bytes::Bytes;
use std::time::Duration;
use waybill_delivery::Outcome;

/// Too many recipients (RFC 5321 section 4.5.3.1.10): the rest may come in another transaction.
const TOO_MANY_RECIPIENTS: u16 = 452;
/// After a write that failed the server may have said why.
const LAST_WORDS: Duration = Duration::from_secs(5);
const DATA: &str = "DATA\r\n";
/// How records show the command that the final reply answers.
const DOT: &str = ".\r\n";

/// What is to be sent.
pub(super) struct Envelope {
    /// `MAIL FROM:<..>` with its line end.
    pub(super) mail: String,
    /// `RCPT TO:<..>` with its line end, and whose it is.
    pub(super) recipients: Vec<(usize, String)>,
    pub(super) content: Bytes,
}

/// How a transaction ended.
#[derive(Default)]
pub(super) struct Ended {
    /// What was said, and to whom.
    pub(super) outcomes: Vec<(usize, Outcome)>,
    /// Whom the server did not want in this transaction.
    pub(super) another_time: Vec<usize>,
    /// The server closes the connection, or it does not know where it is any more: say nothing further.
    pub(super) goodbye: bool,
    /// The connection was lost. Those without an outcome do not have one.
    pub(super) lost: Option<Lost>,
}

/// How far a transaction came before the connection was lost.
pub(super) struct Lost {
    pub(super) trouble: Trouble,
    /// The server said nothing at all to this transaction.
    pub(super) unheard: bool,
    /// The whole message may have arrived.
    pub(super) sent: bool,
}

/// Carries out a transaction.
pub(super) async fn run(connection: &mut Connection, settings: &Settings, envelope: &Envelope) -> Ended {
    connection.transactions += 1;
    connection.unclean = true;
    let pipelined = connection.offered.pipelining && settings.path.enable_pipelining;
    let mut transaction = Transaction {
        connection,
        settings,
        envelope,
        pipelined,
        heard: false,
        sent: false,
        accepted: Vec::new(),
        ended: Ended::default(),
    };
    if let Err(trouble) = transaction.carry().await {
        let Transaction { heard, sent, .. } = transaction;
        transaction.ended.lost = Some(Lost { trouble, unheard: !heard, sent });
    }
    let Transaction { connection, ended, .. } = transaction;
    connection.unclean = ended.lost.is_some() || ended.goodbye || connection.unclean;
    ended
}

struct Transaction<'a> {
    connection: &'a mut Connection,
    settings: &'a Settings,
    envelope: &'a Envelope,
    pipelined: bool,
    heard: bool,
    sent: bool,
    accepted: Vec<(usize, &'a str)>,
    ended: Ended,
}

impl Transaction<'_> {
    async fn carry(&mut self) -> Result<(), Trouble> {
        let path = &self.settings.path;
        let envelope = self.envelope;
        if self.pipelined {
            let mut all = envelope.mail.clone();
            for (_, command) in &envelope.recipients {
                all.push_str(command);
            }
            all.push_str(DATA);
            self.connection.wire.send(all.as_bytes(), Step::Mail, path.mail_from_timeout).await?;
        }
        let reply = self.ask(&envelope.mail, Step::Mail, path.mail_from_timeout).await?;
        if !reply.is_positive() {
            self.everybody(&reply, &envelope.mail, Step::Mail)?;
            return self.skip(envelope.recipients.len()).await;
        }
        for (index, (recipient, command)) in envelope.recipients.iter().enumerate() {
            let reply = self.ask(command, Step::Rcpt, path.rcpt_to_timeout).await?;
            if reply.ends_session() {
                // Whoever was accepted before will not get the message either.
                self.everybody(&reply, command, Step::Rcpt)?;
                return Ok(());
            }
            if reply.is_positive() {
                self.accepted.push((*recipient, command));
            } else if reply.code == TOO_MANY_RECIPIENTS && index > 0 && !self.accepted.is_empty() {
                self.ended.another_time.push(*recipient);
            } else {
                let outcome = reply.outcome(command.as_str()).ok_or_else(|| nonsense(Step::Rcpt, &reply))?;
                self.ended.outcomes.push((*recipient, outcome));
            }
        }
        if self.accepted.is_empty() {
            return self.skip(0).await;
        }
        let reply = self.ask(DATA, Step::Data, path.data_timeout).await?;
        if reply.code != 354 {
            if !reply.is_negative() {
                return Err(nonsense(Step::Data, &reply));
            }
            self.accepted_ones(&reply, DATA, Step::Data)?;
            return Ok(());
        }
        self.content().await
    }

    /// Sends a command unless it went out with the others, and hears the answer.
    async fn ask(&mut self, command: &str, step: Step, limit: Duration) -> Result<Reply, Trouble> {
        if !self.pipelined {
            self.connection.wire.send(command.as_bytes(), step, limit).await?;
        }
        let reply = self.connection.wire.reply(step, limit).await?;
        self.heard = true;
        Ok(reply)
    }

    /// Nobody is left for the message. What went out together is answered all the same.
    async fn skip(&mut self, recipients: usize) -> Result<(), Trouble> {
        if !self.pipelined || self.ended.goodbye {
            return Ok(());
        }
        let path = &self.settings.path;
        let answered = async {
            for _ in 0..recipients {
                self.connection.wire.reply(Step::Rcpt, path.rcpt_to_timeout).await?;
            }
            let reply = self.connection.wire.reply(Step::Data, path.data_timeout).await?;
            if reply.code == 354 {
                // The server wants a message for nobody (RFC 2920 section 3.1): it gets an empty one.
                self.connection.wire.send(DOT.as_bytes(), Step::Dot, path.data_timeout).await?;
                self.connection.wire.reply(Step::Dot, path.data_dot_timeout).await?;
            }
            Ok::<(), Trouble>(())
        };
        // Everybody has an outcome already; only the connection is of no more use.
        if let Err(trouble) = answered.await {
            tracing::debug!(host = self.connection.candidate.host, "lost after a refused transaction: {trouble}");
            self.ended.goodbye = true;
        }
        Ok(())
    }

    async fn content(&mut self) -> Result<(), Trouble> {
        let limit = self.settings.path.data_timeout;
        let mut content = Content::new(self.envelope.content.clone());
        let mut piece = Vec::new();
        loop {
            let which = content.next(&mut piece);
            // From here on nobody knows whether the server has all of it.
            self.sent |= which != Piece::More;
            if let Err(trouble) = self.connection.wire.send(&piece, Step::Content, limit).await {
                return self.last_words(trouble).await;
            }
            if which != Piece::More {
                break;
            }
        }
        let limit = self.settings.path.data_dot_timeout;
        if !self.settings.lmtp() {
            let reply = self.connection.wire.reply(Step::Dot, limit).await?;
            self.accepted_ones(&reply, DOT, Step::Dot)?;
        } else {
            // One answer for each (RFC 2033 section 4.2).
            while !self.accepted.is_empty() {
                let reply = self.connection.wire.reply(Step::Dot, limit).await?;
                let outcome = reply.outcome(DOT).ok_or_else(|| nonsense(Step::Dot, &reply))?;
                let (recipient, _) = self.accepted.remove(0);
                self.ended.outcomes.push((recipient, outcome));
                self.ended.goodbye |= reply.ends_session();
            }
        }
        self.connection.unclean = false;
        Ok(())
    }

    /// A server may refuse a message half way and close. Only a refusal counts: it cannot have taken the message.
    async fn last_words(&mut self, trouble: Trouble) -> Result<(), Trouble> {
        match self.connection.wire.reply(Step::Dot, LAST_WORDS).await {
            Ok(reply) if reply.is_negative() => {
                self.accepted_ones(&reply, DOT, Step::Dot)?;
                self.ended.goodbye = true;
                Ok(())
            }
            _ => Err(trouble),
        }
    }

    /// A reply that is about everybody who has no outcome yet.
    fn everybody(&mut self, reply: &Reply, command: &str, step: Step) -> Result<(), Trouble> {
        let outcome = reply.outcome(command).ok_or_else(|| nonsense(step, reply))?;
        let has_one = |recipient: usize, ended: &Ended| ended.outcomes.iter().any(|(index, _)| *index == recipient);
        for (recipient, _) in &self.envelope.recipients {
            if !has_one(*recipient, &self.ended) {
                self.ended.outcomes.push((*recipient, outcome.clone()));
            }
        }
        self.ended.another_time.clear();
        self.accepted.clear();
        self.ended.goodbye |= reply.ends_session();
        Ok(())
    }

    /// A reply that is about those who were accepted.
    fn accepted_ones(&mut self, reply: &Reply, command: &str, step: Step) -> Result<(), Trouble> {
        let outcome = reply.outcome(command).ok_or_else(|| nonsense(step, reply))?;
        let accepted = std::mem::take(&mut self.accepted);
        self.ended.outcomes.extend(accepted.into_iter().map(|(recipient, _)| (recipient, outcome.clone())));
        self.ended.goodbye |= reply.ends_session();
        Ok(())
    }
}

/// Neither yes nor no: nobody knows what the server thinks it is doing.
fn nonsense(step: Step, reply: &Reply) -> Trouble {
    Trouble::new(step, format_args!("an answer that makes no sense here: {reply}"))
}
