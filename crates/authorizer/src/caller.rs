use crate::Peer;
use std::fmt;
use waybill_tokens::{Action, Grant, Subject, TokenId};

/// What let somebody in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// The admin socket.
    AdminSocket,
    /// A client on this machine, without a token.
    ThisMachine,
    /// A token.
    Token(TokenId),
}

/// Who asks, and what they may do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Caller {
    pub(crate) origin: Origin,
    pub(crate) peer: Peer,
    pub(crate) grant: Grant,
}

impl Caller {
    /// What let it in.
    pub const fn origin(&self) -> Origin {
        self.origin
    }

    /// The other end.
    pub const fn peer(&self) -> Peer {
        self.peer
    }

    /// What it may do; and hand on, as a token cannot grant more than it has.
    pub const fn grant(&self) -> &Grant {
        &self.grant
    }

    /// The tenant that it is confined to: what it makes belongs to that tenant, and what it lists is that tenant's.
    pub fn tenant(&self) -> Option<&str> {
        self.grant.tenant()
    }

    /// Whether it may see that something of this tenant (of nobody in particular when unset) is there at all. Where it may
    /// not, the answer is that there is no such thing.
    pub fn reaches(&self, tenant: Option<&str>) -> bool {
        self.grant.reaches(tenant)
    }

    /// Whether it may also do this, to an object (all when unset) of this tenant.
    pub fn may(&self, subject: Subject, action: Action, object: Option<&str>, tenant: Option<&str>) -> bool {
        self.grant.permits(subject, action, object, tenant)
    }
}

impl fmt::Display for Caller {
    /// For the log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.origin {
            Origin::AdminSocket => f.write_str("admin socket"),
            Origin::ThisMachine => f.write_str("this machine"),
            Origin::Token(id) => write!(f, "{id}"),
        }
    }
}
