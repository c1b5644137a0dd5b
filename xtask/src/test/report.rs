//! How the steps ended.

use std::fmt;
use std::time::Duration;

/// What did not run here, and why not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Part {
    /// What was not run, and for lack of what.
    pub(crate) why: String,
    /// The command that would make it run.
    pub(crate) enable: String,
}

/// How one step ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All was well.
    Passed,
    /// All that ran was well, and these parts did not run here.
    Partly(Vec<Part>),
    /// Something is to be mended.
    Failed(String),
    /// The step could not run here.
    Skipped(Part),
}

impl Outcome {
    /// The outcome in one word.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Outcome::Passed => "passed",
            Outcome::Partly(_) => "partly",
            Outcome::Failed(_) => "FAILED",
            Outcome::Skipped(_) => "skipped",
        }
    }
}

/// All steps so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    steps: Vec<(&'static str, Outcome, Duration)>,
}

impl Report {
    /// Notes how a step ended.
    pub(crate) fn add(&mut self, name: &'static str, outcome: Outcome, took: Duration) {
        self.steps.push((name, outcome, took));
    }

    /// The names of the steps that failed.
    pub(crate) fn failed(&self) -> Vec<&'static str> {
        self.steps
            .iter()
            .filter(|(_, outcome, _)| matches!(outcome, Outcome::Failed(_)))
            .map(|(name, ..)| *name)
            .collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "summary")?;
        for (name, outcome, took) in &self.steps {
            writeln!(f, "  {:<8} {name:<15} {:>7.1} s", outcome.word(), took.as_secs_f64())?;
            match outcome {
                Outcome::Passed => {}
                Outcome::Failed(why) => writeln!(f, "           {why}")?,
                Outcome::Partly(parts) => {
                    for part in parts {
                        writeln!(f, "           not run: {part}")?;
                    }
                }
                Outcome::Skipped(part) => writeln!(f, "           {part}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; to enable: {}", self.why, self.enable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_names_every_step_and_what_would_enable_a_skipped_one() {
        let mut report = Report::default();
        report.add("format", Outcome::Passed, Duration::from_millis(1250));
        report.add("lints", Outcome::Failed("exit code 101".into()), Duration::from_secs(70));
        let part = |why: &str, enable: &str| Part { why: why.into(), enable: enable.into() };
        let parts = vec![part("Postfix as a client (no postfix)", "sudo apt-get install postfix")];
        report.add("tests", Outcome::Partly(parts), Duration::from_secs(2));
        let skipped = Outcome::Skipped(part("no cargo-deny", "cargo install cargo-deny"));
        report.add("licences", skipped, Duration::ZERO);
        assert_eq!(report.failed(), ["lints"]);
        assert_eq!(
            report.to_string(),
            "summary\n  passed   format              1.2 s\n  FAILED   lints              70.0 s\n           exit code 101\n  \
             partly   tests               2.0 s\n           not run: Postfix as a client (no postfix); to enable: \
             sudo apt-get install postfix\n  \
             skipped  licences            0.0 s\n           no cargo-deny; to enable: cargo install cargo-deny\n"
        );
    }
}
