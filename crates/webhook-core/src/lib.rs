//! What a webhook sender decides, without sending anything: which addresses may be called ([`AddressPolicy`]), which
//! headers may be set, what a status means ([`Outcome`]), when to try again ([`Backoff`], [`retry_after()`]), how much
//! at once ([`Pace`]), and how an endpoint is described ([`EndpointConfig`]).
//!
//! Pure: the time is an argument. It refuses to know sockets, the DNS or TLS; crate `webhook` does.
//!
//! ```
//! use waybill_webhook_core::{AddressPolicy, EndpointConfig};
//! let endpoint = EndpointConfig::from_json(br#"{"url": "http://2130706433/hook"}"#).unwrap();
//! let refused = AddressPolicy::default().check_literal(&endpoint.url).unwrap_err();
//! assert!(refused.to_string().starts_with("127.0.0.1 is a loopback address"));
//! ```

mod address;
mod backoff;
mod breaker;
mod concurrency;
mod config;
mod headers;
mod hops;
mod limits;
mod outcome;
mod pace;
mod policy;
mod printable;
mod rate;
mod retry_after;
mod target;

pub use address::{Special, canonical, special};
pub use backoff::{Backoff, BackoffError};
pub use breaker::{Breaker, BreakerConfig, Gate};
pub use concurrency::Concurrency;
pub use config::{
    Auth, Basic, Compression, ConfigError, CustomHeader, DatedSecret, EndpointConfig, HttpVersion, KongSign, Oauth2,
    Oauth2Style, Proxy, ProxyNames, SignConfig, Tls, Token,
};
pub use headers::{HeaderError, check_name, check_value, checked};
pub use hops::{HOPS, HopsError, MOST_HOPS, hops};
pub use limits::Limits;
pub use outcome::{Blocked, Outcome, Stage, Trouble, outcome_of};
pub use pace::{Pace, Signal, Ticket, Turn};
pub use policy::{AddressPolicy, Refused, RuleError, Why};
pub use printable::printable;
pub use rate::Rate;
pub use retry_after::{LONGEST_RETRY_AFTER, retry_after};
pub use target::{Host, Scheme, Target, TargetError};
