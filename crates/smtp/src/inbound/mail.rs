use super::body::Flaw;
use super::command::{Params, bad_sender};
use super::reply::Reply;
use super::session::{Session, State, Transaction};
use waybill_policy::Value;
use waybill_spool::IntakeState;
use waybill_types::EnvelopeAddress;

impl Session {
    pub(super) async fn mail(&mut self, sender: EnvelopeAddress, params: Params<'_>) -> Result<Reply, Reply> {
        match &self.state {
            State::Idle => {}
            State::Fresh => return Err(Reply::new(503, "5.5.1 say EHLO or HELO first")),
            State::Open(_) | State::Body(_) => {
                return Err(Reply::new(503, "5.5.0 a transaction is under way, RSET would end it"));
            }
        }
        if !sender.is_null() && sender.domain().is_none() {
            return Err(bad_sender());
        }
        let utf8 = self.read_params(&params)?;
        check_ascii(&sender, utf8)?;
        self.check_intake()?;
        if self.transactions >= self.params.max_messages_per_connection {
            return Err(Reply::new(421, format!("4.3.2 {} too many messages on this connection", self.host)));
        }
        self.transactions += 1;
        let args = || vec![Value::Address(sender.clone()), self.connection()];
        self.fire("smtp_server_mail_from", args).await?;
        let reply = Reply::new(250, format!("OK <{sender}>"));
        // Idle => Open.
        self.state = State::Open(Transaction { sender, utf8, recipients: Vec::new() });
        Ok(reply)
    }

    /// Whether the client said SMTPUTF8.
    fn read_params(&self, params: &Params<'_>) -> Result<bool, Reply> {
        let mut utf8 = false;
        for (keyword, value) in &params.0 {
            let value = value.unwrap_or_default();
            match (keyword.to_ascii_uppercase().as_str(), value.to_ascii_uppercase().as_str()) {
                ("SMTPUTF8", "") => utf8 = true,
                // We store and pass on eight bits either way.
                ("BODY", "7BIT" | "8BITMIME") => {}
                // Not advertised, but common, and it saves the client from sending what we would refuse.
                ("SIZE", _) => match value.parse::<u64>() {
                    Ok(size) if size > self.params.max_message_size as u64 => return Err(Flaw::TooBig.reply()),
                    Ok(_) => {}
                    Err(_) => return Err(Reply::new(501, "5.5.4 SIZE needs a number")),
                },
                _ => return Err(unknown_parameter(keyword)),
            }
        }
        Ok(utf8)
    }

    /// Whether mail is taken now.
    ///
    /// # Errors
    /// A 421 that says why not. It begins with 4.3.2, so it is no Rejection: the client did nothing wrong.
    pub(super) fn check_intake(&self) -> Result<(), Reply> {
        let why = match self.shared.intake.state() {
            IntakeState::Open => return Ok(()),
            IntakeState::WaitingForSpool => "waiting for spool startup",
            IntakeState::ShuttingDown => "shutting down",
            IntakeState::LoadShedding => "load shedding",
            IntakeState::DiskFull(_) => "disk is too full",
            IntakeState::SpoolFailing(_) => "spool is failing",
        };
        Err(self.not_now(why))
    }

    /// The reply that asks to come back later.
    pub(super) fn not_now(&self, why: &str) -> Reply {
        Reply::new(421, format!("4.3.2 {} {why}", self.host))
    }
}

/// RFC 6531 section 3.4: an address beyond ASCII needs a client that knows what it does.
pub(super) fn check_ascii(address: &EnvelopeAddress, utf8: bool) -> Result<(), Reply> {
    if utf8 || address.as_str().is_ascii() {
        return Ok(());
    }
    Err(Reply::new(553, "5.6.7 an address beyond ASCII needs the SMTPUTF8 parameter of MAIL FROM"))
}

pub(super) fn unknown_parameter(keyword: &str) -> Reply {
    Reply::new(555, format!("5.5.4 parameter {keyword} is not supported"))
}
