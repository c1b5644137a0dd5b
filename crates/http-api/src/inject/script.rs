//! Injection for those who do not come over HTTP: scripts (`kumo.api.inject`).

use super::deliver::Origin;
use super::handler::{Work, accept_from};
use super::request::Request;
use crate::api::Services;
use crate::auth::AuthInfo;
use crate::liveness;
use bytes::Bytes;
use serde_json::{Map, Value as Json};
use std::sync::Arc;
use waybill_authorizer::{Connection, Peer};
use waybill_spool::{Durability, Message};
use waybill_types::Objects;

/// Bodies of requests by HTTP have a limit of the listener's; a script has the memory of the daemon, and this much of it.
const LIMIT: usize = 64 * 1024 * 1024;

/// A request that makes sense, as far as that can be said without policy.
pub struct ScriptRequest {
    request: Request,
    json: Bytes,
}

impl ScriptRequest {
    /// Reads what a script gave.
    ///
    /// # Errors
    /// A sentence with the field.
    pub fn read(given: &Json) -> Result<Self, String> {
        let mut given = given.clone();
        // Nothing tells an empty list of a script from an empty table.
        for place in ["/recipients", "/content/attachments", "/trace_headers/include_meta_names"] {
            if let Some(list) = given.pointer_mut(place).filter(|list| list.as_object().is_some_and(Map::is_empty)) {
                *list = Json::Array(Vec::new());
            }
        }
        let request = serde_path_to_error::deserialize(Objects::of_table(&given)).map_err(|error| error.to_string())?;
        let json = serde_json::to_vec(&given).map_err(|error| error.to_string())?;
        if json.len() > LIMIT {
            return Err(format!("the request has {} bytes, and {LIMIT} are the most", json.len()));
        }
        Ok(ScriptRequest { request, json: json.into() })
    }
}

/// What `POST /api/inject/v1` does, for callers inside of the daemon. They count as a trusted client on this machine.
#[derive(Clone)]
pub struct ScriptInjection {
    services: Services,
    durability: Durability,
}

impl ScriptInjection {
    /// Messages come as far as `durability` says before a call is done.
    pub fn new(services: Services, durability: Durability) -> Self {
        ScriptInjection { services, durability }
    }

    /// Generates a message for each recipient and takes it; gives what the endpoint answers.
    ///
    /// # Errors
    /// A sentence when the request makes no sense, or no mail is taken right now.
    pub async fn inject(&self, request: ScriptRequest) -> Result<Json, String> {
        liveness::check(&*self.services.intake).map_err(|refusal| refusal.text)?;
        let ScriptRequest { request, json } = request;
        let report = accept_from(self.origin(), request, json, LIMIT, self.durability).await.map_err(plain)?;
        serde_json::to_value(report).map_err(|error| error.to_string())
    }

    /// Generates the messages as [`ScriptInjection::inject`] does, and leaves them to the caller. Policy has seen them
    /// (`http_message_generated`).
    ///
    /// # Errors
    /// A sentence when the request makes no sense, or a message cannot be made for one of the recipients.
    pub async fn build(&self, request: ScriptRequest) -> Result<Vec<Message>, String> {
        let ScriptRequest { request, json } = request;
        Work::compile(self.origin(), request, json.len(), LIMIT).map_err(plain)?.build().await
    }

    fn origin(&self) -> Origin {
        // As in KumoMTA: the request comes from the loopback address, though nobody sent one.
        let who = AuthInfo { peer: Peer::Admin, trusted: true, identity: None };
        Origin {
            services: self.services.clone(),
            hostname: self.services.hostname.clone(),
            who: Arc::new(who),
            connection: Connection { peer: Peer::Admin, via: "lua".into() },
            hops: 0,
        }
    }
}

/// The text of a refusal without the word that HTTP clients know it by.
fn plain(why: String) -> String {
    why.strip_prefix("Error: ").map(str::to_owned).unwrap_or(why)
}
