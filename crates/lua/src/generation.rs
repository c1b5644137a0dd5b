//! One reading of the policy, and how a later one is noticed.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use sha2::{Digest, Sha256};
use waybill_policy::Epoch;

use crate::events::Handlers;
use crate::rule::{self, QueueRule, RULED};
use crate::sources::Sources;

/// The policy as it was read at one time. All states of a generation are equal.
pub(crate) struct Generation {
    pub(crate) epoch: Epoch,
    pub(crate) sources: Arc<Sources>,
    /// With the places where their handlers are registered.
    events: OnceLock<HashMap<Arc<str>, Vec<String>>>,
    /// What the handlers of the event that takes rules say beside their functions, in order.
    rules: OnceLock<Vec<Option<QueueRule>>>,
}

impl Generation {
    pub(crate) fn new(epoch: Epoch) -> Self {
        Generation { epoch, sources: Arc::default(), events: OnceLock::new(), rules: OnceLock::new() }
    }

    /// Notes what the first state of this generation handles, and where.
    pub(crate) fn set_events(&self, handlers: &Handlers) {
        // Only the first state sets it.
        let _ = self.events.set(handlers.places().collect());
        let _ = self.rules.set(handlers.of(RULED).iter().map(|handler| handler.rule.clone()).collect());
    }

    /// As [`rule::queue_of_all`] gives it.
    pub(crate) fn queue_of_all(&self, hook: &str) -> Option<&Arc<str>> {
        rule::queue_of_all(self.rules.get()?.iter().map(Option::as_ref), hook)
    }

    /// The event, when anybody handles it.
    pub(crate) fn event(&self, name: &str) -> Option<&Arc<str>> {
        self.events.get()?.get_key_value(name).map(|(event, _)| event)
    }

    /// `FILE:LINE` of each handler of an event.
    pub(crate) fn places(&self, event: &str) -> &[String] {
        self.events.get().and_then(|events| events.get(event)).map_or(&[], Vec::as_slice)
    }
}

/// A fingerprint of files: content of each, or its absence.
pub(crate) type Fingerprint = [u8; 32];

/// The files that a reading of the policy depends on, and what they were.
#[derive(Clone, Default)]
pub(crate) struct Seen {
    files: BTreeSet<PathBuf>,
    fingerprint: Fingerprint,
}

impl Seen {
    /// What a reading saw: the texts that it used, and of other files what the disk has now.
    pub(crate) fn of(sources: &Sources, globs: &[String], also: &BTreeSet<PathBuf>) -> Self {
        let (texts, watched) = sources.files();
        let files: BTreeSet<PathBuf> = texts.keys().chain(&watched).chain(also).cloned().collect();
        let fingerprint = fingerprint(&files, globs, |path| match texts.get(path) {
            Some(text) => text.as_deref().map(<[u8]>::to_vec),
            None => std::fs::read(path).ok(),
        });
        Seen { files, fingerprint }
    }

    /// The files.
    pub(crate) fn files(&self) -> &BTreeSet<PathBuf> {
        &self.files
    }

    /// Whether the disk says something else now. Reads every file.
    pub(crate) fn changed(&self, globs: &[String]) -> bool {
        fingerprint(&self.files, globs, |path| std::fs::read(path).ok()) != self.fingerprint
    }
}

fn fingerprint(files: &BTreeSet<PathBuf>, globs: &[String], content: impl Fn(&Path) -> Option<Vec<u8>>) -> Fingerprint {
    let mut all = files.clone();
    for pattern in globs.iter().flat_map(|pattern| alternatives(pattern)) {
        // A pattern that is none, or a directory that cannot be read, matches nothing.
        all.extend(glob::glob(&pattern).into_iter().flatten().flatten().filter(|path| path.is_file()));
    }
    let mut hash = Sha256::new();
    for path in &all {
        let name = path.as_os_str().as_encoded_bytes();
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name);
        match content(path) {
            Some(content) => {
                hash.update((content.len() as u64 + 1).to_le_bytes());
                hash.update(&content);
            }
            None => hash.update(0_u64.to_le_bytes()),
        }
    }
    hash.finalize().into()
}

/// `a.{lua,json}` as `a.lua` and `a.json`: the glob library has no alternatives.
fn alternatives(pattern: &str) -> Vec<String> {
    let Some((open, close)) = pattern.find('{').and_then(|open| Some((open, open + pattern[open..].find('}')?))) else {
        return vec![pattern.to_owned()];
    };
    let (before, after) = (&pattern[..open], &pattern[close + 1..]);
    pattern[open + 1..close].split(',').flat_map(|word| alternatives(&format!("{before}{word}{after}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_are_alternatives() {
        assert_eq!(alternatives("a/**/*.{lua,json}"), ["a/**/*.lua", "a/**/*.json"]);
        assert_eq!(alternatives("{a,b}{1,2}"), ["a1", "a2", "b1", "b2"]);
        assert_eq!(alternatives("plain{"), ["plain{"]);
    }

    #[test]
    fn a_change_a_new_file_and_a_lost_file_are_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("a.lua"), "1").unwrap();
        std::fs::write(path("data.json"), "{}").unwrap();
        let sources = Sources::default();
        sources.read(&path("a.lua"));
        sources.read(&path("missing.lua"));
        sources.watch(&path("data.json"));
        let globs = [format!("{}/*.{{toml,yaml}}", dir.path().display())];
        let seen = Seen::of(&sources, &globs, &BTreeSet::new());
        assert!(!seen.changed(&globs));
        let changes: [(&str, &str); 4] =
            [("a.lua", "2"), ("missing.lua", "x"), ("data.json", "{ }"), ("new.toml", "x = 1")];
        for (name, text) in changes {
            let before = std::fs::read(path(name)).ok();
            std::fs::write(path(name), text).unwrap();
            assert!(seen.changed(&globs), "{name}");
            match before {
                Some(before) => std::fs::write(path(name), before).unwrap(),
                None => std::fs::remove_file(path(name)).unwrap(),
            }
            assert!(!seen.changed(&globs), "{name} again");
        }
        std::fs::remove_file(path("a.lua")).unwrap();
        assert!(seen.changed(&globs));
    }
}
