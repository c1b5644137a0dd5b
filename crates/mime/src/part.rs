//! The tree.

use bytes::Bytes;
use std::borrow::Cow;

use crate::body::{self, Coded, Transfer};
use crate::boundary::delimited;
use crate::error::Error;
use crate::headers;
use crate::params::Params;

/// Multiparts within multiparts that are followed. Mail that people write has three or four.
pub const MAX_DEPTH: usize = 100;
/// Parts of a message.
pub const MAX_PARTS: usize = 10_000;
/// Bytes that a message may come to.
pub const MAX_BYTES: usize = 256 * 1024 * 1024;

/// The way from a part to one below it: which child, and which of that one, from 0 on.
pub type Path = Vec<usize>;

/// A part with all that is below it; the whole message is one.
///
/// What was parsed shares the bytes that it was parsed from.
#[derive(Clone, Debug)]
pub struct Part {
    /// Header fields with their line ends.
    headers: Bytes,
    /// The empty line behind them; nothing in a part that has none.
    separator: Bytes,
    body: Body,
}

#[derive(Clone, Debug)]
enum Body {
    /// As it stands there, coded.
    Leaf(Bytes),
    Multi {
        /// Up to the line that begins the first part, included.
        preamble: Bytes,
        children: Vec<Child>,
        epilogue: Bytes,
    },
}

#[derive(Clone, Debug)]
struct Child {
    part: Part,
    /// The line that ends it, with the line end in front.
    behind: Bytes,
}

impl Part {
    /// Takes a message apart.
    ///
    /// A multipart whose boundary is missing, or nowhere in it, has one body like any other part.
    ///
    /// # Errors
    /// When there is more of it than anybody writes, or a Content-Type that is too long to be read: parts behind that
    /// would be seen by others and not by us.
    pub fn parse(message: Bytes) -> Result<Part, Error> {
        let mut left = MAX_PARTS;
        Part::parse_at(&message, 0, &mut left)
    }

    fn parse_at(bytes: &Bytes, depth: usize, left: &mut usize) -> Result<Part, Error> {
        *left = left.checked_sub(1).ok_or(Error::TooManyParts)?;
        let (headers, separator, body) = split(bytes);
        let body = match boundary_of(&headers)? {
            Some(boundary) if depth < MAX_DEPTH => Body::parse(body, &boundary, depth, left)?,
            Some(boundary) if delimited(&body, &boundary).next().is_some() => return Err(Error::TooDeep),
            _ => Body::Leaf(body),
        };
        Ok(Part { headers, separator, body })
    }

    /// A part of its headers and its body, which is coded already.
    pub(crate) fn leaf(headers: Bytes, body: impl Into<Bytes>) -> Part {
        Part { headers, separator: Bytes::from_static(b"\r\n"), body: Body::Leaf(body.into()) }
    }

    /// The header fields, without the empty line behind them.
    pub fn headers(&self) -> &Bytes {
        &self.headers
    }

    /// Puts other header fields in the place of all.
    pub fn set_headers(&mut self, headers: Bytes) {
        self.headers = headers;
        self.settle();
    }

    /// The same body behind other headers, and an empty line as RFC 5322 has it.
    pub(crate) fn with_headers(&self, headers: Bytes) -> Part {
        Part { headers, separator: Bytes::from_static(b"\r\n"), body: self.body.clone() }
    }

    /// One field of this name, and no other, with a value that is ready for the wire.
    pub fn set_header(&mut self, name: &str, value: &str) {
        self.set_headers(headers::set(&self.headers, name, value));
    }

    /// A part that was made or changed has an empty line between headers and body.
    fn settle(&mut self) {
        if !self.headers.is_empty() && !self.headers.ends_with(b"\n") {
            self.headers = [&self.headers[..], b"\r\n"].concat().into();
        }
        if self.separator.is_empty() {
            self.separator = Bytes::from_static(b"\r\n");
        }
    }

    /// What Content-Type says; text/plain where there is none (RFC 2045 section 5.2).
    ///
    /// # Errors
    /// When the header says nothing that can be read.
    pub fn content_type(&self) -> Result<Params, Error> {
        match headers::first(&self.headers, "Content-Type") {
            Some(field) => Params::parse("Content-Type", field.raw()),
            None => Ok(Params::new("text/plain")),
        }
    }

    /// What Content-Disposition says, where there is one that can be read.
    pub fn disposition(&self) -> Option<Params> {
        let field = headers::first(&self.headers, "Content-Disposition")?;
        Params::parse("Content-Disposition", field.raw()).ok()
    }

    /// Whether the Content-Type is multipart/something.
    pub fn is_multipart(&self) -> bool {
        self.content_type().is_ok_and(|kind| kind.value.starts_with("multipart/"))
    }

    /// The type in lower case, without parameters; application/octet-stream where it says nothing that can be read
    /// (RFC 2045 section 5.2 leaves that open).
    pub(crate) fn kind(&self) -> String {
        self.content_type().map_or_else(|_| "application/octet-stream".to_owned(), |kind| kind.value)
    }

    fn transfer(&self) -> Transfer {
        let field = headers::first(&self.headers, "Content-Transfer-Encoding");
        let named = field.and_then(|field| Params::parse("Content-Transfer-Encoding", field.raw()).ok());
        named.map_or(Transfer::Identity, |named| Transfer::named(&named.value))
    }

    /// The body as it stands there, coded; that of a multipart with all its parts.
    ///
    /// # Errors
    /// When that is too long.
    pub fn raw_body(&self) -> Result<Bytes, Error> {
        match &self.body {
            Body::Leaf(body) => Ok(body.clone()),
            Body::Multi { .. } => {
                let mut out = Vec::with_capacity(self.checked_len()?);
                self.write_body(&mut out);
                Ok(out.into())
            }
        }
    }

    /// The body, decoded: text in UTF-8 where its character set is known, anything else as bytes. That of a multipart is
    /// what stands there.
    ///
    /// # Errors
    /// When that is too long.
    pub fn body(&self) -> Result<Cow<'_, [u8]>, Error> {
        let Body::Leaf(body) = &self.body else { return self.raw_body().map(|body| Cow::Owned(body.to_vec())) };
        let decoded = self.transfer().decode(body);
        Ok(match self.content_type() {
            Ok(kind) if kind.value.starts_with("text/") => body::to_utf8(decoded, kind.get("charset")),
            _ => decoded,
        })
    }

    /// Puts another body in the place of what is there, coded as it has to be. A type that is given takes the place of the
    /// type that the part has; without one, a part that has no type gets text/plain or application/octet-stream, by what
    /// the content is. Text is UTF-8, and its line ends become CRLF.
    ///
    /// # Errors
    /// When the type is none, or is that of a multipart: that has parts and no content of its own.
    pub fn set_body(&mut self, content: &[u8], kind: Option<&str>) -> Result<(), Error> {
        let text = std::str::from_utf8(content).ok();
        let has_type = headers::first(&self.headers, "Content-Type").is_some();
        let mut params = match kind {
            Some(kind) => Params::given("Content-Type", kind)?,
            None if has_type => self.content_type()?,
            None if text.is_some() => Params::new("text/plain"),
            None => Params::new("application/octet-stream"),
        };
        if params.value.starts_with("multipart/") {
            return Err(Error::value(format!(
                "a part of type {} has parts and no content of its own; give the new content a type, such as text/plain",
                params.value
            )));
        }
        let text = text.filter(|_| params.value.starts_with("text/"));
        let charset = match text {
            Some(text) if !text.is_ascii() => Some("utf-8"),
            Some(_) if !body::keeps_ascii(params.get("charset")) => Some("utf-8"),
            _ => None,
        };
        let known = params.get("charset").map(str::to_ascii_lowercase);
        let changes = charset.is_some_and(|charset| known.as_deref() != Some(charset));
        if let Some(charset) = charset.filter(|_| changes) {
            params.set("charset", charset);
        }
        if kind.is_some() || changes || (!has_type && text.is_none()) {
            self.set_header("Content-Type", &params.render("Content-Type")?);
        }
        self.put(match text {
            Some(text) => body::code_text(text),
            // A message within a message is coded by its own parts (RFC 2046 section 5.2.1).
            None if params.value.starts_with("message/") => body::as_it_is(content),
            None => body::code_bytes(content),
        });
        Ok(())
    }

    /// [`Part::set_body`] of the part at the end of a way.
    ///
    /// # Errors
    /// Likewise; also when there is no such part, or the content would be cut by the boundary of a multipart around it.
    /// Then nothing has changed.
    pub fn set_body_at(&mut self, path: &[usize], content: &[u8], kind: Option<&str>) -> Result<(), Error> {
        let mut part = self.get(path).ok_or(Error::Gone)?.clone();
        part.set_body(content, kind)?;
        let body = part.raw_body()?;
        for len in 0..path.len() {
            let around = self.get(&path[..len]).ok_or(Error::Gone)?.content_type()?;
            if let Some(boundary) = boundary(&around).filter(|boundary| delimited(&body, boundary).preamble() > 0) {
                return Err(Error::BoundaryInside(boundary.to_owned()));
            }
        }
        *self.get_mut(path).ok_or(Error::Gone)? = part;
        Ok(())
    }

    fn put(&mut self, coded: Coded) {
        let named = headers::first(&self.headers, "Content-Transfer-Encoding").is_some();
        if coded.name != "7bit" || named {
            self.set_header("Content-Transfer-Encoding", coded.name);
            self.mark();
        }
        self.body = Body::Leaf(coded.body.into());
        self.settle();
    }

    /// A message that says how it is coded says so as MIME, or nobody looks. A part of one has nothing but `Content-`.
    pub(crate) fn mark(&mut self) {
        let is_message = headers::fields(&self.headers)
            .any(|field| !field.name_bytes().get(..8).is_some_and(|start| start.eq_ignore_ascii_case(b"content-")));
        if is_message && headers::first(&self.headers, "MIME-Version").is_none() {
            self.set_header("MIME-Version", "1.0");
        }
    }

    /// The parts in this one.
    pub fn children(&self) -> impl ExactSizeIterator<Item = &Part> {
        let children = match &self.body {
            Body::Leaf(_) => &[][..],
            Body::Multi { children, .. } => children,
        };
        children.iter().map(|child| &child.part)
    }

    /// The part at the end of this way.
    pub fn get(&self, path: &[usize]) -> Option<&Part> {
        path.iter().try_fold(self, |part, at| match &part.body {
            Body::Leaf(_) => None,
            Body::Multi { children, .. } => children.get(*at).map(|child| &child.part),
        })
    }

    /// The part at the end of this way, to be changed.
    pub fn get_mut(&mut self, path: &[usize]) -> Option<&mut Part> {
        path.iter().try_fold(self, |part, at| match &mut part.body {
            Body::Leaf(_) => None,
            Body::Multi { children, .. } => children.get_mut(*at).map(|child| &mut child.part),
        })
    }

    /// Puts a part behind the parts of this multipart.
    ///
    /// # Errors
    /// When this is no multipart, or what is added is too much, or would be cut by the boundary.
    pub fn append(&mut self, part: Part) -> Result<(), Error> {
        let mut kind = self.content_type()?;
        if !kind.value.starts_with("multipart/") {
            return Err(Error::NotMultipart(kind.value));
        }
        let boundary = match boundary(&kind) {
            Some(boundary) => boundary.to_owned(),
            None => {
                let made = crate::make::boundary();
                kind.set("boundary", made.as_str());
                self.set_header("Content-Type", &kind.render("Content-Type")?);
                made
            }
        };
        if part.height() >= MAX_DEPTH {
            return Err(Error::TooDeep);
        }
        if self.count() + part.count() > MAX_PARTS {
            return Err(Error::TooManyParts);
        }
        let bytes = part.to_bytes()?;
        if delimited(&bytes, &boundary).preamble() > 0 {
            return Err(Error::BoundaryInside(boundary));
        }
        self.body.append(part, &boundary);
        self.settle();
        Ok(())
    }

    /// Levels of parts below this one.
    pub fn height(&self) -> usize {
        self.children().map(|child| child.height() + 1).max().unwrap_or(0)
    }

    /// This part and all below it.
    pub fn count(&self) -> usize {
        1 + self.children().map(Part::count).sum::<usize>()
    }

    fn is_empty(&self) -> bool {
        self.headers.is_empty()
            && self.separator.is_empty()
            && matches!(&self.body, Body::Leaf(body) if body.is_empty())
    }

    fn len(&self) -> usize {
        let body = match &self.body {
            Body::Leaf(body) => body.len(),
            Body::Multi { preamble, children, epilogue } => {
                let children = children.iter().map(|child| child.part.len().saturating_add(child.behind.len()));
                children.fold(preamble.len() + epilogue.len(), usize::saturating_add)
            }
        };
        body.saturating_add(self.headers.len() + self.separator.len())
    }

    fn checked_len(&self) -> Result<usize, Error> {
        Some(self.len()).filter(|len| *len <= MAX_BYTES).ok_or(Error::TooLong)
    }

    /// The part as RFC 5322 has it. What was not changed is what was parsed, byte for byte.
    ///
    /// # Errors
    /// When that is too long.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let mut out = Vec::with_capacity(self.checked_len()?);
        self.write(&mut out);
        Ok(out)
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.headers);
        out.extend_from_slice(&self.separator);
        self.write_body(out);
    }

    fn write_body(&self, out: &mut Vec<u8>) {
        match &self.body {
            Body::Leaf(body) => out.extend_from_slice(body),
            Body::Multi { preamble, children, epilogue } => {
                out.extend_from_slice(preamble);
                for child in children {
                    // Where nothing was, the lines of the boundary stood side by side, or the last had no end.
                    let is_empty = child.part.is_empty();
                    if !is_empty {
                        headers::end_line(out);
                    }
                    child.part.write(out);
                    if !is_empty && child.behind.starts_with(b"-") {
                        out.extend_from_slice(b"\r\n");
                    }
                    out.extend_from_slice(&child.behind);
                }
                out.extend_from_slice(epilogue);
            }
        }
    }

    /// The same part with others below it, each made of one that is there.
    pub(crate) fn map_children(
        &self,
        make: &mut impl FnMut(&Part) -> Result<Part, Error>,
    ) -> Result<Option<Part>, Error> {
        let Body::Multi { preamble, children, epilogue } = &self.body else { return Ok(None) };
        let child = |child: &Child| Ok(Child { part: make(&child.part)?, behind: child.behind.clone() });
        let children = children.iter().map(child).collect::<Result<_, Error>>()?;
        let body = Body::Multi { preamble: preamble.clone(), children, epilogue: epilogue.clone() };
        Ok(Some(Part { headers: self.headers.clone(), separator: self.separator.clone(), body }))
    }
}

impl Body {
    fn parse(body: Bytes, boundary: &str, depth: usize, left: &mut usize) -> Result<Body, Error> {
        let parts = delimited(&body, boundary);
        let (preamble, mut end) = (parts.preamble(), parts.preamble());
        let mut children = Vec::new();
        for (part, behind) in parts {
            let part = Part::parse_at(&body.slice(part), depth + 1, left)?;
            end = behind.end;
            children.push(Child { part, behind: body.slice(behind) });
        }
        if children.is_empty() {
            return Ok(Body::Leaf(body));
        }
        Ok(Body::Multi { preamble: body.slice(..preamble), children, epilogue: body.slice(end..) })
    }

    fn append(&mut self, part: Part, boundary: &str) {
        let next = format!("\r\n--{boundary}\r\n");
        let last = format!("\r\n--{boundary}--\r\n");
        match self {
            // What stood in a multipart without parts stands in front of them.
            Body::Leaf(before) => {
                let mut preamble = before.to_vec();
                headers::end_line(&mut preamble);
                preamble.extend_from_slice(&next.as_bytes()[2..]);
                let children = vec![Child { part, behind: last.into() }];
                *self = Body::Multi { preamble: preamble.into(), children, epilogue: Bytes::new() };
            }
            Body::Multi { children, .. } => {
                let ended = children.last().is_some_and(|child| child.behind.trim_ascii_end().ends_with(b"--"));
                let before = children.last_mut().map(|child| std::mem::replace(&mut child.behind, next.into()));
                children.push(Child { part, behind: before.filter(|_| ended).unwrap_or_else(|| last.into()) });
            }
        }
    }
}

/// Headers, the empty line behind them, the body. Headers end where something begins that is none.
fn split(bytes: &Bytes) -> (Bytes, Bytes, Bytes) {
    let headers = headers::end_of_fields(bytes);
    let rest = &bytes[headers..];
    let blank = if rest.starts_with(b"\r\n") { 2 } else { usize::from(rest.starts_with(b"\n")) };
    (bytes.slice(..headers), bytes.slice(headers..headers + blank), bytes.slice(headers + blank..))
}

/// The boundary of a multipart that has one.
fn boundary_of(section: &[u8]) -> Result<Option<String>, Error> {
    let Some(field) = headers::first(section, "Content-Type") else { return Ok(None) };
    let says_multipart = field.raw().windows(9).any(|word| word.eq_ignore_ascii_case(b"multipart"));
    if !says_multipart {
        return Ok(None);
    }
    let kind = Params::parse("Content-Type", field.raw())?;
    let is_multipart = kind.value.starts_with("multipart/");
    Ok(boundary(&kind).filter(|_| is_multipart).map(str::to_owned))
}

fn boundary(kind: &Params) -> Option<&str> {
    kind.get("boundary").map(str::trim_end).filter(|boundary| !boundary.is_empty())
}
