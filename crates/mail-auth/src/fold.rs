//! Long fields in several lines.

/// Lines are broken before they get longer.
const WIDTH: usize = 76;
/// What begins a further line, and how wide it is.
const BREAK: &str = "\r\n\t";
const TAB: usize = 8;

/// A field in the making. Pieces stay whole.
pub(crate) struct Folded {
    text: String,
    column: usize,
}

impl Folded {
    /// Begins with the name.
    pub(crate) fn new(name: &str) -> Self {
        Folded { text: format!("{name}:"), column: name.len() + 1 }
    }

    /// A piece behind a space, or at the beginning of the next line.
    pub(crate) fn word(&mut self, piece: &str) {
        if self.column + 1 + piece.len() > WIDTH && self.column > TAB {
            self.next_line();
        } else {
            self.text.push(' ');
            self.column += 1;
        }
        self.attach(piece);
    }

    /// A piece right behind the one before, or at the beginning of the next line.
    pub(crate) fn part(&mut self, piece: &str) {
        if self.column + piece.len() > WIDTH && self.column > TAB {
            self.next_line();
        }
        self.attach(piece);
    }

    /// A text that may be broken anywhere.
    pub(crate) fn run(&mut self, mut text: &str) {
        while !text.is_empty() {
            if self.column >= WIDTH {
                self.next_line();
            }
            // Only ASCII comes here; anything else is not cut in the middle of a letter.
            let room = (WIDTH - self.column).min(text.len());
            let cut = if text.is_char_boundary(room) { room } else { text.len() };
            self.attach(&text[..cut]);
            text = &text[cut..];
        }
    }

    /// Whatever comes next, in a line of its own.
    pub(crate) fn next_line(&mut self) {
        self.text.push_str(BREAK);
        self.column = TAB;
    }

    fn attach(&mut self, piece: &str) {
        self.text.push_str(piece);
        self.column += piece.len();
    }

    /// What there is of it.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The field without its line end.
    pub(crate) fn into_text(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_longer_than_it_has_to_be() {
        let mut field = Folded::new("X");
        for _ in 0..30 {
            field.word("word;");
            field.part("part:");
        }
        field.run(&"b".repeat(300));
        field.word(&"w".repeat(100));
        let text = field.into_text();
        let longest = text.lines().map(|line| line.replace('\t', "        ").len()).collect::<Vec<_>>();
        assert!(longest[..longest.len() - 1].iter().all(|len| *len <= WIDTH), "{longest:?}");
        let flat = text.replace("\r\n\t", "");
        assert!(flat.contains(&"b".repeat(300)) && flat.ends_with(&"w".repeat(100)), "{flat}");
    }
}
