use crate::bearer::{Bearer, BearerHash, NoEntropy};
use crate::{Acl, Grant, TokenId};
use serde::{Deserialize, Serialize};
use waybill_types::Timestamp;

/// The most bytes of metadata.
pub const MAX_METADATA: usize = 4096;
/// The most lines of an access list.
pub const MAX_PERMISSIONS: usize = 256;

/// A token, without the secret that proves it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Token {
    /// Its name.
    pub id: TokenId,
    /// What its maker wrote about it.
    pub metadata: String,
    /// What it allows.
    pub grant: Grant,
    hash: BearerHash,
}

/// A token as clients see it, in the order that klev's have. Not `Debug`: it may hold the secret.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// Its id.
    pub token_id: String,
    /// What its maker wrote about it.
    pub metadata: String,
    /// What it allows.
    pub acl: Vec<String>,
    /// The tenant that it is confined to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The secret, in the answer to its making.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bearer: Option<String>,
}

/// What was stored is no token.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a stored token cannot be read: {0}")]
pub struct Damaged(String);

/// A token would be too large.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Limit {
    /// Its metadata is.
    #[error("metadata has at most {MAX_METADATA} bytes")]
    Metadata,
    /// Its access list is.
    #[error("acl has at most {MAX_PERMISSIONS} lines")]
    Acl,
}

/// How a token stands in the store.
#[derive(Serialize, Deserialize)]
struct Stored {
    metadata: String,
    acl: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    sha256: String,
}

impl Token {
    /// A new one, and the secret that proves it: it cannot be had again.
    ///
    /// # Errors
    /// When the operating system has no random bytes.
    pub fn issue(now: Timestamp, metadata: String, grant: Grant) -> Result<(Self, Bearer), NoEntropy> {
        let bearer = Bearer::random()?;
        Ok((Token { id: TokenId::mint(now)?, metadata, grant, hash: bearer.hash() }, bearer))
    }

    /// Refuses what is too large to keep.
    ///
    /// # Errors
    /// Says which part of it.
    pub fn check(&self) -> Result<(), Limit> {
        if self.metadata.len() > MAX_METADATA {
            return Err(Limit::Metadata);
        }
        if self.grant.acl().permissions().len() > MAX_PERMISSIONS { Err(Limit::Acl) } else { Ok(()) }
    }

    /// Whether this is the hash of its bearer. In constant time.
    pub fn is_proved_by(&self, hash: &BearerHash) -> bool {
        self.hash == *hash
    }

    /// Where to look for it in a table, as [`BearerHash::selector`].
    pub fn selector(&self) -> u64 {
        self.hash.selector()
    }

    /// What everybody who may see it is shown.
    pub fn shown(&self) -> Shown {
        Shown {
            token_id: self.id.to_string(),
            metadata: self.metadata.clone(),
            acl: self.grant.acl().lines(),
            tenant: self.grant.tenant().map(str::to_owned),
            bearer: None,
        }
    }

    /// The same with `bearer`: the one answer to its making.
    pub fn shown_with(&self, bearer: &Bearer) -> Shown {
        Shown { bearer: Some(bearer.reveal().to_owned()), ..self.shown() }
    }

    /// As bytes for a store, which keeps the id as the key.
    pub fn encode(&self) -> Vec<u8> {
        let stored = Stored {
            metadata: self.metadata.clone(),
            acl: self.grant.acl().lines(),
            tenant: self.grant.tenant().map(str::to_owned),
            sha256: self.hash.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect(),
        };
        // Texts and lists of them: this cannot fail.
        serde_json::to_vec(&stored).unwrap_or_default()
    }

    /// From a key and bytes of a store.
    ///
    /// # Errors
    /// When they are no token's: damaged, or written by a later version.
    pub fn decode(id: &str, bytes: &[u8]) -> Result<Self, Damaged> {
        let wrong = |why: &dyn std::fmt::Display| Damaged(why.to_string());
        let id = id.parse().map_err(|error| wrong(&error))?;
        let stored: Stored = serde_json::from_slice(bytes).map_err(|error| wrong(&error))?;
        let acl = Acl::parse(&stored.acl).map_err(|error| wrong(&error))?;
        let grant = Grant::new(acl, stored.tenant).map_err(|error| wrong(&error))?;
        let hash = from_hex(&stored.sha256).ok_or_else(|| wrong(&"its hash is not 64 hex digits"))?;
        Ok(Token { id, metadata: stored.metadata, grant, hash: BearerHash::from_bytes(hash) })
    }
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = text.chars().map(|c| c.to_digit(16)?.try_into().ok()).collect::<Option<_>>()?;
    let bytes: Vec<u8> =
        digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect();
    if digits.len() == 64 { bytes.try_into().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(tenant: Option<&str>) -> (Token, Bearer) {
        let grant = Grant::parse(["logs:get", "tokens"], tenant).unwrap();
        Token::issue(Timestamp::from_secs(1_790_000_000), "CI of \"ü\"".into(), grant).unwrap()
    }

    #[test]
    fn what_is_stored_comes_back_and_holds_no_secret() {
        for tenant in [None, Some("acme")] {
            let (token, bearer) = token(tenant);
            let bytes = token.encode();
            assert_eq!(Token::decode(&token.id.to_string(), &bytes), Ok(token.clone()));
            let text = String::from_utf8(bytes).unwrap();
            assert!(!text.contains(bearer.reveal()) && !text.contains(&bearer.reveal()[4..]), "{text}");
            assert!(!format!("{token:?}").contains(bearer.reveal()));
        }
    }

    #[test]
    fn only_the_answer_to_its_making_has_the_bearer() {
        let (token, bearer) = token(None);
        let text = |shown: Shown| serde_json::to_string(&shown).unwrap();
        let open = format!(r#"{{"token_id":"{}","metadata":"CI of \"ü\"","acl":["logs:get","tokens"]"#, token.id);
        assert_eq!(text(token.shown()), format!("{open}}}"));
        assert_eq!(text(token.shown_with(&bearer)), format!(r#"{open},"bearer":"{}"}}"#, bearer.reveal()));
        assert_eq!(self::token(Some("acme")).0.shown().tenant.as_deref(), Some("acme"));
    }

    #[test]
    fn a_bearer_proves_its_own_token_and_no_other() {
        let ((one, first), (other, second)) = (token(None), token(None));
        assert!(one.is_proved_by(&first.hash()) && other.is_proved_by(&second.hash()));
        assert!(!one.is_proved_by(&second.hash()) && !other.is_proved_by(&first.hash()));
        assert_eq!(one.selector(), first.hash().selector());
    }

    #[test]
    fn what_is_damaged_is_no_token() {
        let (token, _) = token(None);
        let (id, good) = (token.id.to_string(), String::from_utf8(token.encode()).unwrap());
        for (id, bytes) in [
            ("tok_x", good.clone()),
            (id.as_str(), String::new()),
            (id.as_str(), good.replace("logs:get", "logs:eat")),
            (id.as_str(), good.replace("\"sha256\":\"", "\"sha256\":\"0")),
            (id.as_str(), good.replace("\"sha256\":\"", "\"sha256\":\"ä")),
            (id.as_str(), good.replace("sha256", "md5")),
        ] {
            assert!(Token::decode(id, bytes.as_bytes()).is_err(), "{bytes}");
        }
    }

    #[test]
    fn what_is_too_large_is_refused() {
        let (mut token, _) = token(None);
        assert_eq!(token.check(), Ok(()));
        token.metadata = "x".repeat(MAX_METADATA + 1);
        assert_eq!(token.check(), Err(Limit::Metadata));
        token.metadata.truncate(MAX_METADATA);
        token.grant = Grant::parse((0..=MAX_PERMISSIONS).map(|n| format!("logs:get:{n}")), None).unwrap();
        assert_eq!(token.check(), Err(Limit::Acl));
    }
}
