//! Where the parts of a multipart are: between lines that consist of its boundary (RFC 2046 section 5.1).

use memchr::memchr;
use std::ops::Range;

/// The parts of `body`, found one by one.
pub fn delimited<'a>(body: &'a [u8], boundary: &str) -> Delimited<'a> {
    let mut found = Delimited { body, delimiter: format!("--{boundary}").into_bytes(), start: None, preamble: 0 };
    if let Some(line) = found.next_delimiter(0) {
        found.preamble = line.end;
        found.start = Some(line.end).filter(|_| !line.closes);
    }
    found
}

/// See [`delimited`]: for each part its own range, and that of the line that ends it with the line end in front.
#[derive(Clone, Debug)]
pub struct Delimited<'a> {
    body: &'a [u8],
    delimiter: Vec<u8>,
    /// Where the next part begins.
    start: Option<usize>,
    preamble: usize,
}

struct Line {
    start: usize,
    end: usize,
    closes: bool,
}

impl Delimited<'_> {
    /// Bytes up to the first part; 0 when there is none.
    pub fn preamble(&self) -> usize {
        self.preamble
    }

    fn next_delimiter(&self, from: usize) -> Option<Line> {
        let mut start = from;
        while start < self.body.len() {
            let rest = &self.body[start..];
            let len = memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
            if let Some(behind) = rest[..len].strip_prefix(&self.delimiter[..]) {
                let behind = behind.trim_ascii();
                if matches!(behind, b"" | b"--") {
                    return Some(Line { start, end: start + len, closes: !behind.is_empty() });
                }
            }
            start += len;
        }
        None
    }
}

impl Iterator for Delimited<'_> {
    type Item = (Range<usize>, Range<usize>);

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.start?;
        let Some(line) = self.next_delimiter(start) else {
            // Nothing ends it but the end.
            self.start = None;
            return Some((start..self.body.len(), self.body.len()..self.body.len()));
        };
        self.start = Some(line.end).filter(|_| !line.closes);
        // The line end before a delimiter belongs to it.
        let part = start..start + without_line_end(&self.body[start..line.start]).len();
        Some((part.clone(), part.end..line.end))
    }
}

fn without_line_end(bytes: &[u8]) -> &[u8] {
    match bytes.strip_suffix(b"\n") {
        Some(rest) => rest.strip_suffix(b"\r").unwrap_or(rest),
        None => bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(body: &str, boundary: &str) -> Vec<String> {
        delimited(body.as_bytes(), boundary).map(|(part, _)| body[part].to_owned()).collect()
    }

    #[test]
    fn parts_stand_between_lines_of_their_boundary() {
        let body =
            "preamble --b\r\n--b\r\n\r\nfirst\r\n--bc\r\n --b\r\n--b \t\r\nsecond\n--b\n--b\r\n\r\n--b--\r\n--b\r\nno";
        assert_eq!(parts(body, "b"), ["\r\nfirst\r\n--bc\r\n --b", "second", "", ""]);
        assert_eq!(delimited(body.as_bytes(), "b").preamble(), 19);
        assert_eq!(parts("--b\r\nno end", "b"), ["no end"]);
        assert_eq!(parts("--b", "b"), [""]);
        assert_eq!(parts("--b--\r\nx", "b"), Vec::<String>::new());
        assert_eq!(parts("nothing", "b"), Vec::<String>::new());
    }

    #[test]
    fn no_byte_is_lost() {
        let body = "pre\r\n--b\r\none\r\n--b\r\ntwo\n\n--b--  \r\nepilogue";
        let parts = delimited(body.as_bytes(), "b");
        let mut at = parts.preamble();
        for (part, behind) in parts {
            assert_eq!((part.start, part.end), (at, behind.start));
            at = behind.end;
        }
        assert_eq!(&body[at..], "epilogue");
    }
}
