use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use waybill_tokens::{BearerHash, Token, TokenId};

/// All tokens, as they are at one moment.
#[derive(Clone, Default)]
pub(crate) struct Tokens {
    by_id: BTreeMap<TokenId, Arc<Token>>,
    /// By a part of the hash of their bearer; nearly always one each.
    by_selector: HashMap<u64, Vec<Arc<Token>>>,
}

impl Tokens {
    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(crate) fn get(&self, id: TokenId) -> Option<&Arc<Token>> {
        self.by_id.get(&id)
    }

    /// The oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Token>> {
        self.by_id.values()
    }

    /// The token that this is the hash of the bearer of.
    pub(crate) fn proved_by(&self, hash: &BearerHash) -> Option<&Arc<Token>> {
        self.by_selector.get(&hash.selector())?.iter().find(|token| token.is_proved_by(hash))
    }

    pub(crate) fn insert(&mut self, token: Token) {
        self.remove(token.id);
        let token = Arc::new(token);
        self.by_selector.entry(token.selector()).or_default().push(token.clone());
        self.by_id.insert(token.id, token);
    }

    pub(crate) fn remove(&mut self, id: TokenId) {
        let Some(token) = self.by_id.remove(&id) else { return };
        if let Some(same) = self.by_selector.get_mut(&token.selector()) {
            same.retain(|other| other.id != id);
            if same.is_empty() {
                self.by_selector.remove(&token.selector());
            }
        }
    }
}
