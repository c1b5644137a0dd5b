//! Who a request comes from, as far as policy can tell.

use crate::api::Services;
use crate::credentials::{Accepted, Credentials};
use crate::reply::Refusal;
use axum::http::{HeaderMap, StatusCode};
use ipnet::IpNet;
use serde_json::{Value as Json, json};
use std::net::Ipv4Addr;
use std::sync::Arc;
use waybill_authorizer::{Connection, Peer};
use waybill_policy::Value;

/// The group of peers in `trusted_hosts`, as access rules of operators name it.
const TRUSTED_GROUP: &str = "kumomta:http-listener-trusted-ip";

/// Who a credential belongs to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Identity {
    /// Names, each with where it came from (`HttpBasicAuth`, `BearerToken`, or what policy said).
    pub names: Vec<(String, String)>,
    /// Groups that policy put it in.
    pub groups: Vec<String>,
}

/// Who asks: every handler behind the guard finds it as an extension (`Extension<Arc<AuthInfo>>`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuthInfo {
    /// The other end.
    pub peer: Peer,
    /// Whether it is in `trusted_hosts`, or came over the admin socket.
    pub trusted: bool,
    /// What its credentials proved; `None` when it showed none.
    pub identity: Option<Arc<Identity>>,
}

impl AuthInfo {
    /// The first name that was proved, else the peer's address: what the meta `http_auth` says.
    pub fn name(&self) -> String {
        let proved = self.identity.as_ref().and_then(|identity| identity.names.first());
        proved.map_or_else(|| self.peer.address().to_string(), |(name, _)| name.clone())
    }

    /// The names that were proved.
    pub(crate) fn identities(&self) -> Vec<String> {
        let names = self.identity.as_deref().map_or(&[][..], |identity| &identity.names);
        names.iter().map(|(name, _)| name.clone()).collect()
    }

    /// The groups it is in.
    pub(crate) fn groups(&self) -> impl Iterator<Item = &str> {
        let own = self.identity.as_deref().map_or(&[][..], |identity| &identity.groups).iter().map(String::as_str);
        let trusted = self.trusted.then_some(TRUSTED_GROUP);
        own.filter(move |group| trusted != Some(*group)).chain(trusted)
    }

    /// From what [`AuthInfo::to_json`] gave.
    pub(crate) fn restored(peer: Peer, info: &Json) -> Self {
        let trusted = info["groups"].as_array().is_some_and(|groups| groups.iter().any(|group| group == TRUSTED_GROUP));
        AuthInfo { peer, trusted, identity: from_policy(info).map(Arc::new) }
    }

    /// As policy sees it.
    pub fn to_json(&self) -> Json {
        let identity = self.identity.as_deref();
        let names = identity.map_or(&[][..], |identity| &identity.names);
        json!({
            "peer_address": self.peer.address().to_string(),
            "identities": names.iter().map(|(name, context)| json!({"identity": name, "context": context})).collect::<Vec<_>>(),
            "groups": self.groups().collect::<Vec<_>>(),
        })
    }
}

/// Finds out who asks.
pub(crate) struct Authenticator {
    services: Services,
    accepted: Accepted,
}

impl Authenticator {
    pub(crate) fn new(services: Services) -> Self {
        Authenticator { services, accepted: Accepted::new() }
    }

    /// # Errors
    /// 400 for a header that cannot be read, 401 for credentials that policy does not accept (also from a trusted
    /// host), 500 when policy fails.
    pub(crate) async fn authenticate(
        &self,
        connection: Option<&Connection>,
        trusted: &[IpNet],
        headers: &HeaderMap,
    ) -> Result<AuthInfo, Refusal> {
        let (peer, trusted) = match connection.map(|connection| connection.peer) {
            // It came in some other way than through `run`: no address, hence no trust.
            None => (Peer::Ip(Ipv4Addr::UNSPECIFIED.into()), false),
            Some(Peer::Admin) => (Peer::Admin, true),
            Some(Peer::Ip(address)) => (Peer::Ip(address), trusted.iter().any(|network| network.contains(&address))),
        };
        let identity = match Credentials::of(headers)? {
            Some(credentials) => Some(self.identify(&credentials).await?),
            None => None,
        };
        Ok(AuthInfo { peer, trusted, identity })
    }

    async fn identify(&self, credentials: &Credentials) -> Result<Arc<Identity>, Refusal> {
        let policy = &self.services.policy;
        let event = credentials.event();
        if !policy.handles(event) {
            return Err(credentials.refused());
        }
        let epoch = policy.epoch();
        let now = (self.services.clock)();
        if let Some(known) = self.accepted.find(credentials, epoch, now) {
            return Ok(known);
        }
        let (args, name) = match credentials {
            Credentials::Basic { user, password } => (
                vec![Value::from(user.as_str()), Value::from(password.as_deref())],
                (user.clone(), "HttpBasicAuth".to_owned()),
            ),
            // The token itself would end up in the meta of every message: a name must do.
            Credentials::Bearer(token) => {
                (vec![Value::from(token.as_str())], ("bearer".to_owned(), "BearerToken".to_owned()))
            }
        };
        let answer = policy.call(event, args).await;
        let identity = match answer.as_ref().map(|returned| returned.first()) {
            Ok(Value::Bool(true)) => Some(Identity { names: vec![name], groups: Vec::new() }),
            Ok(Value::Bool(false) | Value::Nil) => None,
            Ok(Value::Json(info)) => from_policy(info),
            Ok(_) => return Err(broken(event, "it returned neither a boolean nor an AuthInfo table")),
            Err(error) => return Err(broken(event, error)),
        };
        let identity = Arc::new(identity.ok_or_else(|| credentials.refused())?);
        self.accepted.remember(credentials, epoch, now, identity.clone());
        Ok(identity)
    }
}

fn broken(event: &str, why: impl std::fmt::Display) -> Refusal {
    tracing::error!(event, "credentials could not be checked: {why}");
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "try again later")
}

/// An `AuthInfo` table; without an identity it says that nobody was authenticated.
fn from_policy(info: &Json) -> Option<Identity> {
    let text = |value: Option<&Json>| value.and_then(Json::as_str).map(str::to_owned);
    let list = |name: &str| info.get(name).and_then(Json::as_array).map_or(&[][..], Vec::as_slice);
    let name = |entry: &Json| {
        let context = text(entry.get("context")).unwrap_or_else(|| "GenericAuth".to_owned());
        Some((text(entry.get("identity"))?, context))
    };
    let names: Vec<_> = list("identities").iter().filter_map(name).collect();
    let groups = list("groups").iter().filter_map(|group| text(Some(group))).collect();
    if names.is_empty() { None } else { Some(Identity { names, groups }) }
}
