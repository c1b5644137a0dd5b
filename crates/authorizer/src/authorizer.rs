use crate::attempts::Attempts;
use crate::local::is_local;
use crate::{
    Caller, Connection, Decision, Decisions, Origin, Peer, Question, Refusal, TokenStore, Verdict, credentials,
};
use http::request::Parts;
use std::net::Ipv4Addr;
use std::sync::Arc;
use waybill_runtime::Clock;
use waybill_tokens::{Action, Grant, Subject, TokenId};
use waybill_types::Timestamp;

/// What a request needs to be allowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Need<'a> {
    subject: Subject,
    action: Action,
    object: Option<&'a str>,
}

impl<'a> Need<'a> {
    /// To do this, to whatever the caller may do it to: for lists, and for what is new.
    pub const fn new(subject: Subject, action: Action) -> Self {
        Need { subject, action, object: None }
    }

    /// To do it to this one.
    #[must_use]
    pub const fn object(self, object: &'a str) -> Self {
        Need { object: Some(object), ..self }
    }

    /// As in an access list.
    fn words(&self) -> String {
        let object = self.object.map(|object| {
            let shown: String = object.chars().filter(|c| !c.is_control() && *c != '`').take(64).collect();
            format!(":{shown}")
        });
        format!("{}:{}{}", self.subject, self.action, object.unwrap_or_default())
    }
}

/// Decides who may do what with that which KumoMTA has not.
#[derive(Clone)]
pub struct Authorizer {
    tokens: TokenStore,
    clock: Arc<dyn Clock>,
    attempts: Arc<Attempts>,
    decisions: Decisions,
}

impl Authorizer {
    /// By these tokens. Clones count failed attempts together.
    pub fn new(tokens: TokenStore, clock: Arc<dyn Clock>) -> Self {
        Authorizer { tokens, clock, attempts: Arc::default(), decisions: Decisions::default() }
    }

    /// Tells its decisions there.
    #[must_use]
    pub fn telling(self, decisions: Decisions) -> Self {
        Authorizer { decisions, ..self }
    }

    /// Where decisions are told, also those of others.
    pub const fn decisions(&self) -> &Decisions {
        &self.decisions
    }

    /// The tokens that it knows.
    pub const fn tokens(&self) -> &TokenStore {
        &self.tokens
    }

    /// Who asks, when they may do this to something; whose that something is, is for [`Caller::reaches`]. The other end is in
    /// the request's extension [`Connection`]; without it nobody is trusted for where they come from.
    ///
    /// # Errors
    /// See [`Refusal`]. It is told in the log, as long as there are not too many.
    pub fn authorize(&self, request: &Parts, need: Need<'_>) -> Result<Caller, Refusal> {
        let connection = request.extensions.get::<Connection>();
        let peer = connection.map_or_else(|| Peer::Ip(Ipv4Addr::UNSPECIFIED.into()), |connection| connection.peer);
        let mut token = None;
        let decided = self.decide(request, peer, need, &mut token);
        let told =
            Told { request, peer, via: connection.map_or("?", |connection| &*connection.via), now: self.clock.now() };
        told.tell(&self.decisions, &need, token, decided.as_ref().err());
        decided.inspect_err(|refusal| {
            if let Some(untold) = self.attempts.tell(peer, self.clock.now()) {
                refusal.tell(peer, untold, &request.method, request.uri.path());
            }
        })
    }

    /// Leaves in `proved` which token it is.
    fn decide(
        &self,
        request: &Parts,
        peer: Peer,
        need: Need<'_>,
        proved: &mut Option<TokenId>,
    ) -> Result<Caller, Refusal> {
        let Some(bearer) = credentials::shown(&request.headers).map_err(Refusal::Unreadable)? else {
            return without_a_token(request, peer, &need);
        };
        let token = match self.tokens.proved_by(&bearer.hash())? {
            Some(token) => token,
            None => {
                let counted = self.attempts.wrong(peer, self.clock.now());
                return Err(counted.err().map_or(Refusal::Unknown, Refusal::TooMany));
            }
        };
        *proved = Some(token.id);
        if !token.grant.acl().permits(need.subject, need.action, need.object) {
            return Err(Refusal::NotAllowed { needs: need.words() });
        }
        Ok(Caller { origin: Origin::Token(token.id), peer, grant: token.grant.clone() })
    }
}

fn without_a_token(request: &Parts, peer: Peer, need: &Need<'_>) -> Result<Caller, Refusal> {
    let loopback = matches!(peer, Peer::Ip(address) if address.is_loopback());
    let origin = match peer {
        Peer::Admin => Origin::AdminSocket,
        Peer::Ip(_) if loopback && is_local(&request.uri, &request.headers) => Origin::ThisMachine,
        Peer::Ip(_) => return Err(Refusal::Missing { needs: need.words(), behind_a_proxy: loopback }),
    };
    Ok(Caller { origin, peer, grant: Grant::operator() })
}

/// What all decisions about a request have in common.
struct Told<'a> {
    request: &'a Parts,
    peer: Peer,
    via: &'a str,
    now: Timestamp,
}

impl Told<'_> {
    fn decision(&self, question: Question, refusal: Option<&Refusal>) -> Decision {
        Decision {
            question,
            decision: if refusal.is_none() { Verdict::Allow } else { Verdict::Deny },
            reason: refusal.map(|refusal| refusal.code().to_owned()),
            resource: format!("http_listener/{}{}", self.via, self.request.uri.path()),
            peer_address: self.peer.address(),
            event_time: self.now,
        }
    }

    fn tell(&self, decisions: &Decisions, need: &Need<'_>, token: Option<TokenId>, refusal: Option<&Refusal>) {
        let identity = token.map(|id| id.to_string());
        let wrong = match refusal {
            // Nobody has decided anything.
            Some(Refusal::NotReady) => return,
            Some(Refusal::Unreadable(_) | Refusal::Unknown | Refusal::TooMany(_)) => refusal,
            Some(Refusal::Missing { .. } | Refusal::NotAllowed { .. }) | None => None,
        };
        if wrong.is_some() || identity.is_some() {
            let question = || Question::Authentication { mechanism: "Token", identity: identity.clone() };
            decisions.tell(|| self.decision(question(), wrong));
        }
        if wrong.is_none() {
            let question = || Question::Authorization {
                identities: identity.iter().cloned().collect(),
                groups: Vec::new(),
                privilege: need.words(),
            };
            decisions.tell(|| self.decision(question(), refusal));
        }
    }
}
