//! Prints to terminals, also what others have written.

use anyhow::Context;
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use std::io::{ErrorKind, Write};

/// Control characters become visible: an endpoint's answer must not drive the operator's terminal.
pub(crate) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' => out.push(' '),
            // Bidirectional overrides make text read as something else.
            c if c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') => {
                out.extend(c.escape_default());
            }
            c => out.push(c),
        }
    }
    out
}

/// At most `limit` characters.
pub(crate) fn cut(text: String, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some(_) => text.chars().take(limit.saturating_sub(1)).chain(['…']).collect(),
        None => text,
    }
}

/// A table without lines; the columns `right` hold numbers.
pub(crate) fn plain_table(
    header: &[&str],
    right: std::ops::RangeInclusive<usize>,
    rows: impl IntoIterator<Item = Vec<String>>,
) -> String {
    let mut table = Table::new();
    table.load_preset(NOTHING);
    table.set_header(header.to_vec());
    for row in rows {
        table.add_row(row);
    }
    for column in right {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let lines: Vec<_> = table.lines().map(|line| line.trim().to_owned()).collect();
    lines.join("\n") + "\n"
}

/// A line to standard error. Whoever read it may be gone: then there is nobody to tell, which is no reason to end.
pub(crate) fn tell(line: impl std::fmt::Display) {
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// Whether somebody reads what is printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reader {
    /// As far as can be told.
    Reads,
    /// It has seen enough (`| head`).
    Gone,
}

/// Prints to standard output; a reader that has seen enough is no error.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    print_while_read(text).map(|_| ())
}

/// The same for commands that have no end of their own: they end with their reader.
pub(crate) fn print_while_read(text: &str) -> anyhow::Result<Reader> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(Reader::Reads),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(error).context("write to standard output"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_cannot_drive_the_terminal() {
        assert_eq!(printable("a\x1b[31mb\r\nc\u{202e}d\u{7f}"), "a\\u{1b}[31mb  c\\u{202e}d\\u{7f}");
        assert_eq!(cut("häuser".into(), 3), "hä…");
        assert_eq!(cut("abc".into(), 3), "abc");
    }
}
