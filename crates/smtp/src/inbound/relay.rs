use super::CidrSet;
use super::reply::Reply;
use super::session::Session;
use serde::{Deserialize, Deserializer};
use serde_json::Value as Json;
use waybill_policy::{PolicyError, Value};
use waybill_types::EnvelopeAddress;

pub(super) const GET_LISTENER_DOMAIN: &str = "get_listener_domain";

/// What `kumo.make_listener_domain` takes: what a domain means to a listener.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ListenerDomain {
    /// Mail to it is taken from everybody.
    pub relay_to: bool,
    /// Mail from it is taken from these, to anywhere.
    pub relay_from: CidrSet,
    /// Mail from it is taken from clients that act as one of these, to anywhere.
    #[serde(deserialize_with = "super::config::list")]
    pub relay_from_authz: Vec<String>,
    /// What to do with bounce messages (RFC 3464) to it.
    pub log_oob: ReportHandling,
    /// What to do with complaints (RFC 5965) to it.
    pub log_arf: ReportHandling,
}

/// What becomes of a bounce message or complaint.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ReportHandling {
    /// It is mail like any other.
    #[default]
    Ignore,
    /// It is logged, and that is all.
    LogThenDrop,
    /// It is logged, then it is mail like any other.
    LogThenRelay,
}

impl<'de> Deserialize<'de> for ReportHandling {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected true, false, \"Ignore\", \"LogThenDrop\" or \"LogThenRelay\"")]
        enum Written {
            Flag(bool),
            Word(Word),
        }
        #[derive(Deserialize)]
        enum Word {
            Ignore,
            LogThenDrop,
            LogThenRelay,
        }
        Ok(match Written::deserialize(deserializer)? {
            Written::Flag(false) | Written::Word(Word::Ignore) => ReportHandling::Ignore,
            Written::Word(Word::LogThenDrop) => ReportHandling::LogThenDrop,
            Written::Flag(true) | Written::Word(Word::LogThenRelay) => ReportHandling::LogThenRelay,
        })
    }
}

/// May this client send this?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Relay {
    Yes,
    /// Only to be logged, should it be a bounce or a complaint.
    ReportsOnly,
    No,
}

impl Session {
    /// Whether a message may come in: the client is one of ours, or the sender's domain trusts its address or whom it
    /// acts as, or the recipient's domain takes mail from everybody.
    pub(super) async fn relay(&self, sender: &EnvelopeAddress, recipient: &EnvelopeAddress) -> Result<Relay, Reply> {
        let client = self.ends.peer.ip();
        if self.params.relay_hosts.contains(client) {
            return Ok(Relay::Yes);
        }
        let from = self.listener_domain(sender).await?;
        let acts_as_one_of = |names: &[String]| self.authz.as_ref().is_some_and(|authz| names.contains(authz));
        if from.relay_from.contains(client) || acts_as_one_of(&from.relay_from_authz) {
            return Ok(Relay::Yes);
        }
        let domain = self.listener_domain(recipient).await?;
        let logs = |handling| handling != ReportHandling::Ignore;
        Ok(match domain.relay_to {
            true => Relay::Yes,
            false if logs(domain.log_oob) || logs(domain.log_arf) => Relay::ReportsOnly,
            false => Relay::No,
        })
    }

    /// What policy says about the domain of an address; nothing is the same as all defaults.
    pub(super) async fn listener_domain(&self, address: &EnvelopeAddress) -> Result<ListenerDomain, Reply> {
        let Some(domain) = address.domain() else {
            return Ok(ListenerDomain::default());
        };
        let event = GET_LISTENER_DOMAIN;
        // Mail domains know no case, the keys of a script's tables do.
        let args = || vec![domain.to_lowercase().as_str().into(), self.via(), self.connection()];
        let Some(returned) = self.fire(event, args).await? else {
            return Ok(ListenerDomain::default());
        };
        let read = match returned.first() {
            Value::Nil => return Ok(ListenerDomain::default()),
            Value::Json(table @ Json::Object(_)) => ListenerDomain::deserialize(table).map_err(PolicyError::unusable),
            _ => Err(PolicyError::unusable("expected the result of kumo.make_listener_domain or nil")),
        };
        read.map_err(|error| self.failed(event, &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json};

    #[test]
    fn flags_and_words_say_what_becomes_of_reports() {
        for (written, handling) in [
            (json!(false), ReportHandling::Ignore),
            (json!("Ignore"), ReportHandling::Ignore),
            (json!(true), ReportHandling::LogThenRelay),
            (json!("LogThenRelay"), ReportHandling::LogThenRelay),
            (json!("LogThenDrop"), ReportHandling::LogThenDrop),
        ] {
            let domain: ListenerDomain = from_value(json!({"log_oob": written})).unwrap();
            assert_eq!((domain.log_oob, domain.log_arf), (handling, ReportHandling::Ignore));
        }
        for wrong in [json!({"log_oob": "Maybe"}), json!({"colour": 1}), json!({"relay_from": ["x"]})] {
            assert!(from_value::<ListenerDomain>(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
