//! `cargo xtask graph`: who depends on whom, and whether they may.
//!
//! The rules are those of `docs/architecture.md` ("Pure, contract, shell") as a table in [`allowed`].

mod allowed;
mod check;
mod mermaid;
mod metadata;

use std::collections::BTreeSet;

use anyhow::{Result, bail};

pub(crate) use allowed::{CRATES, Kind};

use crate::usage::GraphTask;

/// Runs the command.
pub(crate) fn run(task: GraphTask) -> Result<()> {
    match task {
        GraphTask::Print => {
            print!("{}", mermaid::diagram(CRATES, &metadata::read()?));
            Ok(())
        }
        GraphTask::Check => check(),
    }
}

/// Fails, after naming every offence, when an arrow is not allowed.
pub(crate) fn check() -> Result<()> {
    let crates = metadata::read()?;
    let offences = check::offences(CRATES, allowed::DOORS, &crates);
    for offence in &offences {
        println!("  {offence}");
    }
    if !offences.is_empty() {
        bail!(
            "{} not allowed; the table is xtask/src/graph/allowed.rs, the rule docs/architecture.md",
            if offences.len() == 1 { "1 arrow is".to_owned() } else { format!("{} arrows are", offences.len()) }
        );
    }
    println!("{} crates, every arrow between them is allowed", crates.len());
    Ok(())
}

/// The packages of all crates of one kind.
pub(crate) fn packages(kind: Kind) -> BTreeSet<String> {
    CRATES.iter().filter(|rule| rule.kind == kind).map(|rule| allowed::package(rule.name)).collect()
}
