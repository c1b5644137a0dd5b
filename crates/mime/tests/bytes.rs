//! Whatever the mail is, what nobody changed comes out as it went in.

use proptest::prelude::*;
use waybill_mime::{Part, headers};

/// Pieces that mails are made of, whole and broken.
const PIECES: &[&str] = &[
    "Subject: x\r\n",
    "Content-Type: multipart/mixed; boundary=b\r\n",
    "Content-Type: multipart/alternative; boundary=\"b c\"\r\n",
    "content-type: text/plain; charset=iso-8859-1\r\n",
    "Content-Type: text/html\n",
    "Content-Transfer-Encoding: base64\r\n",
    "Content-Transfer-Encoding: quoted-printable\r\n",
    "Content-Disposition: attachment; filename*=utf-8''%C3%A9\r\n",
    " folded\r\n",
    "\r\n",
    "\n",
    "\r",
    "--b\r\n",
    "--b--\r\n",
    "--b c\r\n",
    "--b c--",
    "aGVsbG8=\r\n",
    "=C3=A9 =\r\n",
    "text\r\n",
    "caf\u{e9}",
];

fn mail() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => prop::sample::select(PIECES).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..8),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

fn paths(part: &Part, path: &mut Vec<usize>, found: &mut Vec<Vec<usize>>) {
    found.push(path.clone());
    for (at, child) in part.children().enumerate() {
        path.push(at);
        paths(child, path, found);
        path.pop();
    }
}

/// The ways to all parts.
fn all(part: &Part) -> Vec<Vec<usize>> {
    let mut found = Vec::new();
    paths(part, &mut Vec::new(), &mut found);
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_was_only_read_comes_out_byte_for_byte(mail in mail()) {
        let root = Part::parse(mail.clone().into()).unwrap();
        for path in all(&root) {
            let part = root.get(&path).unwrap();
            drop((part.body().unwrap(), part.content_type(), part.disposition()));
        }
        let structure = root.structure();
        let leaves = all(&root).iter().filter(|path| root.get(path).unwrap().children().len() == 0).count();
        let seen = [&structure.text, &structure.html, &structure.amp_html].into_iter().flatten().count();
        prop_assert_eq!(seen + structure.attachments.len(), leaves);
        prop_assert_eq!(root.to_bytes().unwrap(), mail);
    }

    #[test]
    fn another_body_is_read_back_and_all_others_are_as_they_were(mail in mail(), at in any::<prop::sample::Index>(), text in "[ -~é\n]{0,60}") {
        let before = Part::parse(mail.into()).unwrap();
        let paths = all(&before);
        let leaves: Vec<_> = paths.iter().filter(|path| before.get(path).unwrap().children().len() == 0).collect();
        let path = at.get(&leaves);
        let mut root = before.clone();
        if root.set_body_at(path, text.as_bytes(), None).is_err() {
            prop_assert_eq!(root.to_bytes().unwrap(), before.to_bytes().unwrap());
            return Ok(());
        }
        let after = Part::parse(root.to_bytes().unwrap().into()).unwrap();
        prop_assert_eq!(all(&after), paths.clone());
        for other in &paths {
            let part = after.get(other).unwrap();
            if other == *path {
                let got = String::from_utf8(part.body().unwrap().into_owned()).unwrap();
                prop_assert_eq!(got.replace("\r\n", "\n"), text.clone());
            } else if !path.starts_with(other) {
                prop_assert_eq!(part.to_bytes().unwrap(), before.get(other).unwrap().to_bytes().unwrap());
            }
        }
    }

    #[test]
    fn a_header_that_is_added_and_taken_out_leaves_nothing_behind(mail in mail(), value in "[ -~é]{0,90}") {
        let before = Part::parse([b"Subject: first\r\n", &mail[..], b"\n"].concat().into()).unwrap();
        prop_assert!(before.headers().ends_with(b"\n"));
        let mut root = before.clone();
        let value = Part::header_text("X-Probe", &value).unwrap();
        root.set_headers(headers::prepend(root.headers(), "X-Probe", &value));
        let rest = headers::without(root.headers(), |field| field.is("X-Probe")).unwrap();
        root.set_headers(rest);
        prop_assert_eq!(root.headers(), before.headers());
    }

    #[test]
    fn what_is_made_anew_is_a_message_that_any_way_can_carry(mail in mail()) {
        let root = Part::parse(mail.into()).unwrap();
        let made = root.rebuild().unwrap();
        for path in all(&made) {
            let part = made.get(&path).unwrap();
            prop_assert!(part.headers().is_ascii(), "{:?}", part.headers());
            prop_assert_eq!(headers::fields(part.headers()).map(|field| field.whole().len()).sum::<usize>(), part.headers().len());
        }
        prop_assert!(Part::parse(made.to_bytes().unwrap().into()).is_ok());
    }
}
