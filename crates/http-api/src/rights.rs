use crate::access::Access;
use crate::acl::{Rule, built_in, parse, resources};
use crate::auth::AuthInfo;
use crate::reply::Refusal;
use axum::http::{Method, StatusCode};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use waybill_policy::{Epoch, PolicyHost, Value};
use waybill_types::Timestamp;

const EVENT: &str = "get_acl_definition";
/// What policy said about a resource is not asked for again this long.
pub(crate) const CACHE_FOR: Duration = Duration::from_secs(60);
/// So many resources; there are far fewer, unless somebody makes them up.
pub(crate) const CACHE_CAPACITY: usize = 4096;

/// Decides who may do what.
pub(crate) struct Rights {
    policy: Arc<dyn PolicyHost>,
    known: Mutex<HashMap<String, Known>>,
}

#[derive(Clone)]
struct Known {
    list: Option<Arc<[Rule]>>,
    epoch: Epoch,
    until: Timestamp,
}

impl Rights {
    pub(crate) fn new(policy: Arc<dyn PolicyHost>) -> Self {
        Rights { policy, known: Mutex::default() }
    }

    /// Whether this request may go on.
    ///
    /// # Errors
    /// 500 when policy fails: it must not open what it meant to close.
    pub(crate) async fn allow(
        &self,
        who: &AuthInfo,
        via: &str,
        path: &str,
        method: &Method,
        access: Access,
        now: Timestamp,
    ) -> Result<bool, Refusal> {
        let method = if method == Method::HEAD { &Method::GET } else { method };
        let asks = self.policy.handles(EVENT);
        for resource in resources(via, path) {
            let list = if asks { self.list(&resource, now).await? } else { None };
            let decided = match list {
                Some(rules) => rules.iter().find_map(|rule| rule.decide(who, method)),
                None => built_in(&resource, path, access, who, method),
            };
            if let Some(decided) = decided {
                return Ok(decided);
            }
        }
        Ok(false)
    }

    async fn list(&self, resource: &str, now: Timestamp) -> Result<Option<Arc<[Rule]>>, Refusal> {
        let epoch = self.policy.epoch();
        let known = self.known.lock().get(resource).cloned();
        if let Some(known) = known.filter(|known| known.epoch == epoch && now < known.until) {
            return Ok(known.list);
        }
        let broken = |why: &dyn std::fmt::Display| {
            tracing::error!(resource, "{EVENT} failed: {why}");
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "try again later")
        };
        let returned = self.policy.call(EVENT, vec![Value::from(resource)]).await.map_err(|error| broken(&error))?;
        let list = match returned.first() {
            Value::Nil => None,
            Value::Json(list) => Some(parse(list).map_err(|why| broken(&why))?.into()),
            _ => return Err(broken(&"it returned neither a list of rules nor nil")),
        };
        let mut all = self.known.lock();
        if all.len() >= CACHE_CAPACITY {
            all.clear();
        }
        all.insert(resource.to_owned(), Known { list: Option::clone(&list), epoch, until: now + CACHE_FOR });
        Ok(list)
    }
}
