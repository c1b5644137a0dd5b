//! Finds the members of a JSON object without parsing their values.
//!
//! The input is an object that we encoded ourselves, so it is well formed; on anything else the walk just ends.

use memchr::memchr2;
use std::ops::Range;

/// One member: its name (still escaped, quotes left out) and the place of its value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Member {
    pub(super) name: Range<usize>,
    pub(super) value: Range<usize>,
}

/// Walks over the members of the object that `json` is.
pub(super) fn members(json: &[u8]) -> impl Iterator<Item = Member> + '_ {
    let mut at = 1;
    std::iter::from_fn(move || {
        if json.get(at) == Some(&b',') {
            at += 1;
        }
        if json.get(at) != Some(&b'"') {
            return None;
        }
        let name = at + 1..string_end(json, at)?.checked_sub(1)?;
        let start = name.end + 2; // the closing quote and the colon
        let end = value_end(json, start)?;
        at = end;
        Some(Member { name, value: start..end })
    })
}

/// Where the string that begins at `start` ends, closing quote included.
fn string_end(json: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        // Most of a record is inside of strings.
        at += memchr2(b'"', b'\\', json.get(at..)?)?;
        match json[at] {
            b'"' => return Some(at + 1),
            _ => at += 2,
        }
    }
}

fn value_end(json: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    let mut depth = 0_usize;
    loop {
        match json.get(at)? {
            b'"' => {
                at = string_end(json, at)?;
                if depth == 0 {
                    return Some(at);
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 0 => return Some(at),
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            b',' if depth == 0 => return Some(at),
            _ => {}
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(json: &str) -> Vec<(&str, &str)> {
        members(json.as_bytes()).map(|member| (&json[member.name], &json[member.value])).collect()
    }

    #[test]
    fn members_are_found_with_their_values_untouched() {
        let json = r#"{"type":"Delivery","s":"a\"},{b","n":-1.5,"o":{"x":[1,{"y":"]"}]},"l":[],"t":true,"e":{}}"#;
        let expected = [
            ("type", r#""Delivery""#),
            ("s", r#""a\"},{b""#),
            ("n", "-1.5"),
            ("o", r#"{"x":[1,{"y":"]"}]}"#),
            ("l", "[]"),
            ("t", "true"),
            ("e", "{}"),
        ];
        assert_eq!(seen(json), expected);
    }

    #[test]
    fn torn_input_ends_the_walk() {
        let json = r#"{"a":1,"b":{"c":"d"}}"#;
        for len in 0..json.len() {
            assert!(members(&json.as_bytes()[..len]).count() <= 2, "{len}");
        }
        assert_eq!(seen("{}"), []);
    }
}
