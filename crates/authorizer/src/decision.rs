use serde::Serialize;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use waybill_types::Timestamp;

/// How it was decided.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Verdict {
    /// It is who it says, or may do it.
    Allow,
    /// It is not, or may not.
    Deny,
}

/// What was decided about.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(tag = "type")]
pub enum Question {
    /// Whether somebody is who they say.
    Authentication {
        /// How it was shown: `HttpBasicAuth`, `BearerToken`, `SmtpAuthPlain`, `Token`.
        mechanism: &'static str,
        /// Who it says it is; unset where a secret is all there is.
        identity: Option<String>,
    },
    /// Whether somebody may do something.
    Authorization {
        /// Who asks; empty for somebody without credentials.
        identities: Vec<String>,
        /// The groups it is in.
        groups: Vec<String>,
        /// What it wants to do: a method, or `subject:action` where a token is needed.
        privilege: String,
    },
}

/// A decision about authentication or authorisation: a line of the account log. Holds no secret.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Decision {
    /// What was decided about.
    #[serde(flatten)]
    pub question: Question,
    /// How it was decided.
    pub decision: Verdict,
    /// Why not.
    pub reason: Option<String>,
    /// To what it was about: a listener, and behind it a path: `http_listener/127.0.0.1:8000/metrics`.
    pub resource: String,
    /// The other end; the admin socket counts as this machine.
    pub peer_address: IpAddr,
    /// When, in the form of log records.
    #[serde(serialize_with = "rfc3339")]
    pub event_time: Timestamp,
}

impl Decision {
    /// As one line of JSON with its end.
    pub fn line(&self) -> Vec<u8> {
        // Texts, addresses and lists of texts: nothing that JSON has no form for.
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }
}

fn rfc3339<S: serde::Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&time.to_rfc3339())
}

/// Who keeps decisions.
///
/// # Contract
/// `note` neither waits nor fails: requests and sessions are answered meanwhile.
pub trait DecisionLog: Send + Sync {
    /// Takes a decision.
    fn note(&self, decision: Decision);
}

/// Where decisions are told. Cheap to clone; while nobody keeps them none is even put into words.
#[derive(Clone, Default)]
pub struct Decisions(Option<Arc<dyn DecisionLog>>);

impl Decisions {
    /// Told to this log.
    pub fn kept_by(log: Arc<dyn DecisionLog>) -> Self {
        Decisions(Some(log))
    }

    /// Tells one.
    pub fn tell(&self, decision: impl FnOnce() -> Decision) {
        if let Some(log) = &self.0 {
            log.note(decision());
        }
    }
}

impl fmt::Debug for Decisions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Decisions(kept)" } else { "Decisions(for nobody)" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_is_a_line_whose_first_member_says_about_what() {
        let decision = Decision {
            question: Question::Authentication { mechanism: "HttpBasicAuth", identity: Some("a\nb".into()) },
            decision: Verdict::Deny,
            reason: Some("wrong".into()),
            resource: "http_listener/127.0.0.1:8000/metrics".into(),
            peer_address: [192, 0, 2, 1].into(),
            event_time: Timestamp::from_secs(1_700_000_000),
        };
        assert_eq!(
            String::from_utf8(decision.line()).unwrap(),
            concat!(
                r#"{"type":"Authentication","mechanism":"HttpBasicAuth","identity":"a\nb","decision":"Deny","#,
                r#""reason":"wrong","resource":"http_listener/127.0.0.1:8000/metrics","peer_address":"192.0.2.1","#,
                r#""event_time":"2023-11-14T22:13:20Z"}"#,
                "\n"
            )
        );
    }
}
