//! What a process has used, from /proc (proc(5)).

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::resource::{UsageWho, getrusage};
use nix::unistd::{SysconfVar, sysconf};

/// CPU time, memory and bytes written of one process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cost {
    /// User and system time of all threads.
    pub(crate) cpu: Duration,
    /// That of the threads that serve mail; zero where threads have other names.
    pub(crate) cpu_of_mail: Duration,
    /// Bytes resident now.
    pub(crate) resident: u64,
    /// The most there were.
    pub(crate) peak: u64,
    /// Bytes handed to the disk.
    pub(crate) written: u64,
}

impl Cost {
    pub(crate) fn of(pid: u32) -> Result<Cost> {
        let stat = read(pid, "stat")?;
        let status = read(pid, "status")?;
        let io = read(pid, "io").unwrap_or_default();
        Ok(Cost {
            cpu: cpu_time(&stat)?,
            cpu_of_mail: cpu_of_threads(pid, "mail")?,
            resident: kibibytes(&status, "VmRSS:"),
            peak: kibibytes(&status, "VmHWM:"),
            written: number(&io, "write_bytes:"),
        })
    }

    /// What was used since `earlier`; memory as it is now.
    pub(crate) fn since(&self, earlier: &Cost) -> Cost {
        Cost {
            cpu: self.cpu.saturating_sub(earlier.cpu),
            cpu_of_mail: self.cpu_of_mail.saturating_sub(earlier.cpu_of_mail),
            resident: self.resident,
            peak: self.peak,
            written: self.written.saturating_sub(earlier.written),
        }
    }
}

/// User and system time of this process.
pub(crate) fn own_cpu() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let time = |time: nix::sys::time::TimeVal| {
        Duration::new(time.tv_sec().unsigned_abs(), u32::try_from(time.tv_usec()).unwrap_or(0) * 1000)
    };
    Ok(time(usage.user_time()) + time(usage.system_time()))
}

fn read(pid: u32, file: &str) -> Result<String> {
    let path = format!("/proc/{pid}/{file}");
    fs::read_to_string(&path).with_context(|| format!("read {path}"))
}

fn cpu_of_threads(pid: u32, name: &str) -> Result<Duration> {
    let folder = format!("/proc/{pid}/task");
    let mut sum = Duration::ZERO;
    for thread in fs::read_dir(&folder).with_context(|| format!("list {folder}"))? {
        let thread = thread?.path();
        // A thread may end between the listing and the look.
        let (Ok(called), Ok(stat)) = (fs::read_to_string(thread.join("comm")), fs::read_to_string(thread.join("stat")))
        else {
            continue;
        };
        if called.trim().starts_with(name) {
            sum += cpu_time(&stat)?;
        }
    }
    Ok(sum)
}

/// Fields 14 and 15 of proc_pid_stat(5), in clock ticks; the name in field 2 may hold spaces and brackets.
fn cpu_time(stat: &str) -> Result<Duration> {
    let fields = stat.rsplit_once(')').context("a stat line without a name")?.1;
    let mut ticks = fields.split_ascii_whitespace().skip(11).take(2).map(str::parse::<u64>);
    let user = ticks.next().context("no user time")??;
    let system = ticks.next().context("no system time")??;
    let per_second = sysconf(SysconfVar::CLK_TCK)?.unwrap_or(100).unsigned_abs();
    Ok(Duration::from_secs_f64((user + system) as f64 / per_second as f64))
}

fn kibibytes(text: &str, name: &str) -> u64 {
    number(text, name) * 1024
}

fn number(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_ascii_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_a_name_with_brackets() {
        let stat = "7 (a (b) c) S 1 7 7 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 1 0 5 1 1";
        assert_eq!(cpu_time(stat).unwrap(), Duration::from_secs(2));
    }

    #[test]
    fn this_process_has_a_cost() {
        let cost = Cost::of(std::process::id()).unwrap();
        assert!(cost.resident > 0 && cost.peak >= cost.resident);
    }
}
