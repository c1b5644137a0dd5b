//! Header values as they may stand on the wire: folded, beyond ASCII as encoded words (RFC 2047).

use std::fmt::Write as _;

/// Lines are folded at white space here,
const SOFT: usize = 75;
/// and anywhere here.
const HARD: usize = 900;

/// The value of a header of this name, ready for the wire.
pub fn encode(name: &str, value: &str) -> String {
    if value.is_ascii() { fold(name, value) } else { words(name, value) }
}

fn fold(name: &str, value: &str) -> String {
    let mut out = String::with_capacity(value.len() + 16);
    let mut column = name.len() + 2;
    for word in value.split_inclusive(' ') {
        if column + word.trim_end().len() > SOFT && !out.is_empty() {
            // A fold needs white space behind it: the space in front of the word moves there.
            out.truncate(out.trim_end().len());
            out.push_str("\r\n ");
            column = 1;
        }
        let mut rest = word;
        while column + rest.len() > HARD {
            let (line, more) = rest.split_at(HARD - column);
            out.push_str(line);
            out.push_str("\r\n ");
            (rest, column) = (more, 1);
        }
        out.push_str(rest);
        column += rest.len();
    }
    out
}

/// Encoded words, at most 75 columns each (section 2), with whole characters in each (section 5).
fn words(name: &str, value: &str) -> String {
    const START: &str = "=?UTF-8?q?";
    let mut out = String::new();
    let mut column = name.len() + 2 + START.len();
    out.push_str(START);
    for character in value.chars() {
        let mut coded = String::new();
        match character {
            'a'..='z' | 'A'..='Z' | '0'..='9' => coded.push(character),
            ' ' => coded.push('_'),
            other => {
                for byte in other.to_string().bytes() {
                    // Writing to a String cannot fail.
                    let _ = write!(coded, "={byte:02X}");
                }
            }
        }
        if column + coded.len() + 2 > SOFT {
            out.push_str("?=\r\n ");
            out.push_str(START);
            column = 1 + START.len();
        }
        column += coded.len();
        out.push_str(&coded);
    }
    out.push_str("?=");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::headers;

    fn longest_line(text: &str) -> usize {
        text.split("\r\n").map(str::len).max().unwrap()
    }

    #[test]
    fn long_values_are_folded_and_read_back_as_they_were() {
        for value in [
            "short".to_owned(),
            "word ".repeat(60).trim_end().to_owned(),
            "é ü ".repeat(60).trim_end().to_owned(),
            "naïve_=?".to_owned(),
        ] {
            let encoded = encode("X-Test", &value);
            assert!(longest_line(&format!("X-Test: {encoded}")) <= SOFT + 1, "{encoded}");
            let mail = headers::prepend(b"\r\n", "X-Test", &encoded);
            assert_eq!(headers::first(&mail, "X-Test").unwrap().value(), value);
        }
    }

    #[test]
    fn a_word_without_end_is_cut() {
        let encoded = encode("X", &"a".repeat(2000));
        assert!(longest_line(&encoded) <= HARD);
        assert_eq!(encoded.replace("\r\n ", ""), "a".repeat(2000));
    }
}
