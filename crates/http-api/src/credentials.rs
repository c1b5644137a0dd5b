//! The `Authorization` header, and what was found out about one a moment ago.

use crate::auth::Identity;
use crate::reply::Refusal;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use waybill_policy::Epoch;
use waybill_types::Timestamp;

/// A credential that policy accepted is not asked for again this long.
pub(crate) const CACHE_FOR: Duration = Duration::from_secs(60);
/// So many of them; beyond it all are forgotten, which costs one more question each.
pub(crate) const CACHE_CAPACITY: usize = 1024;

/// What a client proves itself with. Not `Debug`: secrets must not reach a log.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Credentials {
    /// RFC 7617.
    Basic {
        /// Who it claims to be.
        user: String,
        /// Absent when there was no colon.
        password: Option<String>,
    },
    /// RFC 6750.
    Bearer(String),
}

impl Credentials {
    /// Those of a request, `None` when there are none.
    ///
    /// # Errors
    /// 400 when the header is there and cannot be read.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Option<Self>, Refusal> {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let Some(value) = values.next() else { return Ok(None) };
        let parsed = if values.next().is_some() { Err("it is there twice") } else { parse(value) };
        parsed
            .map(Some)
            .map_err(|why| Refusal::new(StatusCode::BAD_REQUEST, format!("malformed Authorization header: {why}")))
    }

    /// The event that decides about them.
    pub(crate) fn event(&self) -> &'static str {
        match self {
            Credentials::Basic { .. } => "http_server_validate_auth_basic",
            Credentials::Bearer(_) => "http_server_validate_auth_bearer",
        }
    }

    /// 401, in the words that KumoMTA uses.
    pub(crate) fn refused(&self) -> Refusal {
        let text = match self {
            Credentials::Basic { user, .. } => {
                let shown: String = user.chars().filter(|c| !c.is_control()).take(256).collect();
                format!("HttpBasicAuth Authentication Failed for {shown}")
            }
            Credentials::Bearer(_) => "BearerToken Authentication Failed".to_owned(),
        };
        Refusal::new(StatusCode::UNAUTHORIZED, text)
    }
}

/// What may be told of credentials: no secret.
pub(crate) struct Shown {
    /// `HttpBasicAuth` or `BearerToken`.
    pub(crate) mechanism: &'static str,
    /// Who it claims to be.
    pub(crate) user: Option<String>,
}

impl Shown {
    /// Of a request's credentials, be they well formed or not.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        match Credentials::of(headers) {
            Ok(None) => None,
            Ok(Some(Credentials::Basic { user, .. })) => {
                let user = user.chars().filter(|c| !c.is_control()).take(256).collect();
                Some(Shown { mechanism: "HttpBasicAuth", user: Some(user) })
            }
            Ok(Some(Credentials::Bearer(_))) => Some(Shown { mechanism: "BearerToken", user: None }),
            Err(_) => Some(Shown { mechanism: "unreadable", user: None }),
        }
    }
}

fn parse(value: &HeaderValue) -> Result<Credentials, &'static str> {
    let text = value.to_str().map_err(|_| "it is not ASCII")?;
    let (scheme, rest) = text.split_once(' ').ok_or("there is nothing behind the scheme")?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("basic") {
        let decoded = STANDARD.decode(rest).map_err(|_| "what follows Basic is not base64")?;
        let decoded = String::from_utf8(decoded).map_err(|_| "user and password are not UTF-8")?;
        let (user, password) = match decoded.split_once(':') {
            Some((user, password)) => (user.to_owned(), Some(password.to_owned())),
            None => (decoded, None),
        };
        Ok(Credentials::Basic { user, password })
    } else if scheme.eq_ignore_ascii_case("bearer") {
        if rest.is_empty() { Err("there is no token behind Bearer") } else { Ok(Credentials::Bearer(rest.to_owned())) }
    } else {
        Err("the scheme is neither Basic nor Bearer")
    }
}

/// A salted hash of a credential.
type Key = [u8; 32];

/// Who was let in lately. Holds no secret: only salted hashes of them.
pub(crate) struct Accepted {
    salt: [u8; 32],
    entries: Mutex<HashMap<Key, Entry>>,
}

struct Entry {
    identity: Arc<Identity>,
    until: Timestamp,
}

impl Accepted {
    pub(crate) fn new() -> Self {
        Accepted { salt: rand::random(), entries: Mutex::new(HashMap::new()) }
    }

    /// Under another policy (`epoch`) the question is a new one.
    fn key(&self, credentials: &Credentials, epoch: Epoch) -> Key {
        let (user, secret) = match credentials {
            Credentials::Basic { user, password } => (Some(user.as_str()), password.as_deref()),
            Credentials::Bearer(token) => (None, Some(token.as_str())),
        };
        let mut hash = Sha256::new_with_prefix(self.salt).chain_update(epoch.0.to_be_bytes());
        for part in [user, secret] {
            // The length in front keeps `ab` + `c` and `a` + `bc` apart.
            hash.update(part.map_or(u64::MAX, |part| part.len() as u64).to_be_bytes());
            hash.update(part.unwrap_or_default());
        }
        hash.finalize().into()
    }

    pub(crate) fn find(&self, credentials: &Credentials, epoch: Epoch, now: Timestamp) -> Option<Arc<Identity>> {
        let key = self.key(credentials, epoch);
        self.entries.lock().get(&key).filter(|entry| now < entry.until).map(|entry| entry.identity.clone())
    }

    pub(crate) fn remember(&self, credentials: &Credentials, epoch: Epoch, now: Timestamp, who: Arc<Identity>) {
        let key = self.key(credentials, epoch);
        let mut entries = self.entries.lock();
        if entries.len() >= CACHE_CAPACITY {
            entries.retain(|_, entry| now < entry.until);
        }
        if entries.len() >= CACHE_CAPACITY {
            entries.clear();
        }
        entries.insert(key, Entry { identity: who, until: now + CACHE_FOR });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: &str) -> Result<Option<Credentials>, Refusal> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        Credentials::of(&headers)
    }

    #[test]
    fn basic_and_bearer_are_read_in_any_case() {
        let basic = |user: &str, password: Option<&str>| Credentials::Basic {
            user: user.into(),
            password: password.map(Into::into),
        };
        assert!(of("Basic am9lOmE6Yg==").unwrap() == Some(basic("joe", Some("a:b"))));
        assert!(of("basic am9l").unwrap() == Some(basic("joe", None)));
        assert!(of("BEARER tok.en").unwrap() == Some(Credentials::Bearer("tok.en".into())));
        assert!(Credentials::of(&HeaderMap::new()).unwrap().is_none());
    }

    #[test]
    fn what_cannot_be_read_is_400() {
        for value in ["Basic", "Basic !!!", "Basic /w==", "Bearer ", "Digest x=y", "x"] {
            assert_eq!(of(value).err().map(|refusal| refusal.status), Some(StatusCode::BAD_REQUEST), "{value}");
        }
        let mut twice = HeaderMap::new();
        twice.append(header::AUTHORIZATION, HeaderValue::from_static("Bearer a"));
        twice.append(header::AUTHORIZATION, HeaderValue::from_static("Bearer b"));
        assert!(Credentials::of(&twice).is_err());
    }

    #[test]
    fn a_user_name_cannot_write_lines_into_the_answer() {
        let credentials = Credentials::Basic { user: "x\r\n\u{1b}[31my".into(), password: None };
        assert_eq!(credentials.refused().text, "HttpBasicAuth Authentication Failed for x[31my");
    }

    #[test]
    fn an_accepted_credential_is_known_for_a_minute_and_under_one_policy() {
        let accepted = Accepted::new();
        let joe = Credentials::Basic { user: "joe".into(), password: Some("secret".into()) };
        let now = Timestamp::from_secs(1_700_000_000);
        let who = Arc::new(Identity { names: vec![("joe".into(), "HttpBasicAuth".into())], groups: vec![] });
        accepted.remember(&joe, Epoch(1), now, who);
        assert!(accepted.find(&joe, Epoch(1), now + Duration::from_secs(59)).is_some());
        assert!(accepted.find(&joe, Epoch(1), now + CACHE_FOR).is_none());
        assert!(accepted.find(&joe, Epoch(2), now).is_none());
        let other = Credentials::Basic { user: "joes".into(), password: Some("ecret".into()) };
        assert!(accepted.find(&other, Epoch(1), now).is_none());
    }
}
