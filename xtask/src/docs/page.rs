//! A page of the reference: what its title names, and the parts of it that are made by machine.

use std::fmt::Write as _;

/// Begins a part that is made by machine, with the part's name behind it.
const OPENING: &str = "<!-- generated: ";
const CLOSING: &str = "<!-- /generated -->";

/// A part of a page that is made by machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// Unique on its page.
    pub(super) name: String,
    pub(super) content: Content,
}

/// What a part holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Lines as they are.
    Text(String),
    /// A table whose last column is written by hand.
    Table { head: Vec<&'static str>, rows: Vec<Row> },
}

/// A row of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// What the machine knows; the first cell is the row's key.
    pub(super) cells: Vec<String>,
    /// What the last cell says as long as nobody has written anything there.
    pub(super) words: String,
}

impl Part {
    /// The part as it has to be, with what was written by hand in the part as it is.
    fn render(&self, old: &str) -> String {
        let (head, rows) = match &self.content {
            Content::Text(text) => return text.clone(),
            Content::Table { head, rows } => (head, rows),
        };
        let mut out = format!("| {} |\n|{}\n", head.join(" | "), "---|".repeat(head.len()));
        for row in rows {
            let words = row.cells.first().and_then(|key| words_of(old, key)).unwrap_or_else(|| row.words.clone());
            let _ = writeln!(out, "| {} | {words} |", row.cells.join(" | "));
        }
        out
    }

    /// Keys of the rows that say nothing.
    fn silent(&self, rendered: &str) -> Vec<String> {
        let Content::Table { rows, .. } = &self.content else { return Vec::new() };
        let keys = rows.iter().filter_map(|row| row.cells.first());
        keys.filter(|key| words_of(rendered, key).is_none_or(|words| words.is_empty())).cloned().collect()
    }
}

/// The last cell of the row with this key.
fn words_of(table: &str, key: &str) -> Option<String> {
    let row =
        table.lines().map(cells).find(|cells| cells.len() > 1 && cells.first().is_some_and(|cell| cell == key))?;
    row.last().cloned()
}

/// The cells of a line of a table. A bar behind a backslash is part of a cell.
pub(super) fn cells(line: &str) -> Vec<String> {
    let Some(inner) = line.trim().strip_prefix('|').and_then(|line| line.strip_suffix('|')) else { return Vec::new() };
    let mut cells = vec![String::new()];
    let mut escaped = false;
    for character in inner.chars() {
        match (character, cells.last_mut()) {
            ('|', _) if !escaped => cells.push(String::new()),
            (_, Some(cell)) => cell.push(character),
            (_, None) => {}
        }
        escaped = character == '\\';
    }
    cells.iter().map(|cell| cell.trim().to_owned()).collect()
}

/// Puts the parts of several things on one page together: tables of the same name become one.
pub(super) fn merged<'a>(parts: impl Iterator<Item = &'a Part>) -> Vec<Part> {
    let mut all: Vec<Part> = Vec::new();
    for part in parts {
        match all.iter_mut().find(|other| other.name == part.name) {
            None => all.push(part.clone()),
            Some(first) => match (&mut first.content, &part.content) {
                (Content::Table { rows, .. }, Content::Table { rows: more, .. }) => rows.extend(more.iter().cloned()),
                (Content::Text(text), Content::Text(more)) => text.push_str(more),
                _ => {}
            },
        }
    }
    all
}

/// What the first heading names: `# a, b`.
pub(super) fn title(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.strip_prefix("# ")).map(str::trim)
}

/// The first sentence below the title, for an index.
pub(super) fn summary(text: &str) -> String {
    let body = text.lines().skip_while(|line| !line.starts_with("# ")).skip(1);
    let prose = body.skip_while(|line| line.trim().is_empty() || line.starts_with("<!--") || line.starts_with('|'));
    let paragraph = prose.take_while(|line| !line.trim().is_empty()).collect::<Vec<_>>().join(" ");
    match paragraph.find(". ") {
        Some(end) => paragraph[..end].to_owned(),
        None => paragraph.trim_end_matches(['.', ':']).to_owned(),
    }
}

/// A page with its parts made anew, and what is wrong with it as it is.
pub(super) struct Checked {
    /// What the page has to be.
    pub(super) text: String,
    /// What `cargo xtask docs` puts right by itself.
    pub(super) stale: Vec<String>,
    /// What somebody has to write.
    pub(super) missing: Vec<String>,
}

/// Compares a page with the parts that it has to have.
pub(super) fn check(text: &str, parts: &[Part]) -> Checked {
    let mut checked = Checked { text: String::new(), stale: Vec::new(), missing: Vec::new() };
    let mut rest = text;
    let mut met = Vec::new();
    while let Some((before, name, old, after)) = next_part(rest) {
        checked.text.push_str(before);
        match parts.iter().find(|part| part.name == name) {
            Some(part) => {
                let new = part.render(old);
                if new != old {
                    checked.stale.push(format!("the part `{name}` is not what the program says"));
                }
                let silent = part.silent(&new);
                checked.missing.extend(silent.iter().map(|key| format!("nothing is said about {key} in `{name}`")));
                checked.text.push_str(&framed(name, &new));
                met.push(name);
            }
            None => checked.stale.push(format!("nobody makes a part `{name}`")),
        }
        rest = after;
    }
    checked.text.push_str(rest);
    for part in parts.iter().filter(|part| !met.contains(&part.name.as_str())) {
        checked.stale.push(format!("the part `{}` is not there", part.name));
        let new = part.render("");
        checked.missing.extend(part.silent(&new).iter().map(|key| format!("nothing is said about {key}")));
        checked.text = format!("{}\n\n{}", checked.text.trim_end(), framed(&part.name, &new));
    }
    checked
}

fn framed(name: &str, content: &str) -> String {
    format!("{OPENING}{name} -->\n{content}{CLOSING}\n")
}

/// What comes before the next part, its name, what it holds, and what follows.
fn next_part(text: &str) -> Option<(&str, &str, &str, &str)> {
    let (before, rest) = text.split_once(OPENING)?;
    let (name, rest) = rest.split_once(" -->\n")?;
    let (content, after) = rest.split_once(CLOSING)?;
    Some((before, name, content, after.strip_prefix('\n').unwrap_or(after)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(rows: &[(&str, &str)]) -> Part {
        let rows =
            rows.iter().map(|(key, words)| Row { cells: vec![(*key).into(), "1".into()], words: (*words).into() });
        let head = vec!["key", "default", "effect"];
        Part { name: "options".into(), content: Content::Table { head, rows: rows.collect() } }
    }

    #[test]
    fn words_by_hand_stay_where_their_row_stays() {
        let page = "# x\n\n<!-- generated: options -->\n| key | default | effect |\n|---|---|---|\n| `a` | 9 | one \\| two |\n| `gone` | 1 | x |\n<!-- /generated -->\nbelow\n";
        let checked = check(page, &[part(&[("`a`", ""), ("`b`", "")])]);
        assert_eq!(checked.stale.len(), 1);
        assert_eq!(checked.missing, ["nothing is said about `b` in `options`"]);
        assert!(checked.text.contains("| `a` | 1 | one \\| two |\n| `b` | 1 |  |\n<!-- /generated -->\nbelow\n"));
        assert!(!checked.text.contains("gone"));
        let again = check(&checked.text, &[part(&[("`a`", ""), ("`b`", "")])]);
        assert!(again.stale.is_empty() && again.text == checked.text);
    }

    #[test]
    fn a_part_that_is_not_there_is_put_at_the_end_and_one_that_nobody_makes_goes() {
        let page = "# x\n\nText.\n\n<!-- generated: old -->\nx\n<!-- /generated -->\n";
        let checked = check(page, &[part(&[("`a`", "as the program says")])]);
        assert_eq!(checked.stale, ["nobody makes a part `old`", "the part `options` is not there"]);
        assert!(checked.missing.is_empty());
        assert!(checked.text.starts_with("# x\n\nText.\n\n<!-- generated: options -->\n"));
        assert!(!checked.text.contains("old"));
    }

    #[test]
    fn things_that_share_a_page_share_a_table() {
        let parts = [part(&[("`a`", "")]), part(&[("`b`", "")])];
        let Content::Table { rows, .. } = &merged(parts.iter())[0].content else { panic!("a table") };
        assert_eq!(rows.len(), 2);
    }

    #[test]
    fn title_and_summary_are_those_of_the_page() {
        let page = "# a, b\n\n<!-- generated: x -->\n| a |\n<!-- /generated -->\nSays what\nit is. And more.\n";
        assert_eq!(title(page), Some("a, b"));
        assert_eq!(summary(page), "Says what it is");
    }
}
