use std::collections::BTreeMap;
use waybill_log_record::{Entry, RecordType};
use waybill_types::Timestamp;

/// Whether records of this type are counted: the journal has to have them.
pub const fn is_counted(kind: RecordType) -> bool {
    matches!(kind, RecordType::Reception | RecordType::Delivery)
}

/// What was counted and is not in the database yet.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    months: BTreeMap<String, Sums>,
}

/// Recipients of a month.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Sums {
    pub(crate) received: u64,
    pub(crate) delivered: u64,
}

impl Tally {
    /// Counts a record, if it is one that counts: each recipient once.
    ///
    /// KumoMTA counts what is delivered to a hook as well, and each record once for every set of log files: no bill can be
    /// made out of that, so it is not copied.
    pub fn count(&mut self, entry: &Entry) {
        if !is_counted(entry.kind()) || entry.is_of_log_message() {
            return;
        }
        let recipients = entry.recipients().len() as u64;
        let sums = self.months.entry(month(entry.event_time())).or_default();
        match entry.kind() {
            RecordType::Reception => sums.received += recipients,
            _ => sums.delivered += recipients,
        }
    }

    /// Month by month, `YYYY-MM`.
    pub(crate) fn months(&self) -> impl Iterator<Item = (&str, Sums)> {
        self.months.iter().map(|(month, sums)| (month.as_str(), *sums))
    }
}

fn month(time: Timestamp) -> String {
    time.to_utc().format("%Y-%m").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use waybill_log_record::LogRecord;
    use waybill_types::{IdMint, Response};

    fn entry(kind: RecordType, time: &str, recipients: usize, of_log_message: bool) -> Entry {
        let time = Timestamp::parse_rfc3339(time).unwrap();
        let mut record = LogRecord::new(kind, time, Response::plain(250, ""), "node");
        record.recipients = (0..recipients).map(|number| format!("{number}@x.example")).collect();
        record.of_log_message = of_log_message;
        Entry::encode(&record, IdMint::random().entry(time))
    }

    #[test]
    fn recipients_are_counted_by_the_month_of_the_event() {
        let mut tally = Tally::default();
        tally.count(&entry(RecordType::Reception, "2026-10-31T23:59:59.9Z", 3, false));
        tally.count(&entry(RecordType::Delivery, "2026-11-01T00:00:00Z", 2, false));
        tally.count(&entry(RecordType::Delivery, "2026-11-30T12:00:00Z", 1, false));
        let months: Vec<_> = tally.months().map(|(month, sums)| (month, sums.received, sums.delivered)).collect();
        assert_eq!(months, [("2026-10", 3, 0), ("2026-11", 0, 3)]);
    }

    #[test]
    fn what_failed_and_what_is_about_a_log_message_does_not_count() {
        let mut tally = Tally::default();
        for kind in RecordType::ALL.iter().filter(|kind| !is_counted(**kind)) {
            tally.count(&entry(*kind, "2026-11-01T00:00:00Z", 1, false));
        }
        tally.count(&entry(RecordType::Delivery, "2026-11-01T00:00:00Z", 1, true));
        assert_eq!(tally, Tally::default());
    }
}
