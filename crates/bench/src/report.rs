//! What came out: figures of all runs, their medians, and the bars they should reach.

use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::machine::Machine;
use crate::stats::median;

/// What a figure should reach.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bar {
    /// More is better.
    AtLeast(f64),
    /// Less is better.
    AtMost(f64),
    /// For information.
    None,
}

/// A figure that one run measured.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) unit: &'static str,
    pub(crate) bar: Bar,
    pub(crate) value: f64,
}

impl Figure {
    pub(crate) fn new(name: impl Into<String>, unit: &'static str, bar: Bar, value: f64) -> Figure {
        Figure { name: name.into(), unit, bar, value }
    }

    /// A quotient of two measurements of one run.
    pub(crate) fn ratio(name: impl Into<String>, bar: Bar, value: f64) -> Figure {
        Figure::new(name, "", bar, value)
    }

    /// For information.
    pub(crate) fn plain(name: impl Into<String>, unit: &'static str, value: f64) -> Figure {
        Figure::new(name, unit, Bar::None, value)
    }
}

/// A figure of all runs.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) binary: String,
    pub(crate) name: String,
    pub(crate) unit: &'static str,
    pub(crate) bar: Bar,
    pub(crate) median: f64,
    pub(crate) values: Vec<f64>,
}

impl Row {
    /// Whether the median reaches the bar; `None` where there is none.
    pub(crate) fn met(&self) -> Option<bool> {
        match self.bar {
            Bar::AtLeast(least) => Some(self.median >= least),
            Bar::AtMost(most) => Some(self.median <= most),
            Bar::None => None,
        }
    }
}

/// All of it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) command: String,
    pub(crate) machine: Machine,
    pub(crate) runs: u32,
    pub(crate) scale: String,
    pub(crate) rows: Vec<Row>,
}

impl Report {
    pub(crate) fn new(runs: u32, scale: String) -> Report {
        let command = std::env::args().skip(1).collect::<Vec<_>>().join(" ");
        Report { command, machine: Machine::this(), runs, scale, rows: Vec::new() }
    }

    /// Adds what a run found; a figure of a name that is there joins the others.
    pub(crate) fn add(&mut self, binary: &str, figures: Vec<Figure>) {
        for Figure { name, unit, bar, value } in figures {
            match self.rows.iter_mut().find(|row| row.binary == binary && row.name == name) {
                Some(row) => {
                    row.values.push(value);
                    row.median = median(&row.values).unwrap_or(value);
                }
                None => {
                    let binary = binary.to_owned();
                    self.rows.push(Row { binary, name, unit, bar, median: value, values: vec![value] });
                }
            }
        }
    }

    pub(crate) fn print(&self) {
        println!("\n{}; medians of {} runs, scale {}\n", self.machine, self.runs, self.scale);
        let width = self.rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0);
        let mut binary = "";
        for row in &self.rows {
            if row.binary != binary {
                binary = &row.binary;
                println!("{binary}");
            }
            let (bar, verdict) = match (row.bar, row.met()) {
                (Bar::AtLeast(least), met) => (format!("≥ {least}"), verdict(met)),
                (Bar::AtMost(most), met) => (format!("≤ {most}"), verdict(met)),
                (Bar::None, _) => (String::new(), ""),
            };
            println!("  {:width$}  {:>12.3} {:8} {bar:>8} {verdict}", row.name, row.median, row.unit);
        }
    }

    pub(crate) fn write_json(&self, file: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        std::fs::write(file, text + "\n").with_context(|| format!("write {}", file.display()))
    }
}

fn verdict(met: Option<bool>) -> &'static str {
    match met {
        Some(true) => "met",
        Some(false) => "MISSED",
        None => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_come_together_in_a_median_that_is_held_against_the_bar() {
        let mut report = Report::new(3, "quick".to_owned());
        for value in [0.9, 0.5, 0.8] {
            report.add("a", vec![Figure::ratio("accept", Bar::AtLeast(0.85), value)]);
        }
        assert_eq!(report.rows.len(), 1);
        assert_eq!(report.rows[0].median, 0.8);
        assert_eq!(report.rows[0].met(), Some(false));
    }

    #[test]
    fn daemons_are_kept_apart() {
        let mut report = Report::new(1, "quick".to_owned());
        report.add("a", vec![Figure::plain("x", "", 1.0)]);
        report.add("b", vec![Figure::plain("x", "", 2.0)]);
        assert_eq!(report.rows.len(), 2);
    }
}
