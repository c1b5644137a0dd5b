//! The workspace as `cargo metadata` tells it.

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::allowed;
use crate::toolchain_env;

/// A crate of the workspace and what it names in its manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Crate {
    /// The package's name without our prefix.
    pub(crate) name: String,
    /// Everything it depends on, ours and others.
    pub(crate) dependencies: Vec<Dependency>,
}

/// One line of a `[dependencies]` table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dependency {
    /// The package's name, without our prefix if it is ours.
    pub(crate) name: String,
    /// Whether it is a crate of this workspace.
    pub(crate) ours: bool,
    /// Whether only tests, examples and benches see it.
    pub(crate) only_tests: bool,
}

/// Asks cargo.
pub(crate) fn read() -> Result<Vec<Crate>> {
    let output = toolchain_env::cargo()
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .output()
        .context("run cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    parse(&output.stdout)
}

fn parse(json: &[u8]) -> Result<Vec<Crate>> {
    let metadata: Value = serde_json::from_slice(json).context("parse the answer of cargo metadata")?;
    let packages = metadata["packages"].as_array().context("cargo metadata names no packages")?;
    let mut crates = packages.iter().map(parse_package).collect::<Result<Vec<_>>>()?;
    crates.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(crates)
}

fn parse_package(package: &Value) -> Result<Crate> {
    let name = text(package, "name")?;
    let dependencies =
        package["dependencies"].as_array().with_context(|| format!("{name} has no list of dependencies"))?;
    let dependencies = dependencies.iter().map(parse_dependency).collect::<Result<_>>()?;
    Ok(Crate { name: allowed::short(name).to_owned(), dependencies })
}

fn parse_dependency(dependency: &Value) -> Result<Dependency> {
    // A renamed dependency still carries its real name here; only a path leads to a crate of ours.
    let ours = dependency["path"].is_string();
    let name = text(dependency, "name")?;
    let name = if ours { allowed::short(name) } else { name };
    Ok(Dependency { name: name.to_owned(), ours, only_tests: dependency["kind"] == "dev" })
}

fn text<'a>(object: &'a Value, key: &str) -> Result<&'a str> {
    object[key].as_str().with_context(|| format!("cargo metadata: no `{key}` in {object}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_and_their_dependencies_are_read() {
        let json = br#"{"packages":[{"name":"waybill-spool","dependencies":[
            {"name":"waybill-types","kind":null,"path":"/w/crates/types","source":null},
            {"name":"serde","kind":null,"source":"registry+x"},
            {"name":"proptest","kind":"dev","source":"registry+x"}]}]}"#;
        let dependency = |name: &str, ours, only_tests| Dependency { name: name.into(), ours, only_tests };
        assert_eq!(
            parse(json).unwrap(),
            [Crate {
                name: "spool".into(),
                dependencies: vec![
                    dependency("types", true, false),
                    dependency("serde", false, false),
                    dependency("proptest", false, true),
                ],
            }]
        );
    }

    #[test]
    fn an_answer_of_another_shape_is_an_error() {
        assert!(parse(br#"{"packages":[{"name":"x"}]}"#).is_err());
        assert!(parse(b"{}").is_err());
    }
}
