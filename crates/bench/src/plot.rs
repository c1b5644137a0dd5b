//! A picture of what was reached: a bar for each figure that has a bar to reach, in shares of it.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};

use crate::report::{Bar, Report, Row};

const LINE: usize = 26;
const LABELS: usize = 430;
const WIDTH: usize = 360;
/// How far beyond what was asked for a bar may reach.
const MOST: f64 = 2.0;

/// Writes the picture as SVG.
pub(crate) fn write(report: &Report, file: &Path) -> Result<()> {
    std::fs::write(file, svg(report)).with_context(|| format!("write {}", file.display()))
}

fn svg(report: &Report) -> String {
    let rows: Vec<&Row> = report.rows.iter().filter(|row| row.met().is_some()).collect();
    let height = (rows.len() + 3) * LINE;
    let width = LABELS + WIDTH + 160;
    let asked = LABELS + share(1.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    let title = escaped(&format!("{}, medians of {} runs; the line is what is asked for", report.machine, report.runs));
    // Writing into a String cannot fail.
    let _ = writeln!(svg, "<text x=\"8\" y=\"18\" fill=\"#555\">{title}</text>");
    for (number, row) in rows.iter().enumerate() {
        let y = (number + 1) * LINE + 8;
        let reached = match row.bar {
            Bar::AtLeast(least) => row.median / least,
            Bar::AtMost(most) => most / row.median,
            Bar::None => continue,
        };
        let colour = if row.met() == Some(true) { "#3a7d5c" } else { "#b5533c" };
        let text = y + 15;
        let name = escaped(&row.name);
        let _ = writeln!(svg, "<text x=\"{}\" y=\"{text}\" text-anchor=\"end\">{name}</text>", LABELS - 8);
        let length = share(reached);
        let _ = writeln!(svg, "<rect x=\"{LABELS}\" y=\"{y}\" width=\"{length}\" height=\"20\" fill=\"{colour}\"/>");
        let (relation, value) = match row.bar {
            Bar::AtMost(value) => ("≤", value),
            Bar::AtLeast(value) => ("≥", value),
            Bar::None => continue,
        };
        let figure = escaped(&format!("{:.3} {} ({relation} {value})", row.median, row.unit));
        let _ = writeln!(svg, "<text x=\"{}\" y=\"{text}\" fill=\"#555\">{figure}</text>", LABELS + length + 6);
    }
    let bottom = (rows.len() + 2) * LINE;
    let _ =
        writeln!(svg, "<line x1=\"{asked}\" y1=\"{LINE}\" x2=\"{asked}\" y2=\"{bottom}\" stroke=\"black\"/>\n</svg>");
    svg
}

fn share(reached: f64) -> usize {
    (reached.clamp(0.0, MOST) / MOST * WIDTH as f64) as usize
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Figure;

    #[test]
    fn only_figures_with_a_bar_are_drawn_and_names_are_escaped() {
        let mut report = Report::new(1, "quick".to_owned());
        report.add("a", vec![Figure::ratio("a < b", Bar::AtLeast(0.5), 0.6), Figure::plain("other", "s", 1.0)]);
        let svg = svg(&report);
        assert!(svg.contains("a &lt; b") && !svg.contains("other"), "{svg}");
    }
}
