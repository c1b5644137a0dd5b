use std::time::Duration;
use waybill_types::Timestamp;

/// Trouble that may repeat with every record is told this often.
const EVERY: Duration = Duration::from_secs(60);

/// Decides when trouble is worth another line.
#[derive(Debug, Default)]
pub struct Nag {
    told: Option<Timestamp>,
    held_back: u64,
}

impl Nag {
    /// How often it was held back since it was last told, when it is to be told now.
    pub fn is_due(&mut self, now: Timestamp) -> Option<u64> {
        match self.told {
            // A clock that was set back does not make it silent for long.
            Some(told) if told <= now && now.since(told) < EVERY => {
                self.held_back += 1;
                None
            }
            _ => {
                self.told = Some(now);
                Some(std::mem::take(&mut self.held_back))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_told_once_a_minute_with_what_was_held_back() {
        let mut nag = Nag::default();
        let start = Timestamp::from_secs(100);
        assert_eq!(nag.is_due(start), Some(0));
        assert_eq!(nag.is_due(start), None);
        assert_eq!(nag.is_due(start + Duration::from_secs(59)), None);
        assert_eq!(nag.is_due(start + EVERY), Some(2));
        assert_eq!(nag.is_due(start), Some(0));
    }
}
