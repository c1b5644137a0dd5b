//! The machine's shape, so that a figure says where it comes from.

use std::fs;

use serde::Serialize;

/// What a reader needs to know about the machine.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) cores: usize,
    pub(crate) cpu: String,
    pub(crate) memory_bytes: u64,
    pub(crate) kernel: String,
}

impl Machine {
    pub(crate) fn this() -> Machine {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let cpu = value_of("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned());
        let memory = value_of("/proc/meminfo", "MemTotal").unwrap_or_default();
        let kibibytes: u64 = memory.trim_end_matches(" kB").parse().unwrap_or(0);
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned();
        Machine { cores, cpu, memory_bytes: kibibytes * 1024, kernel }
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let gibibytes = self.memory_bytes as f64 / f64::from(1u32 << 30);
        write!(f, "{} cores ({}), {gibibytes:.0} GiB, Linux {}", self.cores, self.cpu, self.kernel)
    }
}

/// The first `name: value` of a file of such lines.
fn value_of(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
