//! The head of an answer: what it says of itself and of its body.

use std::mem::MaybeUninit;

use encoding_rs::Encoding;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use httparse::{Header, ParserConfig, Response, Status};

use super::chunked::Chunked;
use super::framing::Framing;
use super::trouble::Trouble;
use crate::charset::charset;

/// Headers of one answer.
const MAX_HEADERS: usize = 100;
/// Bytes of its head.
pub(crate) const MAX_HEAD: usize = 64 * 1024;

/// What its readers want to know of an answer.
#[derive(Debug)]
pub struct Head {
    /// Its status.
    pub status: StatusCode,
    /// Of the body, where it is known.
    pub length: Option<u64>,
    /// What its text is written in.
    pub charset: &'static Encoding,
    /// Bytes of the head itself.
    pub size: usize,
}

/// What was found.
#[derive(Debug)]
pub(crate) enum Found {
    /// An answer, how its body ends, and whether the connection may be used behind it.
    Answer(Head, Framing, bool),
    /// One ahead of the answer (1xx), of so many bytes.
    Interim(usize),
}

/// Reads a head; `None` while it is not complete. `to_head`: the request was HEAD.
pub(crate) fn parse(bytes: &[u8], to_head: bool) -> Result<Option<Found>, Trouble> {
    if bytes.first().is_some_and(|first| *first != b'H') {
        return Err(Trouble::wrong("the answer is not HTTP/1.1"));
    }
    let mut room = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let Some((size, read)) = read(bytes, &mut room)? else { return Ok(None) };
    if size > MAX_HEAD {
        return Err(too_large());
    }
    let status = read.code.and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or_else(|| Trouble::wrong("the answer's status is none"))?;
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(Trouble::wrong("the answer switches to a protocol that nobody asked for"));
    }
    if status.is_informational() {
        return Ok(Some(Found::Interim(size)));
    }
    let said = Said::by(read.headers);
    let is_current = read.version == Some(1);
    let has_body = !to_head && !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let framing = if has_body { said.framing(is_current)? } else { Framing::Length(0) };
    let length = match framing {
        Framing::Length(length) => Some(length),
        Framing::Chunked(_) | Framing::ToClose => None,
    };
    let head = Head { status, length, charset: charset(said.content_type), size };
    Ok(Some(Found::Answer(head, framing, is_current && said.keeps())))
}

/// The headers of a head that was read before.
pub fn fields(head: &[u8]) -> HeaderMap {
    let mut room = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let Ok(Some((_, read))) = read(head, &mut room) else { return HeaderMap::new() };
    let field = |header: &Header<'_>| {
        Some((HeaderName::from_bytes(header.name.as_bytes()).ok()?, HeaderValue::from_bytes(header.value).ok()?))
    };
    // `extend` would let a name's second value replace its first.
    let mut fields = HeaderMap::with_capacity(read.headers.len());
    for (name, value) in read.headers.iter().filter_map(field) {
        fields.append(name, value);
    }
    fields
}

/// Whether a head may end behind the first `known` bytes, which were looked at before.
pub(crate) fn may_end(bytes: &[u8], known: usize) -> bool {
    let from = known.saturating_sub(2);
    let mut ends = bytes.iter().enumerate().skip(from).filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    ends.any(|next| bytes[next..].starts_with(b"\n") || bytes[next..].starts_with(b"\r\n"))
}

/// What is said of a head that has no end.
pub(crate) fn too_large() -> Trouble {
    Trouble::wrong("the answer's head is larger than 64 KiB")
}

/// Whether a list of words holds this one.
pub(crate) fn names(list: &[u8], word: &str) -> bool {
    words(list).any(|one| one.eq_ignore_ascii_case(word.as_bytes()))
}

fn words(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

type Room<'b> = [MaybeUninit<Header<'b>>; MAX_HEADERS];

fn read<'h, 'b>(bytes: &'b [u8], room: &'h mut Room<'b>) -> Result<Option<(usize, Response<'h, 'b>)>, Trouble> {
    let mut read = Response::new(&mut []);
    match ParserConfig::default().parse_response_with_uninit_headers(&mut read, bytes, room) {
        Ok(Status::Complete(size)) => Ok(Some((size, read))),
        Ok(Status::Partial) => Ok(None),
        Err(error) => Err(unreadable(error, bytes)),
    }
}

fn unreadable(error: httparse::Error, bytes: &[u8]) -> Trouble {
    match error {
        httparse::Error::TooManyHeaders => Trouble::wrong("the answer has more than 100 headers"),
        httparse::Error::Version => Trouble::wrong("the answer is not HTTP/1.1"),
        httparse::Error::HeaderName if bytes.windows(2).any(|pair| matches!(pair, b"\n " | b"\n\t")) => {
            Trouble::wrong("a header of the answer goes on in another line")
        }
        other => Trouble::wrong(format!("the answer's head is unreadable: {other}")),
    }
}

/// What the headers say of the connection and the body.
#[derive(Default)]
struct Said<'b> {
    length: Length,
    /// Whether chunked is the last of the codings, if there are any.
    coding: Option<bool>,
    closes: bool,
    content_type: Option<&'b [u8]>,
}

#[derive(Clone, Copy, Default)]
enum Length {
    #[default]
    Untold,
    Told(u64),
    /// Several, or something that is no number.
    Unclear,
}

impl<'b> Said<'b> {
    fn by(headers: &[Header<'b>]) -> Said<'b> {
        let mut said = Said::default();
        for header in headers {
            let (name, value) = (header.name, header.value);
            // The length tells most of them apart.
            match name.len() {
                10 if name.eq_ignore_ascii_case("connection") => said.closes |= names(value, "close"),
                12 if name.eq_ignore_ascii_case("content-type") => {
                    said.content_type = said.content_type.or(Some(value))
                }
                14 if name.eq_ignore_ascii_case("content-length") => said.length = said.length.and(value),
                17 if name.eq_ignore_ascii_case("transfer-encoding") => {
                    said.coding = Some(words(value).last().is_some_and(|last| last.eq_ignore_ascii_case(b"chunked")));
                }
                _ => {}
            }
        }
        said
    }

    fn framing(&self, is_current: bool) -> Result<Framing, Trouble> {
        match (self.coding, self.length) {
            (Some(_), _) if !is_current => Err(Trouble::wrong("an answer of HTTP/1.0 has a transfer-encoding")),
            (Some(true), _) => Ok(Framing::Chunked(Chunked::new())),
            (Some(false), _) | (None, Length::Untold) => Ok(Framing::ToClose),
            (None, Length::Told(length)) => Ok(Framing::Length(length)),
            (None, Length::Unclear) => Err(Trouble::wrong("the answer's content-length is not one number")),
        }
    }

    /// Two lengths of one body are how answers are smuggled: nobody should read on behind it.
    fn keeps(&self) -> bool {
        !self.closes && (self.coding.is_none() || matches!(self.length, Length::Untold))
    }
}

impl Length {
    /// Lists and repetitions are one length if all are the same.
    fn and(self, value: &[u8]) -> Length {
        words(value).fold(self, |length, word| match (length, number(word)) {
            (Length::Untold, Some(told)) => Length::Told(told),
            (Length::Told(one), Some(other)) if one == other => length,
            _ => Length::Unclear,
        })
    }
}

fn number(word: &[u8]) -> Option<u64> {
    // `parse` would take a sign, too.
    let digits = word.iter().all(u8::is_ascii_digit).then_some(word)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
