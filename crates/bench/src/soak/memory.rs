//! The daemon's memory over the run.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

const MIB: u64 = 1 << 20;
/// Memory is flat when the later half needs no more than so many times the earlier one, and this on top: allocators and memtables
/// have their moods.
const FACTOR: f64 = 1.5;
const SLACK: u64 = 48 * MIB;
/// Looks at one life that say something about it.
const ENOUGH: usize = 40;
const LINES: u64 = 20;
const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 300.0;

/// One look.
#[derive(Clone, Copy, Debug)]
struct Look {
    /// Since the begin of the run.
    at: Duration,
    /// Which life of the daemon.
    life: u64,
    bytes: u64,
}

/// All looks.
#[derive(Debug, Default)]
pub(crate) struct Memory(Vec<Look>);

impl Memory {
    pub(crate) fn note(&mut self, at: Duration, life: u64, bytes: u64) {
        self.0.push(Look { at, life, bytes });
    }

    /// A table of at most so many lines.
    pub(crate) fn print(&self) {
        println!("   from s  life  least MiB  most MiB");
        let end = self.0.last().map_or(0, |look| look.at.as_secs() + 1);
        let step = end.div_ceil(LINES).max(1);
        for from in (0..end).step_by(usize::try_from(step).unwrap_or(1)) {
            let within = |look: &&Look| (from..from + step).contains(&look.at.as_secs());
            let looks: Vec<&Look> = self.0.iter().filter(within).collect();
            let Some(first) = looks.first() else { continue };
            let bytes = looks.iter().map(|look| look.bytes);
            let (least, most) = (bytes.clone().min().unwrap_or(0), bytes.max().unwrap_or(0));
            println!("{from:>9}  {:>4}  {:>9}  {:>8}", first.life + 1, least / MIB, most / MIB);
        }
    }

    /// Whether it grew: from life to life, and within the last one.
    pub(crate) fn findings(&self) -> Vec<String> {
        let mut peaks: Vec<u64> = Vec::new();
        let last = self.0.last().map_or(0, |look| look.life);
        for life in 0..last {
            peaks.extend(self.0.iter().filter(|look| look.life == life).map(|look| look.bytes).max());
        }
        let of_last: Vec<u64> = self.0.iter().filter(|look| look.life == last).map(|look| look.bytes).collect();
        let mut findings = Vec::new();
        findings.extend(grew("the daemons that were killed", &peaks));
        if of_last.len() >= ENOUGH {
            // It fills what it keeps for good first.
            findings.extend(grew("the daemon that was left alone", &of_last[of_last.len() / 4..]));
        }
        findings
    }

    /// Draws it as SVG.
    pub(crate) fn plot(&self, seed: u64, file: &Path) -> Result<()> {
        std::fs::write(file, self.svg(seed)).with_context(|| format!("write {}", file.display()))
    }

    fn svg(&self, seed: u64) -> String {
        let most = self.0.iter().map(|look| look.bytes).max().unwrap_or(1).max(1);
        let end = self.0.last().map_or(1.0, |look| look.at.as_secs_f64()).max(1.0);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{}\" font-family=\"sans-serif\" font-size=\"13\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
             <text x=\"8\" y=\"18\" fill=\"#555\">resident memory over {end:.0} s, at most {} MiB; a line a life; seed {seed}</text>\n",
            WIDTH + 20.0,
            HEIGHT + 40.0,
            most / MIB
        );
        for life in 0..=self.0.last().map_or(0, |look| look.life) {
            let mut points = String::new();
            for look in self.0.iter().filter(|look| look.life == life) {
                let x = 10.0 + WIDTH * look.at.as_secs_f64() / end;
                let y = 30.0 + HEIGHT * (1.0 - look.bytes as f64 / most as f64);
                // Writing into a String cannot fail.
                let _ = write!(points, "{x:.1},{y:.1} ");
            }
            let _ = writeln!(svg, "<polyline points=\"{}\" fill=\"none\" stroke=\"#3a7d5c\"/>", points.trim_end());
        }
        svg.push_str("</svg>\n");
        svg
    }
}

/// Compares the medians of the halves.
fn grew(what: &str, bytes: &[u64]) -> Option<String> {
    let (early, late) = bytes.split_at(bytes.len() / 2);
    let (before, after) = (median(early)?, median(late)?);
    let allowed = (before as f64 * FACTOR) as u64 + SLACK;
    (after > allowed).then(|| format!("memory of {what} grew from {} to {} MiB", before / MIB, after / MIB))
}

fn median(bytes: &[u64]) -> Option<u64> {
    let mut sorted = bytes.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(of: impl Fn(u64) -> u64) -> Memory {
        let mut memory = Memory::default();
        for second in 0..100 {
            memory.note(Duration::from_secs(second), second / 10, of(second) * MIB);
        }
        memory
    }

    #[test]
    fn only_memory_that_grows_is_told_of() {
        assert_eq!(memory(|second| 100 + second % 10).findings(), Vec::<String>::new());
        let findings = memory(|second| 100 + 10 * second).findings();
        assert!(findings.iter().any(|finding| finding.contains("grew from")), "{findings:?}");
    }

    #[test]
    fn a_life_is_a_line() {
        assert_eq!(memory(|_| 10).svg(1).matches("<polyline").count(), 10);
    }
}
