//! The seam to the DNS: what is asked ([`Resolver`]), who takes a domain's mail ([`MailExchange`]), and the name that
//! domains with the same hosts share (its `site_name`).
//!
//! It refuses to open sockets and to know a DNS library: whoever implements [`Resolver`] does. [`Zones`] answers out of
//! zone files, for tests and for `kumo.dns.configure_test_resolver`; [`SharedResolver`] is the one that a daemon hands
//! to everybody who asks, so that policy can put another behind it.
//!
//! ```
//! use waybill_dns::{MailExchange, Zones};
//! # futures::executor::block_on(async {
//! let zones = Zones::parse([
//!     "$ORIGIN example.com.
//!      @   30 IN MX 10 mx1
//!      @   30 IN MX 20 mx2
//!      mx1 30 IN A  192.0.2.1",
//! ])
//! .unwrap();
//! let found = MailExchange::find(&zones, "Example.COM").await.unwrap();
//! assert_eq!(found.hosts[0].name, "mx1.example.com");
//! assert_eq!(found.site_name, "(mx1|mx2).example.com");
//! # });
//! ```

mod answer;
pub mod conformance;
mod exchange;
pub mod name;
mod shared;
mod site_name;
mod zones;

pub use answer::{Answer, LookupError, Mx, Resolver, Tlsa};
pub use exchange::{ExchangeKind, MailExchange, MailHost, NoExchange};
pub use shared::SharedResolver;
pub use site_name::{is_ambiguous, site_name};
pub use zones::{ZoneError, Zones};
