//! MTA-STS (RFC 8461): what a domain announces in the DNS ([`announced`]), the policy that it publishes over HTTPS
//! ([`Policy`]), and how long that is remembered ([`Cache`]).
//!
//! It refuses to ask anybody anything: whoever delivers mail does, and applies what comes of it. Time is an argument.
//!
//! ```
//! use waybill_mta_sts::{Mode, Policy, announced};
//! let id = announced(&[b"v=STSv1; id=20260101T000000;".to_vec()]).unwrap();
//! assert_eq!(id.to_string(), "20260101T000000");
//! let policy = Policy::parse(b"version: STSv1\nmode: enforce\nmx: *.mx.example\nmax_age: 604800\n").unwrap();
//! assert_eq!(policy.mode, Mode::Enforce);
//! assert!(policy.lists("a.mx.example.") && !policy.lists("a.b.mx.example"));
//! ```

mod cache;
mod field;
mod pattern;
mod policy;
mod record;

pub use cache::Cache;
pub use pattern::Pattern;
pub use policy::{LONGEST_MAX_AGE, MOST_PATTERNS, Mode, Policy, PolicyError};
pub use record::{PolicyId, announced};
