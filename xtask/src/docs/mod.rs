//! `cargo xtask docs`: makes the parts of `docs/reference` that the program knows itself; with `--check` it only compares,
//! and looks whether links lead somewhere and the tests that `compatibility.md` names are there.

mod compatibility;
mod endpoints;
mod known;
mod links;
mod page;
mod reference;
mod sources;

use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::paths;

/// Pages beside `docs/` that are checked too.
const PAGES: &[&str] = &["README.md", "CONTRIBUTING.md"];

/// What to do with the parts that are made by machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Make them anew.
    Write,
    /// Compare them.
    Check,
}

/// How much is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Files only: links and named tests.
    Files,
    /// The program as well, which is built for it.
    Program,
}

/// Fails, after naming everything that is wrong, when something is.
pub(crate) fn run(task: Task, depth: Depth) -> Result<()> {
    let root = paths::workspace();
    let mut complaints = match depth {
        Depth::Files => Vec::new(),
        Depth::Program => reference::run(root, task)?,
    };
    complaints.extend(compatibility::complaints(root)?);
    complaints.extend(dead_links(root)?);
    for complaint in &complaints {
        println!("  {complaint}");
    }
    match complaints.len() {
        0 => Ok(()),
        1 => bail!("1 thing is wrong with the documentation"),
        many => bail!("{many} things are wrong with the documentation"),
    }
}

/// Links that lead nowhere.
fn dead_links(root: &Path) -> Result<Vec<String>> {
    let pages = pages(root)?;
    let mut links = 0;
    let mut dead = Vec::new();
    for page in &pages {
        let text = fs::read_to_string(root.join(page)).with_context(|| format!("read {}", page.display()))?;
        for link in links::in_markdown(&text) {
            links += 1;
            if let Some(why) = complaint(root, page, &link.target) {
                dead.push(format!("{}:{}: {}: {why}", page.display(), link.line, link.target));
            }
        }
    }
    println!("{} of {links} links in {} pages lead somewhere", links - dead.len(), pages.len());
    Ok(dead)
}

/// The pages to check, relative to the root, in order.
fn pages(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found: Vec<PathBuf> = PAGES.iter().map(PathBuf::from).filter(|page| root.join(page).is_file()).collect();
    collect(root, Path::new("docs"), &mut found)?;
    found.sort();
    Ok(found)
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(root.join(folder)).with_context(|| format!("list {}", folder.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("list {}", folder.display()))?;
        let path = folder.join(entry.file_name());
        if entry.file_type().with_context(|| format!("look at {}", path.display()))?.is_dir() {
            collect(root, &path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
    Ok(())
}

/// What is wrong with a link on a page; nothing for a link to elsewhere in the world or on the same page.
fn complaint(root: &Path, page: &Path, target: &str) -> Option<&'static str> {
    let path = target.split(['#', '?']).next().unwrap_or_default();
    if path.is_empty() || path.starts_with("mailto:") || target.contains("://") {
        return None;
    }
    // A leading slash means the root of the repository, as where it is hosted.
    let from = page.parent().unwrap_or_else(|| Path::new(""));
    let joined = path.strip_prefix('/').map_or_else(|| from.join(path), PathBuf::from);
    let Some(inside) = inside(&joined) else { return Some("leaves the repository") };
    let file = root.join(inside);
    if !file.exists() {
        return Some("no such file");
    }
    let place = target.split_once('#').map(|(_, place)| place);
    let page = place.filter(|_| file.extension().is_some_and(|ending| ending == "md"));
    let text = page.and_then(|_| fs::read_to_string(&file).ok())?;
    (!links::places(&text).any(|other| Some(other.as_str()) == place)).then_some("no such heading on that page")
}

/// The path without `.` and `..`; nothing if it climbs out.
fn inside(path: &Path) -> Option<PathBuf> {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::CurDir => {}
            Component::ParentDir => clean.pop().then_some(())?,
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(page: &str, target: &str) -> Option<&'static str> {
        complaint(paths::workspace(), Path::new(page), target)
    }

    #[test]
    fn a_link_is_read_from_the_folder_of_its_page() {
        assert_eq!(judge("docs/guide/x.md", "../../Cargo.toml"), None);
        assert_eq!(judge("docs/guide/x.md", "Cargo.toml"), Some("no such file"));
        assert_eq!(judge("docs/guide/x.md", "/Cargo.toml#L3"), None);
        assert_eq!(judge("README.md", "xtask"), None);
        assert_eq!(judge("docs/guide/x.md", "../../CONTRIBUTING.md#what-a-change-looks-like"), None);
        assert_eq!(judge("docs/guide/x.md", "../../CONTRIBUTING.md#what"), Some("no such heading on that page"));
    }

    #[test]
    fn links_out_of_the_repository_are_refused_though_the_file_may_be_there() {
        assert_eq!(judge("README.md", "../shared/STYLE.md"), Some("leaves the repository"));
    }

    #[test]
    fn links_to_the_world_and_within_the_page_are_not_followed() {
        for target in ["https://example.com/x", "#below", "mailto:postmaster@example.com"] {
            assert_eq!(judge("README.md", target), None);
        }
    }
}
