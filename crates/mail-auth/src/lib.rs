//! Who a mail is from: DKIM (RFC 6376, 8301, 8463) and ARC (RFC 8617) signed and verified, SPF (RFC 7208) checked, and what
//! came out written as a header (RFC 8601).
//!
//! Signatures and records are parsed, and texts made canonical, by the library `mail-auth`; signatures are computed by ring.
//! What the library would ask the DNS is asked here, of the [`Resolver`](waybill_dns::Resolver) that the daemon goes by, and
//! time is an argument. It refuses to decide anything: a result says what was found, policy says what becomes of the mail.
//!
//! ```
//! use waybill_dns::Zones;
//! use waybill_mail_auth::spf::{self, Query};
//! # futures::executor::block_on(async {
//! let zones = Zones::parse(["example.com. TXT \"v=spf1 ip4:192.0.2.0/24 -all\""]).unwrap();
//! let query = Query {
//!     ip: "192.0.2.7".parse().unwrap(),
//!     domain: "example.com",
//!     sender: "ann@example.com",
//!     helo: "mail.example.com",
//!     host: "mx.example.net",
//! };
//! let verdict = spf::check(&zones, &query).await;
//! assert_eq!(verdict.disposition, spf::Disposition::Pass);
//! assert_eq!(verdict.reason, "matched 'ip4:192.0.2.0/24' directive");
//! # });
//! ```

pub mod arc;
mod body;
pub mod dkim;
mod domain_key;
mod fold;
mod key;
mod mail;
mod result;
mod signature;
mod signer;
pub mod spf;
mod tag;

pub use key::{Algorithm, Key, KeyError};
pub use result::{AuthenticationResult, HeaderError, authentication_results};
pub use signer::{CanonicalForm, Signer, SignerError, SignerOptions};
