use std::fmt::Write as _;

/// A peer's bytes as one line that can be logged and shown: controls, line breaks, ANSI escapes, direction marks and
/// what is no UTF-8 become `\n`, `\x1b`, `\u{202e}`. Ends with an ellipsis where there were more than `longest` bytes.
pub fn printable(bytes: &[u8], longest: usize) -> String {
    let (shown, more) = match bytes.get(..longest) {
        Some(shown) if shown.len() < bytes.len() => (shown, true),
        _ => (bytes, false),
    };
    let mut out = String::with_capacity(shown.len());
    for chunk in shown.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\\' => out.push_str("\\\\"),
                c if c.is_ascii_control() => hex(&mut out, u32::from(c)),
                c if c.is_control() || is_mark(c) => out.extend(c.escape_unicode()),
                c => out.push(c),
            }
        }
        chunk.invalid().iter().for_each(|byte| hex(&mut out, u32::from(*byte)));
    }
    if more {
        out.push('…');
    }
    out
}

fn hex(out: &mut String, byte: u32) {
    // Writing to a String cannot fail.
    let _ = write!(out, "\\x{byte:02x}");
}

/// Characters that break a line or change the direction of what follows.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn response_9_hostile_text_becomes_one_printable_line() {
        let text = b"a\0b\r\nc\x1b[31mred\xff\xfe </script> \xe2\x80\xae\\ \xc2\x85 \xc3\xa9";
        let shown = printable(text, 1000);
        assert_eq!(shown, "a\\x00b\\r\\nc\\x1b[31mred\\xff\\xfe </script> \\u{202e}\\\\ \\u{85} é");
        assert!(!shown.chars().any(char::is_control));
        assert_eq!(printable(b"abcdef", 3), "abc…");
        assert_eq!(printable("é".as_bytes(), 1), "\\xc3…");
    }
}
