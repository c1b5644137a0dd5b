//! Who may do what with that which KumoMTA has not (ARCHITECTURE.md section 8): [`Authorizer::authorize`] looks at a request
//! and gives a [`Caller`], or a [`Refusal`] whose body is left to the API that asks.
//!
//! Everything needs a token, except for the admin socket and for a loopback peer whose Host and Origin are loopback and which
//! carries no forwarding header. A token that is shown and is none is refused for everyone. Tokens are kept in the store
//! ([`TokenStore`]); every change and every refusal is a line of the target `waybill::audit` in the daemon's own log.
//! What is decided, here and by KumoMTA's own rules, is told to [`Decisions`]: the account log.
//!
//! ```
//! use waybill_authorizer::{Action, Authorizer, Caller, Need, Refusal, Subject};
//! // In a handler: axum gives the head of the request as `http::request::Parts`.
//! fn may_read(authorizer: &Authorizer, head: &http::request::Parts, log: &str) -> Result<Caller, Refusal> {
//!     let caller = authorizer.authorize(head, Need::new(Subject::Logs, Action::Get).object(log))?;
//!     // Whose log it is shows only after a look at it: to somebody of another tenant it is not there (404).
//!     // if !caller.reaches(found.tenant.as_deref()) { return Ok(not_found()) }
//!     Ok(caller)
//! }
//! // A refusal has `status()`, `code()` (klev's), `message()` and `headers()`; none of them repeats what was shown.
//! ```

mod attempts;
mod audit;
mod authorizer;
mod bucket;
mod caller;
mod connection;
mod credentials;
mod decision;
mod local;
mod refusal;
mod store;
mod table;

pub use audit::Change;
pub use authorizer::{Authorizer, Need};
pub use caller::{Caller, Origin};
pub use connection::{Connection, Peer};
pub use decision::{Decision, DecisionLog, Decisions, Question, Verdict};
pub use refusal::Refusal;
pub use store::{MAX_TOKENS, TokenError, TokenStore, TokenUpdate};
// What callers speak with.
pub use waybill_tokens::{Acl, AclError, Action, Bearer, Grant, Limit, Shown, Subject, Token, TokenId, TokenIdError};
