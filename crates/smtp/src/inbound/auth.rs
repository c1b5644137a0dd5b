//! AUTH PLAIN (RFC 4954, RFC 4616): passwords go over an encrypted connection and to policy, nowhere else.

use super::reply::Reply;
use super::session::{Session, State};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};
use waybill_authorizer::{Decision, Question, Verdict};
use waybill_policy::{Ending, PolicyError, Value};

/// Wrong credentials on one connection. Whoever guesses has to come again, and can be seen coming.
const MAX_FAILURES: u32 = 3;
/// What records and policy see of the line that answers a challenge.
pub(super) const COMMAND: &str = "AUTH PLAIN";
const EVENT: &str = "smtp_server_auth_plain";

/// What the client claims to be, and its proof.
#[derive(PartialEq, Eq)]
struct Credentials {
    /// Whom it wants to act as; the same as `authc` when it does not say.
    authz: String,
    /// Who it is.
    authc: String,
    password: Vec<u8>,
}

impl Session {
    /// The command, with the client's response if it has sent that along.
    pub(super) async fn auth(&mut self, mechanism: &str, response: Option<&str>) -> Result<Reply, Reply> {
        let mechanism = mechanism.to_ascii_uppercase();
        if mechanism.is_empty() {
            return Err(Reply::syntax());
        }
        if self.tls.is_none() {
            return Err(Reply::new(524, format!("5.7.11 AUTH {mechanism} needs an encrypted connection")));
        }
        match self.state {
            State::Idle => {}
            State::Fresh => return Err(Reply::new(503, "5.5.1 say EHLO first")),
            State::Open(_) | State::Body(_) => {
                return Err(Reply::new(503, "5.5.0 a transaction is under way, RSET would end it"));
            }
        }
        if self.authz.is_some() {
            return Err(Reply::new(503, "5.5.1 authenticated already"));
        }
        if mechanism != "PLAIN" {
            return Err(Reply::new(504, format!("5.5.4 AUTH {mechanism} is not supported, AUTH PLAIN is")));
        }
        match response {
            Some(response) => self.authenticate(response).await,
            None => {
                self.awaits_response = true;
                Ok(Reply::new(334, ""))
            }
        }
    }

    /// Whether the next line is no command but a password. Given once: whatever comes next ends the exchange.
    pub(super) fn take_challenge(&mut self) -> bool {
        std::mem::take(&mut self.awaits_response)
    }

    /// The line behind a challenge.
    pub(super) async fn respond(&mut self, line: &str) -> Reply {
        if line == "*" {
            return Reply::new(501, "5.7.0 authentication is cancelled");
        }
        self.authenticate(line).await.unwrap_or_else(|refusal| refusal)
    }

    async fn authenticate(&mut self, response: &str) -> Result<Reply, Reply> {
        let credentials = Credentials::decode(response)
            .ok_or_else(|| Reply::new(501, "5.5.2 this is no response in base64 as AUTH PLAIN wants it"))?;
        let judged = self.judge(&credentials).await;
        self.tell_decision(&credentials, &judged);
        match judged {
            Ok(Some(info)) => {
                let Credentials { authz, authc, .. } = credentials;
                self.set_meta("authn_id", authc);
                self.set_meta("authz_id", authz.as_str());
                self.set_meta("auth_info", info);
                self.authz = Some(authz);
                Ok(Reply::new(235, "2.7.0 AUTH OK!"))
            }
            Ok(None) => Err(self.wrong(Reply::new(535, "5.7.8 AUTH invalid"))),
            Err(refusal) => Err(self.wrong(refusal)),
        }
    }

    /// Who it is, as policy sees it; `None` when the credentials are wrong, or there is nobody to tell.
    async fn judge(&self, credentials: &Credentials) -> Result<Option<Json>, Reply> {
        let Credentials { authz, authc, password } = credentials;
        let args =
            || vec![authz.as_str().into(), authc.as_str().into(), Value::Bytes(password.clone()), self.connection()];
        let Some(returned) = self.fire(EVENT, args).await? else {
            return Ok(None);
        };
        let named = |info: &Json| info["identities"].as_array().is_some_and(|identities| !identities.is_empty());
        match returned.first() {
            Value::Nil | Value::Bool(false) => Ok(None),
            Value::Bool(true) => Ok(Some(json!({
                "peer_address": self.ends.peer.ip().to_string(),
                "identities": [
                    {"identity": authz, "context": "SmtpAuthPlainAuthorization"},
                    {"identity": authc, "context": "SmtpAuthPlainAuthentication"},
                ],
                "groups": [],
            }))),
            // A table without an identity says that nobody was authenticated.
            Value::Json(info @ Json::Object(_)) => Ok(named(info).then(|| info.clone())),
            // What a script did not mean as a yes must not be one.
            _ => Err(self.failed(EVENT, &PolicyError::unusable("expected a boolean or an AuthInfo table"))),
        }
    }

    /// Tells the account log.
    fn tell_decision(&self, credentials: &Credentials, judged: &Result<Option<Json>, Reply>) {
        let reason = match judged {
            Ok(Some(_)) => None,
            Ok(None) => Some("AUTH invalid".to_owned()),
            Err(refusal) => Some(format!("{} {}", refusal.code, refusal.text)),
        };
        self.shared.decisions.tell(|| Decision {
            question: Question::Authentication {
                mechanism: "SmtpAuthPlain",
                identity: Some(credentials.authc.clone()),
            },
            decision: if reason.is_none() { Verdict::Allow } else { Verdict::Deny },
            reason,
            resource: format!("esmtp_listener/{}", self.ends.via),
            peer_address: self.ends.peer.ip(),
            event_time: (self.shared.now)(),
        });
    }

    fn wrong(&mut self, refusal: Reply) -> Reply {
        self.auth_failures += 1;
        if self.auth_failures < MAX_FAILURES { refusal } else { refusal.ending(Ending::FollowWith421) }
    }
}

impl Credentials {
    /// `[authzid] NUL authcid NUL passwd`, in base64; `=` stands for nothing at all.
    fn decode(response: &str) -> Option<Self> {
        let bytes = if response == "=" { Vec::new() } else { STANDARD.decode(response).ok()? };
        let mut parts = bytes.split(|byte| *byte == 0);
        let (authz, authc, password) = (parts.next()?, parts.next()?, parts.next()?);
        let text = |part: &[u8]| String::from_utf8(part.to_vec()).ok().filter(|text| !text.contains(char::is_control));
        let authc = text(authc).filter(|authc| !authc.is_empty())?;
        let authz = text(authz)?;
        let authz = if authz.is_empty() { authc.clone() } else { authz };
        parts.next().is_none().then(|| Credentials { authz, authc, password: password.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(plain: &[u8]) -> Option<(String, String, Vec<u8>)> {
        let credentials = Credentials::decode(&STANDARD.encode(plain))?;
        Some((credentials.authz, credentials.authc, credentials.password))
    }

    #[test]
    fn credentials_have_three_parts() {
        let parts = |authz: &str, authc: &str, password: &[u8]| Some((authz.into(), authc.into(), password.to_vec()));
        assert_eq!(decode(b"\0tim\0tanstaaftanstaaf"), parts("tim", "tim", b"tanstaaftanstaaf"));
        assert_eq!(decode(b"Ursel\0Kurt\0xipj3plmq"), parts("Ursel", "Kurt", b"xipj3plmq"));
        assert_eq!(decode(b"\0tim\0"), parts("tim", "tim", b""), "policy knows whether a password may be empty");
        assert_eq!(decode(b"\0tim\0\xff"), parts("tim", "tim", b"\xff"));
        for wrong in [&b""[..], b"tim", b"\0tim", b"\0\0x", b"\0tim\0x\0", b"a\0b\0c\0d", b"\0t\xffm\0x", b"\0t\nm\0x"]
        {
            assert_eq!(decode(wrong), None, "{wrong:?}");
        }
        for wrong in ["=", "*", "AGEAYg", "AGEAYg==x", "é", "AG EAYg=="] {
            assert!(Credentials::decode(wrong).is_none(), "{wrong}");
        }
    }
}
