use crate::Caller;
use waybill_tokens::{Token, TokenId};

/// A change of a token, told in the log and to whoever records changes. Holds no secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// What it was before; nothing when it is new.
    pub old: Option<Token>,
    /// What it is now; nothing when it is deleted.
    pub new: Option<Token>,
    /// Who had it changed.
    pub by: Caller,
}

impl Change {
    /// `create`, `update` or `delete`, as in the source `crud` of contract/kong-event-hooks.md.
    pub const fn operation(&self) -> &'static str {
        match (&self.old, &self.new) {
            (None, _) => "create",
            (Some(_), Some(_)) => "update",
            (Some(_), None) => "delete",
        }
    }

    /// Which token.
    pub fn id(&self) -> Option<TokenId> {
        self.new.as_ref().or(self.old.as_ref()).map(|token| token.id)
    }

    /// For the log: one line, which says what it allows but not what others wrote about it.
    pub(crate) fn tell(&self) {
        let Some(token) = self.new.as_ref().or(self.old.as_ref()) else { return };
        let (acl, tenant) = (token.grant.acl().lines().join(","), token.grant.tenant().unwrap_or_default());
        let (peer, by) = (self.by.peer().address(), &self.by);
        let operation = self.operation();
        tracing::info!(
            target: "waybill::audit", entity = "tokens", operation, id = %token.id, acl, tenant, %by, %peer, "token changed"
        );
    }
}
