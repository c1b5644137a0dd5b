//! `cargo xtask fuzz`: lets libFuzzer look for inputs that the corpus does not reach.
//!
//! The targets are those of `crates/fuzz-targets`, whose `cargo test` needs nothing of this.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::usage::Fuzzing;
use crate::{paths, toolchain_env};

/// The most that an input may make the program ask for at once, and hold, in MiB.
const LIMITS: [&str; 2] = ["-malloc_limit_mb=64", "-rss_limit_mb=2048"];
/// Bytes of an input, and seconds that it may take.
const INPUTS: [&str; 2] = ["-max_len=4096", "-timeout=20"];

/// Runs one target, or each after the other.
pub(crate) fn run(what: &Fuzzing) -> Result<()> {
    if !installed()? {
        bail!("cargo-fuzz is not installed; install it with: cargo install --locked cargo-fuzz");
    }
    let corpora = paths::workspace().join("crates/fuzz-targets/corpus");
    let known = targets(&corpora)?;
    let chosen: Vec<&String> = match &what.target {
        None => known.iter().collect(),
        Some(name) => known.iter().filter(|known| *known == name).collect(),
    };
    if chosen.is_empty() {
        bail!("there is no target {:?}; there are {}", what.target.as_deref().unwrap_or_default(), known.join(", "));
    }
    // The libraries are those that are shipped.
    let lock = paths::workspace().join("fuzz/Cargo.lock");
    fs::copy(paths::workspace().join("Cargo.lock"), &lock).with_context(|| format!("write {}", lock.display()))?;
    let mut failed = Vec::new();
    for name in chosen {
        println!("== {name}, {} s", what.seconds);
        if !fuzz(&corpora, name, what.seconds)? {
            failed.push(name.as_str());
        }
    }
    match failed.as_slice() {
        [] => Ok(()),
        failed => bail!(
            "something does not hold: {}; the input is named above. Mend it, and keep the input as {}/TARGET/found-WHAT",
            failed.join(", "),
            corpora.display()
        ),
    }
}

fn installed() -> Result<bool> {
    let asked = toolchain_env::cargo().args(["fuzz", "--version"]).output();
    Ok(asked.context("run cargo fuzz --version")?.status.success())
}

/// Every folder of the corpus is a target's.
fn targets(corpora: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(corpora).with_context(|| format!("list {}", corpora.display()))?;
    let mut names: Vec<String> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    Ok(names)
}

/// What libFuzzer finds interesting is kept below the target directory, and built upon by the next run.
fn fuzz(corpora: &Path, name: &str, seconds: u64) -> Result<bool> {
    let target = toolchain_env::target_dir().join("fuzz");
    let (grown, artifacts) = (target.join("corpus").join(name), target.join("artifacts").join(name));
    for folder in [&grown, &artifacts] {
        fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    }
    let mut cargo = toolchain_env::cargo();
    // A stable compiler takes the sanitizer's flags when it is told to; its runtime is shipped with it.
    cargo.env("RUSTC_BOOTSTRAP", "1").env("CARGO_TARGET_DIR", &target).env("WAYBILL_FUZZ_TARGET", name);
    cargo.args(["fuzz", "run", "--fuzz-dir", "fuzz", "any"]).arg(&grown).arg(corpora.join(name)).arg("--");
    cargo.arg(format!("-max_total_time={seconds}")).args(LIMITS).args(INPUTS);
    cargo.arg(format!("-artifact_prefix={}/", artifacts.display()));
    Ok(cargo.status().context("run cargo fuzz")?.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folders_of_the_corpus_are_the_targets() {
        let names = targets(&paths::workspace().join("crates/fuzz-targets/corpus")).unwrap();
        assert!(names.contains(&"smtp_session".to_owned()), "{names:?}");
        let source = fs::read_to_string(paths::workspace().join("crates/fuzz-targets/src/lib.rs")).unwrap();
        for name in names {
            assert!(source.contains(&format!("name: \"{name}\"")), "the corpus {name} has no target");
        }
    }
}
