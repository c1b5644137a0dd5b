//! How transcripts spell what does not fit into a line of theirs.

/// `{cr}`, `{lf}` and `{crlf}` are line ends, `{x*N}` is so many times an `x`.
pub(crate) fn expand(text: &str) -> String {
    let mut out = text.replace("{lf}", "\n").replace("{cr}", "\r").replace("{crlf}", "\r\n");
    while let Some(start) = out.find("{x*") {
        let end = start + out[start..].find('}').unwrap();
        let count: usize = out[start + 3..end].parse().unwrap();
        out.replace_range(start..=end, &"x".repeat(count));
    }
    out
}
