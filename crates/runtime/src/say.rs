use std::fmt::Display;
use std::io::Write;

/// Writes a line to standard error. Whoever read it may be gone, or its disk full: then there is nobody to tell, which
/// is no reason to end, as `eprintln!` would.
pub fn say(line: impl Display) {
    let mut text = line.to_string();
    text.push('\n');
    // In one piece, so that lines of others do not come in between.
    let _ = std::io::stderr().write_all(text.as_bytes());
}
