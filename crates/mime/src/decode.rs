use mail_parser::{HeaderForm, MessageParser};

/// Bytes that are looked at together for encoded words. One is 75 columns at most, and the search for the end of one that
/// has none would begin again at each.
const PIECE: usize = 2048;

/// A header's value in one line, encoded words decoded (RFC 2047). What cannot be decoded stays as it is.
pub fn decode(raw: &[u8]) -> String {
    let raw = raw.trim_ascii();
    if memchr::memmem::find(raw, b"=?").is_none() {
        return unfold(raw);
    }
    let mut pieces = Pieces::default();
    let mut rest = raw;
    while !rest.is_empty() {
        let (piece, more) = rest.split_at(piece_len(rest));
        pieces.push(piece);
        rest = more;
    }
    pieces.text
}

/// As many whole lines as go into a piece, or one that is longer.
fn piece_len(rest: &[u8]) -> usize {
    if rest.len() <= PIECE {
        return rest.len();
    }
    match memchr::memrchr(b'\n', &rest[..PIECE]) {
        Some(at) => at + 1,
        None => memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1),
    }
}

#[derive(Default)]
struct Pieces {
    text: String,
    /// What came last ends in an encoded word.
    after_word: bool,
}

impl Pieces {
    fn push(&mut self, piece: &[u8]) {
        let piece = piece.trim_ascii();
        if piece.is_empty() {
            return;
        }
        // White space between two encoded words is no part of either (RFC 2047 section 6.2).
        let between = self.after_word && piece.starts_with(b"=?");
        if !self.text.is_empty() && !between {
            self.text.push(' ');
        }
        self.text.push_str(&if piece.len() <= PIECE { words(piece) } else { unfold(piece) });
        self.after_word = piece.ends_with(b"?=");
    }
}

fn words(piece: &[u8]) -> String {
    let section = [b"X: ", piece, b"\r\n\r\n"].concat();
    let parsed = MessageParser::new().header_text("X").default_header_text().parse_headers(&section[..]);
    let text = parsed.as_ref().and_then(|m| m.header_as("X", HeaderForm::Text).into_iter().next());
    match text.and_then(|value| value.into_text()) {
        Some(text) => text.into_owned(),
        None => unfold(piece),
    }
}

fn unfold(raw: &[u8]) -> String {
    let lines = raw.split(|byte| *byte == b'\n').map(|line| line.trim_ascii()).filter(|line| !line.is_empty());
    lines.map(String::from_utf8_lossy).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_are_decoded_piece_by_piece() {
        let words = vec!["=?utf-8?q?=C3=A9?="; 1000];
        assert_eq!(decode(words.join("\r\n ").as_bytes()), "é".repeat(1000));
        let words = ["=?utf-8?q?=C3=A9?=", "plain"].repeat(1000);
        assert_eq!(decode(words.join("\r\n ").as_bytes()), vec!["é plain"; 1000].join(" "));
    }

    #[test]
    fn words_without_end_stay_and_cost_little() {
        // Each of them would otherwise be searched to the end of the header.
        let raw = "=?ab?q? ".repeat(400_000);
        assert_eq!(decode(raw.as_bytes()), raw.trim_end());
        let folded = "=?ab?q?\r\n ".repeat(200_000);
        assert_eq!(decode(folded.as_bytes()), "=?ab?q? ".repeat(200_000).trim_end());
    }

    #[test]
    fn plain_text_is_unfolded() {
        assert_eq!(decode(b" a\r\n b \r\n\tc\r\n"), "a b c");
        assert_eq!(decode(b"caf\xe9"), "caf\u{fffd}");
        assert_eq!(decode(b" "), "");
    }
}
