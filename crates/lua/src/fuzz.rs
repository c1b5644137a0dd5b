//! What scripts do to the bytes of a message, as a function that may be fed anything.

use crate::message::text::{Kind, appended};
use bytes::Bytes;
use waybill_mime::Part;
use waybill_mime::headers::{Field, append, fields, prepend, section, without};

/// Words that a message is likely to hold.
pub const WORDS: &[&str] = &[
    "\r\n",
    "\r\n\r\n",
    "\n\n",
    "Subject: x\r\n",
    "X-Probe: y\r\n",
    " folded\r\n",
    "\tfolded\r\n",
    ":",
    "=?utf-8?q?=C3=A9?=",
    "From: \"J\" <a@b>, c: d@e;\r\n",
    "Content-Type: text/plain; charset=utf-8\r\n",
    "Content-Type: text/html\r\n",
    "Content-Type: multipart/mixed; boundary=b\r\n",
    "Content-Type: message/rfc822\r\n",
    "Content-Transfer-Encoding: base64\r\n",
    "Content-Transfer-Encoding: quoted-printable\r\n",
    "--b\r\n",
    "--b--\r\n",
    "aGVsbG8=",
    "</body>",
];

/// Editing one header leaves every other byte as it was; what is appended to a text is there.
///
/// # Panics
/// When that does not hold.
pub fn mime_headers(data: &[u8]) {
    let before = told(data);
    for (_, field) in &before {
        assert!(contains(data, field));
    }
    fields(data).for_each(|field| drop((field.name(), field.value())));
    removing(data, &before);
    adding(data, &before);
    texts(data);
}

/// Names in lower case, values with their line ends.
type Told = Vec<(String, Vec<u8>)>;

fn told(data: &[u8]) -> Told {
    let told = |field: &Field<'_>| (field.name().to_ascii_lowercase(), field.raw().to_vec());
    fields(data).map(|field| told(&field)).collect()
}

fn removing(data: &[u8], before: &Told) {
    assert_eq!(without(data, |_| false), None);
    for (name, _) in before.iter().take(4) {
        let rest = without(data, |field| field.name().eq_ignore_ascii_case(name)).expect("there is one");
        let mut left = before.clone();
        left.retain(|(other, _)| other != name);
        assert_eq!(told(&rest), left, "without {name}");
        assert!(data.ends_with(body(data)) && rest.ends_with(body(data)), "without {name} the body is another");
    }
}

fn adding(data: &[u8], before: &Told) {
    let added = ("x-probe".to_owned(), b" y\r\n".to_vec());
    let first = prepend(data, "X-Probe", "y");
    assert!(first.ends_with(data));
    if !data.starts_with(b" ") && !data.starts_with(b"\t") {
        assert_eq!(told(&first), [vec![added.clone()], before.clone()].concat());
    }
    let Some(last) = append(data, "X-Probe", "y") else { return };
    assert!(last.starts_with(section(data)) && last.ends_with(body(data)));
    // Behind something that is no header nobody looks for one.
    if before.iter().map(|(_, value)| value.len()).sum::<usize>() > 0 && reaches_end(data) {
        assert_eq!(told(&last), [before.clone(), vec![added]].concat());
    }
}

/// Whether all of the header section is headers.
fn reaches_end(data: &[u8]) -> bool {
    let mut lines = section(data).split_inclusive(|byte| *byte == b'\n');
    lines.all(|line| line.contains(&b':') || line.starts_with(b" ") || line.starts_with(b"\t"))
}

fn body(data: &[u8]) -> &[u8] {
    &data[section(data).len()..]
}

fn texts(data: &[u8]) {
    let data = Bytes::copy_from_slice(data);
    for kind in [Kind::Plain, Kind::Html] {
        let Ok(Some(more)) = appended(&data, "APPENDED", kind) else { continue };
        let root = Part::parse(more).expect("a message with more text is one");
        let structure = root.structure();
        let path = if kind == Kind::Plain { structure.text } else { structure.html }.expect("it is there still");
        let body = root.get(&path).expect("it is there still").body().expect("it is short");
        assert!(contains(&body, b"APPENDED"), "what was appended is not there");
    }
}

fn contains(data: &[u8], wanted: &[u8]) -> bool {
    wanted.is_empty() || data.windows(wanted.len()).any(|part| part == wanted)
}
