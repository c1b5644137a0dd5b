//! Whether a host may send for a domain (RFC 7208).

mod budget;
mod check;
mod record;

pub use check::{Query, Verdict, check};

/// What came of a check: the words of RFC 7208, section 2.6.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Disposition {
    /// The host may.
    Pass,
    /// It may not.
    Fail,
    /// It probably may not.
    SoftFail,
    /// The domain does not say.
    Neutral,
    /// The domain has no record.
    None,
    /// Nobody knows at the moment.
    TempError,
    /// The record cannot be followed.
    PermError,
}

impl Disposition {
    /// As results have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Disposition::Pass => "pass",
            Disposition::Fail => "fail",
            Disposition::SoftFail => "softfail",
            Disposition::Neutral => "neutral",
            Disposition::None => "none",
            Disposition::TempError => "temperror",
            Disposition::PermError => "permerror",
        }
    }
}
