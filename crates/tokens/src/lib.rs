//! Bearer tokens with scopes: what one may do ([`Grant`]), what it may hand on ([`Grant::includes`]), how it is told from
//! others ([`TokenId`], [`Bearer`]) and what is kept of it ([`Token`]).
//!
//! The form is that of contract/klev.md: `subject[:action[:object]]`. Pure: the time is an argument, nothing is stored
//! here, and nobody is asked who they are (`waybill-authorizer` does both). Of a bearer only its hash is kept: a secret of
//! 238 random bits needs no slow hash.
//!
//! ```
//! use waybill_tokens::{Action, Bearer, Grant, Subject, Token};
//! use waybill_types::Timestamp;
//! let grant = Grant::parse(["logs:get", "messages:publish:log_2VnvpTOoNFQRf0G9peK1zKlfhlf"], Some("acme")).unwrap();
//! assert!(grant.permits(Subject::Logs, Action::Get, Some("log_x"), Some("acme")));
//! assert!(!grant.permits(Subject::Logs, Action::Delete, Some("log_x"), Some("acme")));
//! assert!(!grant.permits(Subject::Logs, Action::Get, Some("log_x"), Some("other")));
//! assert!(Grant::operator().includes(&grant) && !grant.includes(&Grant::operator()));
//!
//! let (token, bearer) = Token::issue(Timestamp::from_secs(1_700_000_000), "CI".into(), grant).unwrap();
//! assert!(token.is_proved_by(&Bearer::presented(bearer.reveal()).hash()));
//! ```

mod acl;
mod bearer;
mod grant;
mod id;
mod token;

pub use acl::{Acl, AclError, Action, Permission, Subject};
pub use bearer::{Bearer, BearerHash, NoEntropy};
pub use grant::{Grant, TenantError};
pub use id::{TokenId, TokenIdError};
pub use token::{Damaged, Limit, MAX_METADATA, MAX_PERMISSIONS, Shown, Token};
