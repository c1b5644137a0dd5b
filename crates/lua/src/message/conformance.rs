//! `check_fix_conformance`: what is wrong with a message, and what can be put right.

use bytes::Bytes;
use mlua::{Lua, Table, Value};
use waybill_mime::{Part, headers};
use waybill_spool::Message;

use crate::engine::Engine;
use crate::error::raise;
use crate::location;

/// The most bytes of a line (RFC 5322 section 2.1.1).
const LONGEST_LINE: usize = 998;

/// Says whether a message has a problem.
type Found = fn(&[u8]) -> bool;

/// What may be wrong, in the words of scripts.
const PROBLEMS: [(&str, Found); 8] = [
    ("MISSING_COLON_VALUE", missing_colon),
    ("NON_CANONICAL_LINE_ENDINGS", odd_line_ends),
    ("NAME_ENDS_WITH_SPACE", spaced_name),
    ("LINE_TOO_LONG", long_line),
    ("NEEDS_TRANSFER_ENCODING", unencoded),
    ("MISSING_DATE_HEADER", |data| missing(data, "Date")),
    ("MISSING_MESSAGE_ID_HEADER", |data| missing(data, "Message-ID")),
    ("MISSING_MIME_VERSION", |data| missing(data, "MIME-Version")),
];

fn lines(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    data.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

fn header_lines(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    lines(data).take_while(|line| !line.is_empty())
}

fn is_folded(line: &[u8]) -> bool {
    matches!(line, [b' ' | b'\t', ..])
}

fn missing_colon(data: &[u8]) -> bool {
    header_lines(data).any(|line| !is_folded(line) && !line.contains(&b':'))
}

fn odd_line_ends(data: &[u8]) -> bool {
    let bare_feed = |at: usize| data[at] == b'\n' && (at == 0 || data[at - 1] != b'\r');
    let bare_return = |at: usize| data[at] == b'\r' && data.get(at + 1) != Some(&b'\n');
    (0..data.len()).any(|at| bare_feed(at) || bare_return(at))
}

/// Where the white space between a header's name and its colon is.
fn space_in_name(line: &[u8]) -> Option<(usize, usize)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let name = line[..colon].trim_ascii_end().len();
    (name < colon && name > 0 && !is_folded(line)).then_some((name, colon))
}

fn spaced_name(data: &[u8]) -> bool {
    header_lines(data).any(|line| space_in_name(line).is_some())
}

fn long_line(data: &[u8]) -> bool {
    lines(data).any(|line| line.len() > LONGEST_LINE)
}

/// Bytes beyond ASCII where nothing says how they are encoded.
fn unencoded(data: &[u8]) -> bool {
    !data.is_ascii() && missing(data, "Content-Transfer-Encoding")
}

fn missing(data: &[u8], name: &str) -> bool {
    headers::first(data, name).is_none()
}

/// `A|B`, also with spaces or commas between.
fn chosen(lua: &Lua, what: &str, words: &str) -> mlua::Result<Vec<&'static str>> {
    let words = words.split(['|', ',', ' ']).filter(|word| !word.is_empty());
    words
        .map(|word| match PROBLEMS.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)) {
            Some((name, _)) => Ok(*name),
            None => {
                let known = PROBLEMS.map(|(name, _)| name).join(", ");
                let at = location::caller(lua);
                Err(raise(format!(
                    "{at}: msg:check_fix_conformance: {what}: unknown word '{word}', expected some of {known}"
                )))
            }
        })
        .collect()
}

fn found(data: &[u8], which: &[&'static str]) -> Vec<&'static str> {
    PROBLEMS.iter().filter(|(name, has)| which.contains(name) && has(data)).map(|(name, _)| *name).collect()
}

/// Nil, or what is wrong and was to be looked for and could not be put right.
pub(super) fn check_fix(
    lua: &Lua,
    message: &Message,
    data: &Bytes,
    (check, fix, _settings): (String, Option<String>, Option<Table>),
) -> mlua::Result<Value> {
    let check = chosen(lua, "check", &check)?;
    let fix = chosen(lua, "fix", &fix.unwrap_or_default())?;
    let mut fixed = data.clone();
    for (problem, has) in PROBLEMS {
        // One repair may be another's as well.
        if fix.contains(&problem) && has(&fixed) {
            fixed = repair(lua, message, fixed, problem);
        }
    }
    if fixed != *data {
        message.set_data(fixed.clone());
    }
    let left = found(&fixed, &check);
    if left.is_empty() { Ok(Value::Nil) } else { lua.create_string(left.join("|")).map(Value::String) }
}

fn repair(lua: &Lua, message: &Message, data: Bytes, problem: &str) -> Bytes {
    match problem {
        "NON_CANONICAL_LINE_ENDINGS" => canonical(&data),
        "NAME_ENDS_WITH_SPACE" => without_spaces(&data),
        "LINE_TOO_LONG" | "NEEDS_TRANSFER_ENCODING" => coded(data),
        "MISSING_DATE_HEADER" => match Engine::of(lua) {
            Some(engine) => {
                let now = engine.inner().settings.clock.now().to_utc().to_rfc2822();
                headers::prepend(&data, "Date", &now)
            }
            None => data,
        },
        "MISSING_MESSAGE_ID_HEADER" => {
            let sender = message.sender();
            let id = format!("<{}@{}>", message.id(), sender.domain().unwrap_or("localhost"));
            headers::prepend(&data, "Message-ID", &id)
        }
        "MISSING_MIME_VERSION" => headers::prepend(&data, "MIME-Version", "1.0"),
        _ => data,
    }
}

/// With every body that no way would carry as it is coded anew; the same where that cannot be done.
fn coded(data: Bytes) -> Bytes {
    let coded = Part::parse(data.clone()).and_then(|part| part.with_bodies_coded()?.to_bytes());
    coded.map_or(data, Bytes::from)
}

fn canonical(data: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(data.len() + 64);
    let mut bytes = data.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\r' => {
                bytes.next_if_eq(&b'\n');
                out.extend_from_slice(b"\r\n");
            }
            b'\n' => out.extend_from_slice(b"\r\n"),
            other => out.push(other),
        }
    }
    out.into()
}

fn without_spaces(data: &[u8]) -> Bytes {
    let section = headers::section(data);
    let mut out = Vec::with_capacity(data.len());
    for line in section.split_inclusive(|byte| *byte == b'\n') {
        match space_in_name(line) {
            Some((name, colon)) => {
                out.extend_from_slice(&line[..name]);
                out.extend_from_slice(&line[colon..]);
            }
            None => out.extend_from_slice(line),
        }
    }
    out.extend_from_slice(&data[section.len()..]);
    out.into()
}
