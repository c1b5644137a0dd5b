//! The environment of every cargo that xtask starts.
//!
//! One choice of compiler, linker and target directory for all commands and all clones: a different one would compile RocksDB
//! again. What the caller has set is left alone.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::paths;

/// What [`variables`] looks at.
struct Machine<'a> {
    is_set: &'a dyn Fn(&str) -> bool,
    is_installed: &'a dyn Fn(&str) -> bool,
    home: Option<PathBuf>,
}

/// A cargo command with the environment set, started in the workspace.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(paths::workspace());
    for name in left_by_cargo_run(env::vars_os().filter_map(|(name, _)| name.into_string().ok())) {
        command.env_remove(name);
    }
    match env::var_os("LD_LIBRARY_PATH").map(|value| without_cargos_own(&value)) {
        Some(rest) if !rest.is_empty() => command.env("LD_LIBRARY_PATH", rest),
        _ => command.env_remove("LD_LIBRARY_PATH"),
    };
    command.envs(for_this_machine());
    command
}

/// Where cargo puts what it builds.
pub(crate) fn target_dir() -> PathBuf {
    let chosen = env::var_os("CARGO_TARGET_DIR").or_else(|| {
        for_this_machine().into_iter().find(|(name, _)| *name == "CARGO_TARGET_DIR").map(|(_, value)| value)
    });
    // A relative CARGO_TARGET_DIR counts from the folder cargo is started in.
    paths::workspace().join(chosen.unwrap_or_else(|| "target".into()))
}

/// What is set, in a form that can be typed: a step repeated by hand without it would compile RocksDB again, elsewhere.
pub(crate) fn described() -> String {
    let words: Vec<String> =
        for_this_machine().into_iter().map(|(name, value)| format!("{name}={:?}", value.to_string_lossy())).collect();
    if words.is_empty() { "as the caller has set it".to_owned() } else { words.join(" ") }
}

fn for_this_machine() -> Vec<(&'static str, OsString)> {
    variables(&Machine {
        is_set: &|name| env::var_os(name).is_some(),
        is_installed: &|program| paths::find_program(program).is_some(),
        home: env::var_os("HOME").map(PathBuf::from),
    })
}

fn variables(machine: &Machine<'_>) -> Vec<(&'static str, OsString)> {
    let mut chosen = Vec::new();
    let mut choose = |name: &'static str, value: OsString| {
        if !(machine.is_set)(name) {
            chosen.push((name, value));
        }
    };
    if let Some(home) = &machine.home {
        choose("CARGO_TARGET_DIR", home.join(".cache/waybill/target").into());
    }
    if (machine.is_installed)("ccache") {
        choose("CC", "ccache gcc".into());
        choose("CXX", "ccache g++".into());
        if let Some(home) = &machine.home {
            choose("CCACHE_DIR", home.join(".cache/waybill/ccache").into());
        }
    }
    if (machine.is_installed)("mold") {
        choose("RUSTFLAGS", "-C link-arg=-fuse-ld=mold".into());
    }
    if (machine.is_set)("CI") {
        // Nothing is built twice there, so the bookkeeping for it is only time and disk.
        choose("CARGO_INCREMENTAL", "0".into());
    }
    chosen
}

/// The variables about xtask itself that `cargo run` sets. Build scripts that ask to be run again when one of them changes (ring
/// does) would otherwise run, and rebuild all that follows, whenever xtask's cargo and a person's take turns.
fn left_by_cargo_run(names: impl Iterator<Item = String>) -> Vec<String> {
    names
        .filter(|name| name == "CARGO" || name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
        .collect()
}

/// `LD_LIBRARY_PATH` without what `cargo run` put before it: its target directory and the toolchain's libraries.
fn without_cargos_own(value: &OsString) -> OsString {
    let executable = env::current_exe().ok();
    let own_folder = executable.as_deref().and_then(Path::parent);
    let kept = env::split_paths(value).filter(|folder| {
        let target = own_folder.is_some_and(|own| folder.starts_with(own));
        let toolchain =
            folder.join("rustlib").is_dir() || folder.components().any(|part| part.as_os_str() == "rustlib");
        !target && !toolchain && !folder.as_os_str().is_empty()
    });
    env::join_paths(kept).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(set: &[&str], installed: &[&str]) -> Vec<(&'static str, String)> {
        let machine = Machine {
            is_set: &|name| set.contains(&name),
            is_installed: &|program| installed.contains(&program),
            home: Some("/home/me".into()),
        };
        variables(&machine).into_iter().map(|(name, value)| (name, value.into_string().unwrap())).collect()
    }

    #[test]
    fn a_bare_machine_gets_only_the_target_directory() {
        assert_eq!(chosen(&[], &[]), [("CARGO_TARGET_DIR", "/home/me/.cache/waybill/target".to_owned())]);
    }

    #[test]
    fn tools_that_are_installed_are_used() {
        let all = chosen(&["CI"], &["ccache", "mold"]);
        for wanted in [
            ("CC", "ccache gcc"),
            ("CXX", "ccache g++"),
            ("CCACHE_DIR", "/home/me/.cache/waybill/ccache"),
            ("RUSTFLAGS", "-C link-arg=-fuse-ld=mold"),
            ("CARGO_INCREMENTAL", "0"),
        ] {
            assert!(all.contains(&(wanted.0, wanted.1.to_owned())), "{wanted:?} in {all:?}");
        }
    }

    #[test]
    fn what_the_caller_has_set_is_left_alone() {
        let set = ["CARGO_TARGET_DIR", "CC", "CXX", "CCACHE_DIR", "RUSTFLAGS", "CARGO_INCREMENTAL", "CI"];
        assert_eq!(chosen(&set, &["ccache", "mold"]), []);
    }

    #[test]
    fn variables_about_xtask_itself_do_not_reach_the_next_cargo() {
        let names = ["CARGO", "CARGO_PKG_NAME", "CARGO_MANIFEST_DIR", "CARGO_HOME", "CARGO_TARGET_DIR", "PATH"];
        let removed = left_by_cargo_run(names.map(str::to_owned).into_iter());
        assert_eq!(removed, ["CARGO", "CARGO_PKG_NAME", "CARGO_MANIFEST_DIR"]);
    }

    #[test]
    fn only_cargos_part_of_the_library_path_is_dropped() {
        let own = env::current_exe().unwrap().parent().unwrap().to_owned();
        let value = env::join_paths([own, "/opt/x/lib/rustlib/x86_64/lib".into(), PathBuf::from("/opt/mine")]).unwrap();
        assert_eq!(without_cargos_own(&value), "/opt/mine");
    }
}
