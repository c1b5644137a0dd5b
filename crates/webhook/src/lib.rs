//! Our own HTTP sender, for everything that is not policy Lua: event hooks, egress webhooks, requests of lambda
//! functions. What it decides is in crate `webhook-core`; here are the sockets.
//!
//! An attempt has one time limit over all its parts. A name is looked up once, the addresses are checked, and what was
//! checked is what is dialled. It refuses to follow redirects, to decode what comes, to keep more than the beginning of
//! an answer, to read the environment, and to try twice: when to try again is up to the caller ([`Attempt::signal`]
//! feeds a [`Pace`](waybill_webhook_core::Pace)).
//!
//! ```
//! use waybill_dns::Zones;
//! use waybill_runtime::{Supervisor, SystemClock};
//! use waybill_webhook::{Guard, Request, Sender};
//! use waybill_webhook_core::{EndpointConfig, Limits, Outcome};
//! use waybill_webhook_sign::EventId;
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
//! # runtime.block_on(async {
//! let sender = Sender::new(Limits::default(), Guard::default(), Zones::default(), SystemClock, Supervisor::current());
//! let config = EndpointConfig::from_json(br#"{"url": "http://127.0.0.1:8000/hook"}"#).unwrap();
//! let endpoint = sender.endpoint(config).unwrap();
//! let attempt = sender.send(&endpoint, Request::new(EventId::new("evt_1").unwrap(), "{}")).await;
//! assert!(matches!(attempt.outcome, Outcome::Blocked(_)), "{attempt}");
//! # });
//! ```

mod attempt;
mod compress;
mod connect;
mod dial;
mod endpoint;
mod exchange;
mod failure;
mod guard;
mod link;
mod many;
mod metered;
mod oauth2;
mod one;
mod opening;
mod pool;
mod progress;
mod proxy;
mod request;
mod sender;
mod tls;

pub use attempt::{Attempt, Cut, Response};
pub use endpoint::Endpoint;
pub use guard::Guard;
pub use request::Request;
pub use sender::Sender;
