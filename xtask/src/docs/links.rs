//! Finds the links of a markdown page.

/// A link as it stands on a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    /// The line it stands on, counted from 1.
    pub(super) line: usize,
    /// Where it leads.
    pub(super) target: String,
}

/// All inline links, images and reference definitions outside of code.
pub(super) fn in_markdown(text: &str) -> Vec<Link> {
    let mut found = Vec::new();
    let mut fence: Option<&str> = None;
    for (number, line) in text.lines().enumerate() {
        let trimmed = line.trim_start();
        let marker = ["```", "~~~"].into_iter().find(|marker| trimmed.starts_with(marker));
        match (fence, marker) {
            (None, Some(opening)) => fence = Some(opening),
            (Some(open), Some(closing)) if open == closing => fence = None,
            (Some(_), _) => {}
            (None, None) => {
                let prose = without_code(line);
                let targets = inline(&prose).into_iter().chain(definition(&prose));
                found.extend(targets.map(|target| Link { line: number + 1, target: target.to_owned() }));
            }
        }
    }
    found
}

/// What may stand behind a `#` in a link to this page: its headings as hosts of markdown write them.
pub(super) fn places(text: &str) -> impl Iterator<Item = String> {
    let mut in_code = false;
    let headings = text.lines().filter(move |line| {
        in_code ^= line.trim_start().starts_with("```");
        !in_code && line.starts_with('#')
    });
    headings.map(|heading| {
        let words = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = words.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    })
}

/// The line with its `code spans` blanked out. A backtick without a partner is a backtick.
fn without_code(line: &str) -> String {
    let mut prose = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(start) = rest.find('`') {
        let (before, from) = rest.split_at(start);
        prose.push_str(before);
        let ticks = from.len() - from.trim_start_matches('`').len();
        let (marker, after) = from.split_at(ticks);
        match after.find(marker) {
            Some(end) => rest = &after[end + ticks..],
            None => {
                prose.push_str(marker);
                rest = after;
            }
        }
    }
    prose + rest
}

/// Targets of `[text](target)` and `![text](target "title")`.
fn inline(prose: &str) -> Vec<&str> {
    prose.split("](").skip(1).filter_map(destination).collect()
}

/// The target of `[label]: target`.
fn definition(prose: &str) -> Option<&str> {
    let (_, after) = prose.trim_start().strip_prefix('[')?.split_once("]:")?;
    after.split_whitespace().next().map(|target| target.trim_start_matches('<').trim_end_matches('>'))
}

/// What stands between the parentheses, without a title. Parentheses within it count in pairs.
fn destination(after: &str) -> Option<&str> {
    if let Some(angled) = after.strip_prefix('<') {
        return angled.split_once('>').map(|(target, _)| target);
    }
    let mut depth = 0_usize;
    for (at, character) in after.char_indices() {
        match character {
            '(' => depth += 1,
            ')' if depth == 0 => return Some(&after[..at]).filter(|target| !target.is_empty()),
            ')' => depth -= 1,
            ' ' => return Some(&after[..at]).filter(|target| !target.is_empty()),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(text: &str) -> Vec<String> {
        in_markdown(text).into_iter().map(|link| link.target).collect()
    }

    #[test]
    fn inline_links_images_and_definitions_are_found() {
        let text = "See [a](a.md), ![b](b.png \"B\") and [c](<c d.md>).\n\n[ref]: ref.md\n";
        assert_eq!(targets(text), ["a.md", "b.png", "c d.md", "ref.md"]);
    }

    #[test]
    fn a_target_may_hold_parentheses() {
        assert_eq!(targets("[x](a_(b).md)"), ["a_(b).md"]);
    }

    #[test]
    fn code_holds_no_links() {
        assert_eq!(targets("`[a](a.md)` and ``[`b`](b.md)``\n```lua\nt[1](x)\n```\n[c](c.md)"), ["c.md"]);
    }

    #[test]
    fn a_lone_backtick_hides_nothing() {
        assert_eq!(targets("it`s [a](a.md)"), ["a.md"]);
    }

    #[test]
    fn headings_are_places_and_comments_in_code_are_none() {
        let text = "# The spool, and what 250 promises\n```sh\n# not this\n```\n## `waybill hooks`\n";
        assert_eq!(places(text).collect::<Vec<_>>(), ["the-spool-and-what-250-promises", "waybill-hooks"]);
    }

    #[test]
    fn the_line_is_told() {
        assert_eq!(in_markdown("one\n\n[a](a.md)"), [Link { line: 3, target: "a.md".into() }]);
    }
}
