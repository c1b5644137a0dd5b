use std::sync::atomic::{AtomicU64, Ordering};

/// Nothing was said.
const UNSET: u64 = u64::MAX;

/// How much memory the process may take, as policy and environment say; all in bytes of resident memory.
///
/// Only numbers: whoever watches over them decides what becomes of the mail.
#[derive(Debug)]
pub struct MemoryLimits {
    hard: AtomicU64,
    soft: AtomicU64,
    low: AtomicU64,
    /// What the machine, or the group of processes that we are in, has.
    there: Option<u64>,
}

impl MemoryLimits {
    /// Of a process that may take this much, as far as anybody knows.
    pub const fn of(there: Option<u64>) -> Self {
        let [hard, soft, low] = [const { AtomicU64::new(UNSET) }; 3];
        MemoryLimits { hard, soft, low, there }
    }

    /// Of this machine: the least of its memory and what the control group allows.
    pub fn of_this_machine() -> Self {
        MemoryLimits::of(memory_there_is())
    }

    /// What may never be taken: as set, else all that there is.
    pub fn hard(&self) -> Option<u64> {
        get(&self.hard).or(self.there)
    }

    /// Beyond this no mail is taken: as set, else three quarters of the hard limit.
    pub fn soft(&self) -> Option<u64> {
        get(&self.soft).or_else(|| self.hard().map(|hard| hard / 4 * 3))
    }

    /// Beyond this memory is scarce: as set, else four fifths of the soft limit.
    pub fn low_thresh(&self) -> Option<u64> {
        get(&self.low).or_else(|| self.soft().map(|soft| soft / 5 * 4))
    }

    /// Sets the hard limit; `None` is back to what it is by itself.
    pub fn set_hard(&self, bytes: Option<u64>) {
        self.hard.store(bytes.unwrap_or(UNSET), Ordering::Relaxed);
    }

    /// Sets the soft limit, likewise.
    pub fn set_soft(&self, bytes: Option<u64>) {
        self.soft.store(bytes.unwrap_or(UNSET), Ordering::Relaxed);
    }

    /// Sets where memory becomes scarce, likewise.
    pub fn set_low_thresh(&self, bytes: Option<u64>) {
        self.low.store(bytes.unwrap_or(UNSET), Ordering::Relaxed);
    }
}

fn get(limit: &AtomicU64) -> Option<u64> {
    Some(limit.load(Ordering::Relaxed)).filter(|bytes| *bytes != UNSET)
}

/// Bytes of memory that this process holds, where the operating system tells.
pub fn resident_memory() -> Option<u64> {
    kilobytes("/proc/self/status", "VmRSS:")
}

fn memory_there_is() -> Option<u64> {
    let group = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let allowed = group.iter().find_map(|path| std::fs::read_to_string(path).ok()?.trim().parse().ok());
    [kilobytes("/proc/meminfo", "MemTotal:"), allowed].into_iter().flatten().min()
}

/// The number behind a word of one of `/proc`'s tables, in bytes.
fn kilobytes(path: &str, word: &str) -> Option<u64> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(word))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_set_follows_from_what_is_above_it() {
        let limits = MemoryLimits::of(Some(1000));
        let all = |limits: &MemoryLimits| (limits.hard(), limits.soft(), limits.low_thresh());
        assert_eq!(all(&limits), (Some(1000), Some(750), Some(600)));
        limits.set_hard(Some(400));
        assert_eq!(all(&limits), (Some(400), Some(300), Some(240)));
        limits.set_soft(Some(50));
        limits.set_low_thresh(Some(7));
        assert_eq!(all(&limits), (Some(400), Some(50), Some(7)));
        limits.set_soft(None);
        limits.set_low_thresh(None);
        limits.set_hard(None);
        assert_eq!(all(&limits), (Some(1000), Some(750), Some(600)));
        assert_eq!(all(&MemoryLimits::of(None)), (None, None, None));
    }

    #[test]
    fn a_process_has_some_memory_and_less_than_there_is() {
        let (held, hard) = (resident_memory().unwrap(), MemoryLimits::of_this_machine().hard().unwrap());
        assert!(held > 0 && held < hard, "{held} of {hard}");
    }
}
