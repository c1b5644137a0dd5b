//! `docs/reference/compatibility.md` and `security.md`: each row that claims something names a test that holds it, and that
//! test is there.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};

use super::page::cells;
use super::sources::{self, Source};

/// The pages with such rows.
const PAGES: [&str; 2] = ["docs/reference/compatibility.md", "docs/reference/security.md"];

/// The scenarios of the whole daemon, under the name that the page has for them.
const SCENARIOS: (&str, &str) = ("scenarios", "crates/waybill/tests/scenarios");

/// Words of which a row has one, unless it is about what is not there yet.
const CLAIMS: [&str; 6] = ["yes", "better", "partly", "ours", "refused", "accepted"];

/// What is wrong with the pages.
pub(super) fn complaints(root: &Path) -> Result<Vec<String>> {
    let tests =
        tests(&sources::below(root, Path::new("crates"), "rs")?, &sources::below(root, Path::new("xtask"), "rs")?);
    let exists = |file: &str| root.join(file).is_file();
    let mut found = Vec::new();
    for page in PAGES {
        let text = std::fs::read_to_string(root.join(page)).with_context(|| format!("read {page}"))?;
        for (number, line) in text.lines().enumerate() {
            let cells = cells(line);
            let [subject, claim, held] = cells.as_slice() else { continue };
            if subject == "subject" || subject.starts_with("---") {
                continue;
            }
            let wrong = judge(claim, held, &tests, &exists);
            found.extend(wrong.into_iter().map(|wrong| format!("{page}:{}: {subject}: {wrong}", number + 1)));
        }
    }
    Ok(found)
}

/// Tests by crate.
fn tests(crates: &[Source], xtask: &[Source]) -> BTreeMap<String, Vec<String>> {
    let mut tests: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for source in crates.iter().chain(xtask) {
        let names = source.tests().into_iter().map(str::to_owned);
        let owner = if source.path.starts_with(SCENARIOS.1) { SCENARIOS.0 } else { source.owner() };
        tests.entry(owner.to_owned()).or_default().extend(names);
    }
    tests
}

/// What is wrong with a row.
fn judge(claim: &str, held: &str, tests: &BTreeMap<String, Vec<String>>, exists: &dyn Fn(&str) -> bool) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut named = 0;
    for group in held.split_inclusive(')') {
        // `(journal-core, model)` says more than the crate.
        let owner = group.rsplit_once('(').and_then(|(_, owner)| owner.strip_suffix(')')?.split(", ").next());
        for name in group.split('`').skip(1).step_by(2) {
            named += 1;
            if name.contains('/') {
                if !exists(name) {
                    wrong.push(format!("there is no file {name}"));
                }
                continue;
            }
            match owner.map(|owner| (owner, tests.get(owner))) {
                None => wrong.push(format!("no crate in parentheses behind `{name}`")),
                Some((owner, None)) => wrong.push(format!("there is no crate {owner}")),
                Some((_, Some(there))) if there.iter().any(|test| test == name) => {}
                Some((owner, Some(_))) => wrong.push(format!("there is no test `{name}` in {owner}")),
            }
        }
    }
    let says = |word: &&str| claim.split(|c: char| !c.is_alphanumeric()).any(|said| said == *word);
    let claims = !claim.starts_with("not yet") && CLAIMS.iter().any(says);
    if !claims && !claim.starts_with("not yet") {
        wrong.push(format!("say {}, or begin with not yet", CLAIMS.join(", ")));
    }
    // A row without a test says why, in words.
    if claims && named == 0 && held.chars().filter(char::is_ascii_alphabetic).count() < 8 {
        wrong.push("name the test that holds it, or say why there is none".to_owned());
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(claim: &str, held: &str) -> Vec<String> {
        let tests = [("smtp", "a_test"), ("scenarios", "another")]
            .map(|(owner, test)| (owner.to_owned(), vec![test.to_owned()]));
        judge(claim, held, &tests.into(), &|file| file == "policy-extras/tests/x_test.lua")
    }

    #[test]
    fn a_claim_needs_a_test_that_is_there() {
        assert!(wrong("yes", "`a_test` (smtp), `another` (scenarios)").is_empty());
        assert!(wrong("better: much", "`policy-extras/tests/x_test.lua`").is_empty());
        assert!(wrong("not yet; a word about it", "").is_empty());
        assert!(wrong("of this, yes", "`a_test` (smtp, model)").is_empty());
        assert!(wrong("yes", "none: it shows only on a machine with two disks").is_empty());
        assert_eq!(wrong("yes", "—"), ["name the test that holds it, or say why there is none"]);
        assert_eq!(wrong("yes", "`a_test`"), ["no crate in parentheses behind `a_test`"]);
        assert_eq!(wrong("yes", "`a_test` (scenarios)"), ["there is no test `a_test` in scenarios"]);
        assert_eq!(wrong("yes", "`a_test` (dns)"), ["there is no crate dns"]);
        assert_eq!(wrong("yes", "`policy-extras/y.lua`"), ["there is no file policy-extras/y.lua"]);
        assert_eq!(wrong("maybe", "").len(), 1);
    }
}
