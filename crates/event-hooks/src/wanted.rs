use std::sync::atomic::{AtomicU64, Ordering};
use waybill_log_record::RecordType;

/// Which kinds of log records hooks wait for: only those need to be in the journal. Asked for every record.
#[derive(Debug, Default)]
pub struct RecordsWanted(AtomicU64);

impl RecordsWanted {
    /// Whether a hook waits for records of this kind.
    pub fn has(&self, kind: RecordType) -> bool {
        self.0.load(Ordering::Acquire) & bit(kind) != 0
    }

    pub(crate) fn set(&self, kinds: impl IntoIterator<Item = RecordType>) {
        self.0.store(kinds.into_iter().map(bit).fold(0, std::ops::BitOr::bitor), Ordering::Release);
    }
}

/// There are fewer than 64 kinds.
fn bit(kind: RecordType) -> u64 {
    1u64.checked_shl(u32::from(kind as u8)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_a_bit_of_its_own() {
        for kind in RecordType::ALL {
            let wanted = RecordsWanted::default();
            wanted.set([*kind]);
            let found: Vec<_> = RecordType::ALL.iter().filter(|other| wanted.has(**other)).collect();
            assert_eq!(found, [kind]);
        }
    }
}
