//! Folding text so that it can stand in a header.

/// What is put where a line is broken: a folded header goes on with a tab.
const BREAK: &str = "\r\n\t";

/// Breaks `text` at blanks so that lines stay within `soft` columns where words allow it. A word
/// longer than `hard` is cut. Blanks at the end are removed.
pub fn wrap(text: &str, soft: usize, hard: usize) -> String {
    let hard = hard.max(1);
    let mut out = String::with_capacity(text.len() + text.len() / 16);
    let mut column = 0;
    let mut rest = text.trim_end();
    while !rest.is_empty() {
        let (blank, after) = rest.split_at(rest.find(|c: char| !c.is_whitespace()).unwrap_or(rest.len()));
        let (word, after) = after.split_at(after.find(char::is_whitespace).unwrap_or(after.len()));
        rest = after;
        let width = word.chars().count();
        if column > 0 && column + blank.chars().count() + width > soft {
            out.push_str(BREAK);
            column = 0;
        } else {
            out.push_str(blank);
            // A line break that was there already starts a new line.
            let since_break = blank.rsplit('\n').next().unwrap_or_default().chars().count();
            column = if blank.contains('\n') { since_break } else { column + since_break };
        }
        column += push_word(&mut out, word, width, hard);
    }
    out
}

/// Adds the word, cut into pieces of `hard` columns when it is longer. Says how far the last line got.
fn push_word(out: &mut String, word: &str, width: usize, hard: usize) -> usize {
    if width <= hard {
        out.push_str(word);
        return width;
    }
    let mut column = 0;
    for c in word.chars() {
        if column == hard {
            out.push_str(BREAK);
            column = 0;
        }
        out.push(c);
        column += 1;
    }
    column
}
