//! What one check may cost others (RFC 7208, section 4.6.4).

use super::check::Stop;

/// Terms that ask the DNS.
const MOST_TERMS: u32 = 10;
/// Questions to which there is no answer.
const MOST_VOID: u32 = 2;
/// Names of one MX or PTR answer.
pub(super) const MOST_NAMES: usize = 10;

/// What is left.
#[derive(Default)]
pub(super) struct Budget {
    terms: u32,
    void: u32,
}

impl Budget {
    /// A term that asks.
    pub(super) fn term(&mut self) -> Result<(), Stop> {
        self.terms += 1;
        match self.terms > MOST_TERMS {
            true => Err(Stop::permanent(format!("more than {MOST_TERMS} terms ask the DNS (RFC 7208, section 4.6.4)"))),
            false => Ok(()),
        }
    }

    /// Records that were asked for; none of them counts.
    pub(super) fn answered<T>(&mut self, records: Vec<T>) -> Result<Vec<T>, Stop> {
        self.void += u32::from(records.is_empty());
        match self.void > MOST_VOID {
            true => Err(Stop::permanent(format!(
                "more than {MOST_VOID} questions to the DNS have no answer (RFC 7208, section 4.6.4)"
            ))),
            false => Ok(records),
        }
    }
}
