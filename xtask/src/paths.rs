//! Where things are: the workspace, and programs on the search path.

use std::env;
use std::path::{Path, PathBuf};

/// The root of the workspace this xtask was built from, so that commands work from any folder below it.
pub(crate) fn workspace() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}

/// The program's full path, if it is installed.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(name)).find(|candidate| candidate.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_is_the_folder_with_the_crates() {
        assert!(workspace().join("xtask/Cargo.toml").is_file());
    }

    #[test]
    fn programs_are_found_on_the_search_path() {
        assert!(find_program("sh").is_some());
        assert_eq!(find_program("a-program-that-nobody-has"), None);
    }
}
