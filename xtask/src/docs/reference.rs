//! `docs/reference`: a page for each thing and no page without one, parts made by machine that are current, an index for
//! each folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::Task;
use super::known::{self, Kind, Thing};
use super::page::{self, Content, Part};
use super::sources::{self, Source};

/// Where it is.
const FOLDER: &str = "docs/reference";
/// The index of a folder.
const INDEX: &str = "README.md";
/// Pages about what is no part of the program.
const OTHERS: [(Kind, &str); 1] = [(Kind::Commands, "cargo xtask")];
/// How a page says that it is about the objects of a Rust type.
const METHODS: &str = "<!-- generated: methods of ";

/// A page as it is.
struct Page {
    path: PathBuf,
    text: String,
}

/// Asks the program and compares everything; with [`Task::Write`] also puts right what can be made by machine. What is left
/// is returned.
pub(super) fn run(root: &Path, task: Task) -> Result<Vec<String>> {
    let sources = sources::below(root, Path::new("crates"), "rs")?;
    compare(root, task, &known::things(&known::ask()?, &sources), &sources)
}

fn compare(root: &Path, task: Task, things: &[Thing], sources: &[Source]) -> Result<Vec<String>> {
    let objects = sources::objects(sources);
    let mut complaints = unknown_events(things, sources);
    let mut documented = Vec::new();
    for kind in Kind::ALL {
        let things: Vec<&Thing> = things.iter().filter(|thing| thing.kind == kind).collect();
        let mut pages = read(root, kind)?;
        create(root, kind, &things, &mut pages, task, &mut complaints)?;
        for page in &mut pages {
            let mut parts = parts(kind, page, &things, &mut complaints);
            for object in objects_of(page) {
                match objects.get(&object) {
                    Some(members) => parts.push(known::methods(&object, members)),
                    None => complaints.push(format!("{}: there is no object {object}", page.path.display())),
                }
                documented.push(object);
            }
            keep(root, page, &parts, task, &mut complaints)?;
        }
        index(root, kind, &pages, task, &mut complaints)?;
    }
    for object in objects.keys().filter(|object| !documented.contains(object)) {
        complaints.push(format!(
            "{FOLDER}/functions: no page has `{METHODS}{object} -->`; scripts get such objects, so their methods want one"
        ));
    }
    Ok(complaints)
}

/// The pages of a folder, in order.
fn read(root: &Path, kind: Kind) -> Result<Vec<Page>> {
    let folder = Path::new(FOLDER).join(kind.folder());
    if !root.join(&folder).is_dir() {
        return Ok(Vec::new());
    }
    let found = sources::below(root, &folder, "md")?.into_iter();
    let pages = found.map(|Source { path, text }| Page { path, text });
    Ok(pages.filter(|page| !page.path.ends_with(INDEX)).collect())
}

/// The names that a page is about.
fn names(kind: Kind, page: &Page) -> Vec<String> {
    let title = page::title(&page.text).unwrap_or_default();
    title.split(", ").map(|name| kind.plain(name)).collect()
}

/// Where the page of a name is.
fn place(kind: Kind, name: &str) -> PathBuf {
    let bare = name.trim_matches('/').replace(['/', ' '], "-").replace(['{', '}'], "");
    // The path `/`: a page whose name is nothing but an ending would be hidden.
    let bare = if bare.is_empty() { "root" } else { &bare };
    Path::new(FOLDER).join(kind.folder()).join(format!("{bare}.md"))
}

/// Makes a page for each thing that has none.
fn create(
    root: &Path,
    kind: Kind,
    things: &[&Thing],
    pages: &mut Vec<Page>,
    task: Task,
    complaints: &mut Vec<String>,
) -> Result<()> {
    let mut named: BTreeMap<String, PathBuf> = BTreeMap::new();
    for page in pages.iter() {
        for name in names(kind, page) {
            if let Some(other) = named.insert(name.clone(), page.path.clone()) {
                complaints.push(format!("{}: {name} has a page already: {}", page.path.display(), other.display()));
            }
        }
    }
    for thing in things.iter().filter(|thing| !named.contains_key(&thing.name)) {
        let path = place(kind, &thing.title);
        if task == Task::Check {
            complaints.push(format!("{}: {} has no page; cargo xtask docs begins one", path.display(), thing.title));
            continue;
        }
        let text = format!("# {}\n", thing.title);
        write(root, &path, &text)?;
        println!("  {}: begun", path.display());
        pages.push(Page { path, text });
    }
    pages.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(())
}

/// The parts of a page, and what is wrong with its title.
fn parts(kind: Kind, page: &Page, things: &[&Thing], complaints: &mut Vec<String>) -> Vec<Part> {
    let names = names(kind, page);
    let other = |name: &String| OTHERS.iter().any(|(other, about)| *other == kind && about == name);
    let object = name_of_objects(page);
    for name in names.iter().filter(|name| !other(name) && !object) {
        if !things.iter().any(|thing| thing.name == *name) {
            complaints.push(format!("{}: there is no {name} among the {}", page.path.display(), kind.folder()));
        }
    }
    // A page of one thing has its name; one of several may be called as one likes.
    if let [name] = names.as_slice()
        && let Some(thing) = things.iter().find(|thing| thing.name == *name)
        && page.path != place(kind, &thing.title)
    {
        complaints.push(format!("{}: to be called {}", page.path.display(), place(kind, &thing.title).display()));
    }
    let mine = things.iter().filter(|thing| names.contains(&thing.name));
    page::merged(mine.flat_map(|thing| &thing.parts))
}

/// Whether the page is about objects: `# message object`.
fn name_of_objects(page: &Page) -> bool {
    page::title(&page.text).is_some_and(|title| title.ends_with(" object") || title.ends_with(" objects"))
}

/// Rust types whose methods the page lists.
fn objects_of(page: &Page) -> Vec<String> {
    let marks = page.text.split(METHODS).skip(1);
    marks.filter_map(|rest| Some(rest.split_once(" -->")?.0.to_owned())).collect()
}

/// Compares a page with its parts.
fn keep(root: &Path, page: &mut Page, parts: &[Part], task: Task, complaints: &mut Vec<String>) -> Result<()> {
    let checked = page::check(&page.text, parts);
    let at = page.path.display().to_string();
    complaints.extend(checked.missing.iter().map(|what| format!("{at}: {what}")));
    if page::summary(&page.text).is_empty() {
        complaints.push(format!("{at}: a sentence below the title is missing"));
    }
    if checked.stale.is_empty() {
        return Ok(());
    }
    match task {
        Task::Check => {
            complaints.extend(checked.stale.iter().map(|what| format!("{at}: {what}; cargo xtask docs puts it right")));
        }
        Task::Write => {
            write(root, &page.path, &checked.text)?;
            println!("  {at}: written");
            page.text = checked.text;
        }
    }
    Ok(())
}

fn write(root: &Path, path: &Path, text: &str) -> Result<()> {
    let file = root.join(path);
    let done = file.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&file, text));
    done.with_context(|| format!("write {}", path.display()))
}

/// The list of a folder's pages, one line each.
fn index(root: &Path, kind: Kind, pages: &[Page], task: Task, complaints: &mut Vec<String>) -> Result<()> {
    let path = Path::new(FOLDER).join(kind.folder()).join(INDEX);
    let mut lines: Vec<String> = pages
        .iter()
        .filter_map(|page| {
            let file = page.path.file_name()?.to_str()?;
            let title = page::title(&page.text)?;
            Some(format!("- [{}]({file}): {}\n", title.replace('`', ""), page::summary(&page.text)))
        })
        .collect();
    lines.sort();
    let part = Part { name: "index".into(), content: Content::Text(lines.concat()) };
    let text = fs::read_to_string(root.join(&path)).unwrap_or_else(|_| format!("# {}\n", kind.folder()));
    let mut page = Page { path, text };
    keep(root, &mut page, &[part], task, complaints)
}

/// Events that somebody calls and the table of events does not have, and the other way round.
fn unknown_events(things: &[Thing], sources: &[Source]) -> Vec<String> {
    let known = |name: &str| things.iter().any(|thing| thing.kind == Kind::Events && thing.name == name);
    let unknown = sources::called(sources).into_iter().filter(|(event, _)| !known(event));
    let mut complaints: Vec<String> = unknown
        .map(|(event, path)| {
            format!("{}: calls the event {event}, which crates/lua/src/events.rs does not know", path.display())
        })
        .collect();
    let events = things.iter().filter(|thing| thing.kind == Kind::Events);
    complaints.extend(
        events
            .filter(|event| sources::callers(sources, &event.name).is_empty())
            .map(|event| format!("crates/lua/src/events.rs: nobody calls the event {}", event.name)),
    );
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_found_by_the_name_of_its_thing() {
        for (kind, name, file) in [
            (Kind::Endpoints, "/api/hooks/v1/{name}/pause", "endpoints/api-hooks-v1-name-pause.md"),
            (Kind::Functions, "kumo.http.build_client", "functions/kumo.http.build_client.md"),
            (Kind::Commands, "waybill hooks list", "commands/waybill-hooks-list.md"),
        ] {
            assert_eq!(place(kind, name), Path::new(FOLDER).join(file));
        }
    }

    /// A folder that goes away with this value.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let path = std::env::temp_dir().join(format!("waybill-xtask-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Folder(path)
        }

        fn page(&self, name: &str) -> PathBuf {
            self.0.join(FOLDER).join(name)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_page_is_begun_filled_in_by_hand_and_gone_with_its_thing() {
        let folder = Folder::new("pages");
        let row = known::row(&["`full`".to_owned()], "");
        let part = known::table("metric", &["metric", "meaning"], vec![row]);
        let thing = Thing { kind: Kind::Metrics, name: "full".into(), title: "full".into(), parts: vec![part] };
        let run = |task, things: &[Thing]| compare(&folder.0, task, things, &[]).unwrap();

        let missing = run(Task::Check, std::slice::from_ref(&thing));
        assert!(missing.iter().any(|what| what.contains("full has no page")), "{missing:#?}");
        assert!(!folder.page("metrics/full.md").exists(), "a check writes nothing");

        let begun = run(Task::Write, std::slice::from_ref(&thing));
        let wanted = ["nothing is said about `full`", "a sentence below the title is missing"];
        for wanted in wanted {
            assert!(begun.iter().any(|what| what.contains(wanted)), "{wanted} in {begun:#?}");
        }

        let page = folder.page("metrics/full.md");
        let text = fs::read_to_string(&page).unwrap().replace("| `full` |  |", "| `full` | how often |");
        fs::write(&page, text.replace("# full\n", "# full\n\nCounts.\n")).unwrap();
        let rest: Vec<_> = run(Task::Write, std::slice::from_ref(&thing));
        assert!(rest.iter().all(|what| what.contains("README.md")), "{rest:#?}");
        let index = fs::read_to_string(folder.page("metrics/README.md")).unwrap();
        assert!(index.contains("- [full](full.md): Counts\n"), "{index}");
        assert!(fs::read_to_string(&page).unwrap().contains("| `full` | how often |"));

        let gone = run(Task::Check, &[]);
        assert!(gone.iter().any(|what| what.contains("there is no full among the metrics")), "{gone:#?}");
    }

    #[test]
    fn a_page_may_be_about_several_things() {
        let page = Page { path: "x.md".into(), text: "# kumo.log_error, kumo.log_warn\n".into() };
        assert_eq!(names(Kind::Functions, &page), ["log_error", "log_warn"]);
        let page = Page { path: "x.md".into(), text: "# message object\n\n<!-- generated: methods of A -->\n".into() };
        assert!(name_of_objects(&page));
        assert_eq!(objects_of(&page), ["A"]);
    }
}
