use std::sync::atomic::{AtomicU64, Ordering};
use waybill_types::Timestamp;

/// Makes names that no other delivery to the same folder has.
#[derive(Debug)]
pub(crate) struct Names {
    host: String,
    pid: u32,
    count: AtomicU64,
}

impl Names {
    pub(crate) fn new() -> Self {
        let host = hostname::get().map(|host| host.to_string_lossy().into_owned()).unwrap_or_default();
        Names { host: escape(&host), pid: std::process::id(), count: AtomicU64::new(0) }
    }

    /// A name for the moment `now`.
    pub(crate) fn unique(&self, now: Timestamp) -> Name<'_> {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let nanos = now.nanos().rem_euclid(1_000_000_000);
        Name { stem: format!("{}.#{count:x}M{nanos}P{}", now.secs(), self.pid), host: &self.host }
    }
}

/// The name of one delivery.
#[derive(Debug)]
pub(crate) struct Name<'a> {
    stem: String,
    host: &'a str,
}

impl Name<'_> {
    /// While it is written.
    pub(crate) fn in_tmp(&self) -> String {
        format!("{}.{}", self.stem, self.host)
    }

    /// When it is complete: with its device, inode and size.
    pub(crate) fn in_new(&self, device: u64, inode: u64, size: u64) -> String {
        format!("{}V{device}I{inode}.{},S={size}", self.stem, self.host)
    }
}

/// A host name is part of a file name in which `/` is impossible and `:` and `,` begin something else.
fn escape(host: &str) -> String {
    let host = if host.is_empty() { "localhost" } else { host };
    host.replace('/', "\\057").replace(':', "\\072").replace(',', "\\054")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_maildir_convention() {
        let names = Names { host: "mta.example".into(), pid: 15265, count: AtomicU64::new(10) };
        let name = names.unique(Timestamp::from_nanos(1_795_450_376_016_538_202));
        assert_eq!(name.in_tmp(), "1795450376.#aM16538202P15265.mta.example");
        let complete = "1795450376.#aM16538202P15265V65024I10035249.mta.example,S=297";
        assert_eq!(name.in_new(65024, 10_035_249, 297), complete);
    }

    #[test]
    fn two_names_of_one_moment_differ() {
        let names = Names::new();
        let now = Timestamp::from_secs(1_700_000_000);
        assert_ne!(names.unique(now).in_tmp(), names.unique(now).in_tmp());
    }

    #[test]
    fn a_host_name_cannot_break_the_file_name() {
        assert_eq!(escape("a/b:c,d"), "a\\057b\\072c\\054d");
        assert_eq!(escape(""), "localhost");
    }
}
