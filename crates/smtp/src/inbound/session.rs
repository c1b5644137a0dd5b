use super::command::Command;
use super::reply::{Reply, Then};
use super::{Ends, ListenerOptions, SessionParams, Shared};
use serde_json::Value as Json;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;
use waybill_log_record::TlsFacts;
use waybill_policy::{Args, ConnMeta, PolicyError, Returned, Value};
use waybill_trace::Mask;
use waybill_types::EnvelopeAddress;

/// One recipient that was taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Recipient {
    pub(super) address: EnvelopeAddress,
    /// Taken only to be logged, should it turn out to be a bounce or a complaint (`log_oob`, `log_arf`).
    pub(super) reports_only: bool,
}

/// From MAIL to the reply to the dot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Transaction {
    pub(super) sender: EnvelopeAddress,
    /// The client said SMTPUTF8.
    pub(super) utf8: bool,
    pub(super) recipients: Vec<Recipient>,
}

/// Where the conversation stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// The client has not said who it is. Policy may refuse that, so there is no mail without it.
    Fresh,
    /// EHLO or HELO was accepted; no transaction.
    Idle,
    /// MAIL was accepted, and so many recipients.
    Open(Transaction),
    /// DATA was accepted: what comes now is no command.
    Body(Transaction),
}

/// One side of the conversation: lines in, replies out. It knows no socket.
pub(super) struct Session {
    pub(super) shared: Arc<Shared>,
    pub(super) params: SessionParams,
    pub(super) ends: Ends,
    /// What XCLIENT puts others in place of.
    pub(super) real: Ends,
    /// Whether the real client may say XCLIENT.
    pub(super) may_xclient: bool,
    /// In all records of the session.
    pub(super) id: String,
    pub(super) meta: ConnMeta,
    /// Our name.
    pub(super) host: String,
    /// Its name, once it has said one.
    pub(super) hello: String,
    /// It said so by EHLO.
    pub(super) extended: bool,
    pub(super) state: State,
    /// MAIL commands so far.
    pub(super) transactions: u64,
    /// Refusals so far.
    pub(super) refusals: u32,
    /// Whether bytes had come behind the line that is being answered.
    pub(super) more_came: bool,
    /// What is known of the encryption, once there is one.
    pub(super) tls: Option<TlsFacts>,
    /// STARTTLS was granted: the connection is to do the handshake.
    pub(super) handshake: Option<TlsAcceptor>,
    /// Whom an authenticated client acts as.
    pub(super) authz: Option<String>,
    /// Credentials that were wrong so far.
    pub(super) auth_failures: u32,
    /// AUTH PLAIN was answered with a challenge: the next line is the response.
    pub(super) awaits_response: bool,
    /// Takes passwords out of what listeners hear.
    pub(super) mask: Mask,
}

impl Session {
    /// A session over a connection with these ends, which a proxy may have named in place of its own.
    pub(super) fn new(shared: Arc<Shared>, ends: Ends, proxy: Option<Ends>, id: String) -> Self {
        let params = shared.config.params_for(ends.peer.ip(), ends.via.ip());
        let mut session = Session {
            shared,
            params,
            ends,
            real: ends,
            may_xclient: false,
            id,
            meta: ConnMeta::default(),
            host: String::new(),
            hello: String::new(),
            extended: false,
            state: State::Fresh,
            transactions: 0,
            refusals: 0,
            more_came: false,
            tls: None,
            handshake: None,
            authz: None,
            auth_failures: 0,
            awaits_response: false,
            mask: Mask::default(),
        };
        session.meta = ConnMeta::new(session.params.meta.clone());
        session.predefine();
        if let Some(proxy) = proxy {
            session.remember_original(proxy);
        }
        session
    }

    /// The ends of the connection itself, where others were named in their place.
    pub(super) fn remember_original(&self, ends: Ends) {
        // A proxy before the client that said XCLIENT: the socket's own ends are the original ones.
        if self.meta.get("orig_received_from").is_none() {
            self.set_meta("orig_received_from", ends.peer.to_string());
            self.set_meta("orig_received_via", ends.via.to_string());
        }
    }

    /// Our name by the parameters in force, and the meta that is the same for every listener. No configured meta
    /// takes its place: scripts decide by it.
    pub(super) fn predefine(&mut self) {
        self.host = self.params.hostname.clone().unwrap_or_else(|| self.shared.hostname.to_string());
        self.set_meta("hostname", self.host.as_str());
        self.set_meta("reception_protocol", "ESMTP");
        self.set_meta("received_from", self.ends.peer.to_string());
        self.set_meta("received_via", self.ends.via.to_string());
    }

    /// The greeting, or what stands in its place.
    pub(super) async fn greet(&mut self) -> Reply {
        match self.try_greet().await {
            Ok(reply) => reply,
            Err(reply) => {
                self.shared.stats.deny();
                reply.closing()
            }
        }
    }

    async fn try_greet(&mut self) -> Result<Reply, Reply> {
        self.check_intake()?;
        self.ask_for_parameters().await?;
        self.may_xclient = self.params.allow_xclient;
        self.fire("smtp_server_connection_accepted", || vec![self.connection()]).await?;
        Ok(self.greeting())
    }

    /// Has policy refine the listener's parameters for this client.
    pub(super) async fn ask_for_parameters(&mut self) -> Result<(), Reply> {
        let event = "smtp_server_get_dynamic_parameters";
        let args = || vec![self.via(), self.connection()];
        if let Some(returned) = self.fire(event, args).await? {
            self.refine(returned.first()).map_err(|why| self.failed(event, &PolicyError::unusable(why)))?;
        }
        Ok(())
    }

    pub(super) fn greeting(&self) -> Reply {
        Reply::new(220, format!("{} {}", self.host, self.params.banner))
    }

    fn refine(&mut self, returned: &Value) -> Result<(), String> {
        let table = match returned {
            Value::Nil => return Ok(()),
            Value::Json(table @ Json::Object(_)) => table,
            // Also a list: it would be read as keys in order of their declaration.
            _ => return Err("expected a table of listener parameters".into()),
        };
        let options: ListenerOptions = serde::Deserialize::deserialize(table).map_err(|error| format!("{error}"))?;
        options.check()?;
        let before = self.params.meta.clone();
        options.apply(&mut self.params, self.ends.peer.ip(), self.ends.via.ip());
        // Only what is new: the script may have set others on the connection itself meanwhile.
        for (name, value) in self.params.meta.iter().filter(|(name, value)| before.get(*name) != Some(value)) {
            self.set_meta(name, value.clone());
        }
        self.predefine();
        Ok(())
    }

    /// Answers one line.
    pub(super) async fn handle(&mut self, line: &str) -> Reply {
        let answer = match Command::parse(line) {
            Ok(command) => self.obey(command).await,
            Err(reply) => Err(reply),
        };
        answer.unwrap_or_else(|refusal| refusal)
    }

    async fn obey(&mut self, command: Command<'_>) -> Result<Reply, Reply> {
        match command {
            Command::Ehlo(name) => self.ehlo(name).await,
            Command::Helo(name) => self.helo(name).await,
            Command::Mail(sender, params) => self.mail(sender, params).await,
            Command::Rcpt(recipient, params) => self.rcpt(recipient, params).await,
            Command::Data => self.data(),
            Command::Rset => Ok(self.rset()),
            Command::Noop => Ok(Reply::new(250, "OK")),
            Command::Vrfy => self.vrfy(),
            Command::StartTls => self.starttls().await,
            Command::Xclient(attributes) => self.xclient(attributes).await,
            Command::Auth(mechanism, response) => self.auth(mechanism, response).await,
            Command::Quit => Ok(Reply::new(221, format!("{} says goodbye", self.host))),
        }
    }

    /// Whether the client now sends message data.
    pub(super) fn expects_data(&self) -> bool {
        matches!(self.state, State::Body(_))
    }

    /// The transaction, from MAIL to the reply to the dot.
    pub(super) fn transaction(&self) -> Option<&Transaction> {
        match &self.state {
            State::Open(transaction) | State::Body(transaction) => Some(transaction),
            State::Fresh | State::Idle => None,
        }
    }

    /// Open, Body => Idle.
    pub(super) fn reset(&mut self) {
        if self.state != State::Fresh {
            self.state = State::Idle;
        }
    }

    /// The connection's meta as an argument.
    pub(super) fn connection(&self) -> Value {
        Value::Connection(self.meta.clone())
    }

    /// The address that the client connected to, as an argument.
    pub(super) fn via(&self) -> Value {
        self.ends.via.to_string().as_str().into()
    }

    /// Calls an event; `None` when nobody handles it, and then no arguments are made.
    ///
    /// # Errors
    /// The reply: what the script rejected with, or 421 when it failed.
    pub(super) async fn fire(&self, event: &str, args: impl FnOnce() -> Args) -> Result<Option<Returned>, Reply> {
        if !self.shared.policy.handles(event) {
            return Ok(None);
        }
        let answer = self.shared.policy.call(event, args()).await;
        self.tell_call(event, &answer);
        match answer {
            Ok(returned) => Ok(Some(returned)),
            Err(error) => Err(self.failed(event, &error)),
        }
    }

    /// The reply to an error in an event.
    pub(super) fn failed(&self, event: &str, error: &PolicyError) -> Reply {
        match error.rejected() {
            Some(rejected) if (400..600).contains(&rejected.code) => {
                Reply::new(rejected.code, &rejected.text).ending(rejected.ending)
            }
            // A rejection that the client would take for success is a mistake in the script: 250 without a message
            // in the spool loses mail.
            _ => {
                tracing::error!(event, %error, "policy failed");
                Reply::technical_difficulties(&self.host)
            }
        }
    }

    /// The reply as policy wants it worded.
    pub(super) async fn rewrite(&self, reply: Reply, command: Option<&str>) -> Reply {
        let event = "smtp_server_rewrite_response";
        if !self.shared.policy.handles(event) {
            return reply;
        }
        let (status, text) = (Value::Int(reply.code.into()), Value::from(reply.text.as_str()));
        let args = vec![status, text, command.into(), self.connection()];
        let rewritten = self.shared.policy.call(event, args).await.and_then(|returned| reworded(&reply, &returned));
        rewritten.unwrap_or_else(|error| {
            tracing::error!(event, %error, "the reply stays as it was");
            reply
        })
    }

    /// A meta field for messages and records.
    pub(super) fn set_meta(&self, name: &str, value: impl Into<Json>) {
        self.meta.set(name, value.into());
    }
}

fn reworded(reply: &Reply, returned: &Returned) -> Result<Reply, PolicyError> {
    let code = match returned.first() {
        Value::Nil => reply.code,
        Value::Int(code) => u16::try_from(*code).unwrap_or(0),
        _ => return Err(PolicyError::unusable("the status is no number")),
    };
    let text = match returned.0.get(1) {
        None | Some(Value::Nil) => reply.text.clone(),
        Some(text) => Returned(vec![text.clone()]).text()?,
    };
    // The client acts on the class of the code: told no where we took the message it sends it again, told yes
    // where we did not it forgets it.
    if !(200..600).contains(&code) || (code < 400) == reply.is_refusal() || (code == 354) != (reply.code == 354) {
        return Err(PolicyError::unusable(format_args!("status {} cannot become {code}", reply.code)));
    }
    let reworded = Reply::new(code, text);
    Ok(if reworded.then == Then::GoOn { Reply { then: reply.then, ..reworded } } else { reworded })
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("id", &self.id).field("state", &self.state).finish_non_exhaustive()
    }
}
