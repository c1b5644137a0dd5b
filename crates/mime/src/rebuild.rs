//! A message made anew from what can be read of another.

use bytes::Bytes;

use crate::error::Error;
use crate::headers::{self, Field};
use crate::ids::{ids, render_ids};
use crate::mailbox::{addresses, render_addresses};
use crate::params::Params;
use crate::part::Part;

/// The most bytes of a line (RFC 5322 section 2.1.1).
const LONGEST_LINE: usize = 998;
const ADDRESSES: [&str; 11] = [
    "From",
    "Sender",
    "Reply-To",
    "To",
    "Cc",
    "Bcc",
    "Resent-From",
    "Resent-Sender",
    "Resent-To",
    "Resent-Cc",
    "Resent-Bcc",
];

impl Part {
    /// Another part with what can be read of this one: every header with its line ends and names put right, coded where it
    /// needs to be; text as UTF-8, everything in an encoding that any way can carry. What is no header is left out; the
    /// parts of a multipart/signed are left as they are, as their signature is about their bytes.
    ///
    /// # Errors
    /// When the outcome is too long.
    pub fn rebuild(&self) -> Result<Part, Error> {
        let headers = |part: &Part| rebuilt_headers(part.headers()).into();
        if self.children().len() == 0 {
            let part = self.rebuilt_leaf()?;
            return Ok(part.with_headers(headers(&part)));
        }
        if self.kind() == "multipart/signed" {
            return Ok(self.with_headers(headers(self)));
        }
        let mut multipart = Part::leaf(headers(self), Bytes::new());
        match self.children().try_for_each(|child| multipart.append(child.rebuild()?)) {
            Ok(()) => Ok(multipart),
            Err(Error::TooLong) => Err(Error::TooLong),
            // Its type is none that could be written.
            Err(_) => Ok(self.clone()),
        }
    }

    /// The same message with every body coded anew that some way would not carry as it is: bytes beyond ASCII, lines
    /// longer than 998 bytes. All others are as they were.
    ///
    /// # Errors
    /// When the outcome is too long.
    pub fn with_bodies_coded(&self) -> Result<Part, Error> {
        if let Some(part) = self.map_children(&mut Part::with_bodies_coded)? {
            return Ok(part);
        }
        let raw = self.raw_body()?;
        let lines = raw.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        if raw.is_ascii() && lines.map(<[u8]>::len).all(|len| len <= LONGEST_LINE) {
            return Ok(self.clone());
        }
        self.rebuilt_leaf()
    }

    fn rebuilt_leaf(&self) -> Result<Part, Error> {
        let mut part = self.clone();
        let kind = self.kind();
        // A multipart in which no part was found is what its sender made of it, and so is a message within this one.
        if kind.starts_with("multipart/") || kind.starts_with("message/") {
            return Ok(part);
        }
        let body = self.body()?;
        let coded = if kind.starts_with("text/") {
            // What nothing says how to read, and is no UTF-8 either, is read as far as that goes.
            part.set_body(String::from_utf8_lossy(&body).as_bytes(), None)
        } else {
            part.set_body(&body, None)
        };
        if coded.is_err() {
            // Its type is none that could be written.
            part.set_body(&body, Some("application/octet-stream"))?;
        }
        Ok(part)
    }
}

fn rebuilt_headers(section: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(section.len());
    for field in headers::fields(section) {
        let name = field.name();
        if !headers::is_name(&name) {
            continue;
        }
        let value = value(&name, &field);
        for piece in [name.as_str(), ": ", value.as_str(), "\r\n"] {
            out.extend_from_slice(piece.as_bytes());
        }
    }
    out
}

fn value(name: &str, field: &Field<'_>) -> String {
    let raw = field.raw().trim_ascii();
    let is_fine = raw.is_ascii() && raw.split(|byte| *byte == b'\n').all(|line| line.len() <= LONGEST_LINE);
    if is_fine && let Ok(text) = std::str::from_utf8(raw) {
        let lines = text.split('\n').map(|line| line.trim_end_matches('\r')).filter(|line| !line.trim().is_empty());
        let folded = lines.collect::<Vec<_>>().join("\r\n");
        if headers::is_one_field(&folded) {
            return folded;
        }
    }
    let is_one_of = |known: &[&str]| known.iter().any(|known| known.eq_ignore_ascii_case(name));
    let structured = if is_one_of(&ADDRESSES) {
        addresses(name, raw).and_then(|list| render_addresses(name, &list)).ok()
    } else if is_one_of(&["Content-Type", "Content-Disposition"]) {
        Params::parse(name, raw).and_then(|params| params.render(name)).ok()
    } else if is_one_of(&["References", "In-Reply-To", "Message-ID", "Content-ID"]) {
        ids(name, raw).and_then(|ids| render_ids(name, &ids)).ok()
    } else {
        None
    };
    // A lone carriage return in the midst of it is white space to whoever reads it.
    structured.unwrap_or_else(|| crate::encode(name, &field.value().replace(|c: char| c.is_control(), " ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rebuilt(mail: &[u8]) -> String {
        let part = Part::parse(mail.to_vec().into()).unwrap();
        String::from_utf8(part.rebuild().unwrap().to_bytes().unwrap()).unwrap()
    }

    #[test]
    fn what_is_fine_stays_and_what_is_not_is_put_right() {
        let fine = "From: A <a@b>\r\nSubject: x\r\n y\r\n\r\nbody\r\n";
        assert_eq!(rebuilt(fine.as_bytes()), fine);
        let odd = "From : J\u{fc}rgen <j@x>\nSubject: caf\u{e9}\nno header\n\nLine\n";
        let made = rebuilt(odd.as_bytes());
        assert!(made.starts_with("From: =?"), "{made}");
        let odd = "Subject : caf\u{e9}\nX: a\rb\n\nstra\u{df}e\n";
        assert_eq!(
            rebuilt(odd.as_bytes()),
            "Subject: =?UTF-8?q?caf=C3=A9?=\r\nX: a b\r\nContent-Type: text/plain; charset=\"utf-8\"\r\n\
             Content-Transfer-Encoding: quoted-printable\r\nMIME-Version: 1.0\r\n\r\nstra=C3=9Fe\r\n"
        );
    }

    #[test]
    fn signed_parts_stay_as_they_are() {
        let signed =
            "Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\nSubject : x\r\n\r\ncaf\u{e9}\n\r\n--b--\r\n";
        assert_eq!(rebuilt(signed.as_bytes()), signed);
        let mixed = signed.replace("signed", "mixed");
        assert!(rebuilt(mixed.as_bytes()).contains("--b\r\nSubject: x\r\n"));
    }
}
