//! Messages as trees of parts.

use bytes::Bytes;
use waybill_mime::{AuthenticationResults, Params, Part, addresses, headers, ids, render_addresses, render_ids};

pub(crate) const WORDS: &[&str] = &[
    "\r\n",
    "\r\n\r\n",
    "\n\n",
    " folded\r\n",
    "From: \"J\" <a@b>, c: d@e;\r\n",
    "Subject: =?utf-8?q?=C3=A9?=\r\n",
    "References: <a@b> <c@d>\r\n",
    "Authentication-Results: mx; spf=pass (x) smtp.mailfrom=a@b\r\n",
    "Content-Type: multipart/mixed; boundary=b\r\n",
    "Content-Type: multipart/related; boundary=\"b c\"\r\n",
    "Content-Type: text/plain; charset=iso-8859-1\r\n",
    "Content-Type: text/html; charset=utf-16\r\n",
    "Content-Type: message/rfc822\r\n",
    "Content-Disposition: attachment; filename*0*=utf-8''%C3%A9; filename*1=x\r\n",
    "Content-Transfer-Encoding: base64\r\n",
    "Content-Transfer-Encoding: quoted-printable\r\n",
    "--b\r\n",
    "--b--\r\n",
    "--b c\r\n",
    "aGVsbG8=\r\n",
    "=C3=A9=\r\n",
];
/// What every part is to be able to hold.
const CONTENT: &str = "--b\r\nContent-Type: x/evil\r\n\r\n\u{e9}\r\n--b--\r\n";

/// What was only read comes out as it was; a change is seen where it was made and nowhere else; whatever a header says, what
/// is written of it is one header.
pub(crate) fn mime_parts(data: &[u8]) {
    let data = Bytes::copy_from_slice(data);
    let Ok(root) = Part::parse(data.clone()) else { return };
    assert_eq!(root.to_bytes().expect("as long as it was"), data);
    let structure = root.structure();
    let seen = [&structure.text, &structure.html, &structure.amp_html].into_iter().flatten();
    for path in seen.chain(structure.attachments.iter().map(|found| &found.path)) {
        let part = root.get(path).expect("what is seen is there");
        let body = part.body().expect("no longer than its message");
        assert!(body.len() <= 4 * data.len() + 16, "{} bytes became {}", data.len(), body.len());
        values(part);
        holds(&root, path);
    }
    let rebuilt = root.rebuild().expect("not much longer").to_bytes().expect("not much longer");
    assert!(rebuilt.len() <= 16 * data.len() + 4096, "{} bytes became {}", data.len(), rebuilt.len());
    assert!(Part::parse(rebuilt.into()).is_ok());
}

/// Another body in the part at `path` is that part's body and ends no part.
fn holds(root: &Part, path: &[usize]) {
    let mut changed = root.clone();
    let Ok(()) = changed.set_body_at(path, CONTENT.as_bytes(), None) else { return };
    let read = Part::parse(changed.to_bytes().expect("not much longer").into()).expect("no more parts than there were");
    assert_eq!(read.count(), root.count());
    let body = read.get(path).expect("it is there").body().expect("it is short").into_owned();
    assert_eq!(body, CONTENT.as_bytes());
}

fn values(part: &Part) {
    for field in headers::fields(part.headers()) {
        let (name, raw) = (field.name(), field.raw());
        let written = [
            Some(Part::header_text("X", &field.value().replace(['\r', '\n', '\0'], " ")).expect("one line")),
            addresses(&name, raw).ok().map(|list| render_addresses("X", &list).expect("what was read can be written")),
            ids(&name, raw).ok().map(|ids| render_ids("X", &ids).expect("what was read can be written")),
            Params::parse(&name, raw).and_then(|params| params.render("X")).ok(),
        ];
        for value in written.iter().flatten() {
            assert!(headers::is_one_field(value), "{value:?} is more than one header");
        }
        drop(AuthenticationResults::parse(raw));
    }
}
