//! What can be read off our own sources: tests by name, methods of Lua objects, who calls which event.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A source file.
pub(super) struct Source {
    /// Relative to the workspace.
    pub(super) path: PathBuf,
    pub(super) text: String,
}

/// All files with this ending below a folder, in order.
pub(super) fn below(root: &Path, folder: &Path, ending: &str) -> Result<Vec<Source>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(root.join(&folder)).with_context(|| format!("list {}", folder.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("list {}", folder.display()))?;
            let path = folder.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|other| other == ending) {
                let text = fs::read_to_string(root.join(&path)).with_context(|| format!("read {}", path.display()))?;
                found.push(Source { path, text });
            }
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(found)
}

impl Source {
    /// The crate that it is in, by the name of its folder.
    pub(super) fn owner(&self) -> &str {
        let mut parts = self.path.iter().filter_map(|part| part.to_str());
        match (parts.next(), parts.next()) {
            (Some("crates"), Some(name)) => name,
            (Some(first), _) => first,
            (None, _) => "",
        }
    }

    /// The program's part of it: nothing of what only tests see, and no comments.
    pub(super) fn shipped(&self) -> String {
        let name = self.path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
        let in_tests = self.path.iter().any(|part| part == "tests" || part == "benches");
        if in_tests || name == "tests" || name.ends_with("_tests") || name == "testing" {
            return String::new();
        }
        let lines = self.text.lines().take_while(|line| *line != "mod tests {");
        lines.filter(|line| !line.trim_start().starts_with("//")).flat_map(|line| [line, "\n"]).collect()
    }

    /// Names of the tests in it.
    pub(super) fn tests(&self) -> Vec<&str> {
        let mut found = Vec::new();
        let mut marked = false;
        for line in self.text.lines().map(str::trim_start) {
            if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
                marked = true;
            } else if !line.starts_with("#[") && !line.starts_with("//") {
                if marked && let Some(name) = function(line) {
                    found.push(name);
                }
                // An attribute may go over several lines.
                marked = marked && (line.starts_with(')') || function(line).is_none() && line.ends_with([',', ']']));
            }
        }
        found
    }
}

/// The name of the function that a line begins.
fn function(line: &str) -> Option<&str> {
    let line = line.strip_prefix("async ").unwrap_or(line);
    let rest = line.strip_prefix("fn ")?;
    rest.split(['(', '<']).next()
}

/// The methods and fields of the objects that scripts get, by Rust type. Fields are those with a `.`.
pub(super) fn objects(sources: &[Source]) -> BTreeMap<String, BTreeSet<String>> {
    let mut objects: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources {
        let text = source.shipped();
        for block in text.split("UserData for ").skip(1) {
            let block = block.split("\n}\n").next().unwrap_or(block);
            let name: String = block.chars().take_while(char::is_ascii_alphanumeric).collect();
            let members: BTreeSet<String> = members(block);
            if !members.is_empty() {
                objects.entry(name).or_default().extend(members);
            }
        }
    }
    objects
}

fn members(block: &str) -> BTreeSet<String> {
    let calls = block.split(".add_").skip(1);
    let named = calls.filter_map(|call| {
        let (what, rest) = call.split_once('(')?;
        let name = rest.trim_start().strip_prefix('"')?.split('"').next()?;
        match what {
            "field_method_get" | "field_function_get" => Some(format!(".{name}")),
            // A field that holds a function is a method to a script.
            "field" => Some(format!(":{name}")),
            "method" | "method_mut" | "function" | "function_mut" => Some(format!(":{name}")),
            what if what.starts_with("async_") && !what.contains("meta") => Some(format!(":{name}")),
            _ => None,
        }
    });
    named.collect()
}

/// Crates in whose program an event is named, `lua`'s table of events aside.
pub(super) fn callers(sources: &[Source], event: &str) -> BTreeSet<String> {
    let quoted = match event.strip_suffix("NAME") {
        Some(beginning) => format!("\"{beginning}"),
        None => format!("\"{event}\""),
    };
    let elsewhere = sources.iter().filter(|source| !source.path.ends_with("lua/src/events.rs"));
    let calling = elsewhere.filter(|source| source.path.extension().is_some_and(|ending| ending == "rs"));
    calling.filter(|source| source.shipped().contains(&quoted)).map(|source| source.owner().to_owned()).collect()
}

/// Events that the program calls by a name of its own, with the file that does.
pub(super) fn called(sources: &[Source]) -> Vec<(String, PathBuf)> {
    const CALLS: [&str; 4] = [".call(\"", ".call_each(\"", ".fire(\"", ".handles(\""];
    let mut found = Vec::new();
    for source in sources {
        let text = source.shipped();
        for call in CALLS {
            for rest in text.split(call).skip(1) {
                found.extend(rest.split('"').next().map(|event| (event.to_owned(), source.path.clone())));
            }
        }
        let constants = text.lines().filter(|line| line.contains("const ") && line.contains("EVENT: &str = \""));
        found.extend(constants.filter_map(|line| Some((line.split('"').nth(1)?.to_owned(), source.path.clone()))));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source { path: path.into(), text: text.into() }
    }

    #[test]
    fn tests_are_found_by_their_attribute() {
        let text = "#[test]\nfn one() {}\n\nfn helper() {}\n    #[tokio::test(flavor = \"multi_thread\")]\n    // why\n    async fn two() {\n}\n#[test]\n#[ignore]\nfn three<T>() {}\nfn four() {}\n";
        assert_eq!(source("crates/a/src/x.rs", text).tests(), ["one", "two", "three"]);
    }

    #[test]
    fn members_of_objects_are_found_and_what_tests_make_is_not() {
        let text = "impl UserData for Time {\n    fn add_fields() {\n        fields.add_field_method_get(\"year\", f);\n        fields.add_field(\n            \"late\", g);\n    }\n    methods.add_async_method(\"format\", h);\n    methods.add_meta_method(MetaMethod::Eq, e);\n}\nmod tests {\nimpl UserData for Fake {\n methods.add_method(\"x\", y);\n}\n";
        let found = objects(&[source("crates/a/src/x.rs", text)]);
        assert_eq!(found.len(), 1);
        assert_eq!(found["Time"].iter().collect::<Vec<_>>(), [".year", ":format", ":late"]);
    }

    #[test]
    fn whoever_names_an_event_calls_it() {
        let sources = [
            source("crates/smtp/src/x.rs", "self.fire(\"smtp_server_ehlo\", args)\nconst EVENT: &str = \"other\";\n"),
            source("crates/lua/src/events.rs", "one(\"smtp_server_ehlo\")"),
            source("crates/hooks/src/y.rs", "format!(\"log_disposition_{name}\")"),
        ];
        assert_eq!(callers(&sources, "smtp_server_ehlo").into_iter().collect::<Vec<_>>(), ["smtp"]);
        assert_eq!(callers(&sources, "log_disposition_NAME").into_iter().collect::<Vec<_>>(), ["hooks"]);
        let events: Vec<_> = called(&sources).into_iter().map(|(event, _)| event).collect();
        assert_eq!(events, ["smtp_server_ehlo", "other"]);
    }
}
