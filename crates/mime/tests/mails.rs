//! Mails as people send them: read, changed in one place, and all else as it was.

use waybill_mime::{Error, MAX_DEPTH, MAX_PARTS, Part, headers};

/// As a mail program sends a letter with a page, a picture in it and two files.
const LETTER: &str = "Return-Path: <ada@example.org>\r\n\
    Received: from mx.example.org (mx.example.org [192.0.2.1])\r\n\tby in.example.com; Thu, 5 Mar 2026 10:00:00 +0100\r\n\
    From: =?utf-8?Q?J=C3=BCrgen_M=C3=BCller?= <juergen@example.org>\r\n\
    To: \"Lovelace, Ada\" <ada@example.com>,\r\n\tbob@example.com\r\n\
    Subject: =?iso-8859-1?Q?Gr=FC=DFe?= aus\r\n =?utf-8?B?S8O2bG4=?=\r\n\
    Message-ID: <letter@example.org>\r\n\
    MIME-Version: 1.0\r\n\
    Content-Type: multipart/mixed;\r\n\tboundary=\"----=_Part 1\"\r\n\
    \r\n\
    This is a multi-part message in MIME format.\r\n\
    ------=_Part 1\r\n\
    Content-Type: multipart/alternative; boundary=\"----=_Part 11\"\r\n\
    \r\n\
    ------=_Part 11\r\n\
    Content-Type: text/plain; charset=ISO-8859-1; format=flowed; delsp=yes\r\n\
    Content-Transfer-Encoding: quoted-printable\r\n\
    \r\n\
    Sch=F6ne Gr=FC=DFe aus=20\r\nK=F6ln =\r\nvon mir.\r\n--=20\r\nJ=FCrgen\r\n\
    ------=_Part 11\r\n\
    Content-Type: multipart/related; boundary=rel; type=\"text/html\"\r\n\
    \r\n\
    --rel\r\n\
    Content-Type: text/html; charset=utf-8\r\n\
    Content-Transfer-Encoding: 8bit\r\n\
    \r\n\
    <html><body>Sch\u{f6}ne <img src=\"cid:dom@example.org\"></body></html>\r\n\
    --rel\r\n\
    Content-Type: image/gif; name=dom.gif\r\n\
    Content-Transfer-Encoding: base64\r\n\
    Content-ID: <dom@example.org>\r\n\
    Content-Disposition: inline\r\n\
    \r\n\
    R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7\r\n\
    --rel--\r\n\
    ------=_Part 11--\r\n\
    \r\n\
    ------=_Part 1\r\n\
    Content-Type: application/pdf; name=\"=?utf-8?Q?alt.pdf?=\"\r\n\
    Content-Disposition: attachment;\r\n filename*0*=UTF-8'de'Jahresabschlu%C3%9F%20;\r\n filename*1=\"2024.pdf\"\r\n\
    Content-Transfer-Encoding: base64\r\n\
    \r\n\
    JVBERi0xLjQK\r\n\
    ------=_Part 1\r\n\
    Content-Type: message/rfc822\r\n\
    Content-Disposition: attachment\r\n\
    \r\n\
    From: x@y\r\nContent-Type: multipart/mixed; boundary=z\r\n\r\n--z\r\n\r\nwithin\r\n--z--\r\n\
    ------=_Part 1--\r\n\
    epilogue\r\n";

fn parse(mail: &str) -> Part {
    Part::parse(mail.as_bytes().to_vec().into()).unwrap()
}

fn text(part: &Part) -> String {
    String::from_utf8(part.to_bytes().unwrap()).unwrap()
}

fn body(root: &Part, path: &[usize]) -> String {
    String::from_utf8(root.get(path).unwrap().body().unwrap().into_owned()).unwrap()
}

#[test]
fn a_letter_comes_apart_and_out_again_as_it_was() {
    let root = parse(LETTER);
    assert_eq!(text(&root), LETTER);
    let structure = root.structure();
    let (plain, html) = (structure.text.unwrap(), structure.html.unwrap());
    assert_eq!((&plain[..], &html[..]), (&[0, 0][..], &[0, 1, 0][..]));
    assert_eq!(body(&root, &plain), "Schöne Grüße aus \r\nKöln von mir.\r\n-- \r\nJürgen");
    assert!(body(&root, &html).starts_with("<html><body>Schöne "));
    let found: Vec<_> = structure
        .attachments
        .iter()
        .map(|found| {
            (found.content_type.as_str(), found.file_name.as_deref(), found.inline, found.content_id.as_deref())
        })
        .collect();
    let expected = [
        ("image/gif", Some("dom.gif"), true, Some("dom@example.org")),
        ("application/pdf", Some("Jahresabschluß 2024.pdf"), false, None),
        ("message/rfc822", None, false, None),
    ];
    assert_eq!(found, expected);
    assert_eq!(&*root.get(&structure.attachments[0].path).unwrap().body().unwrap(), &include_bytes!("pixel.gif")[..]);
    assert!(body(&root, &structure.attachments[2].path).ends_with("within\r\n--z--"));
    let subject = headers::first(root.headers(), "subject").unwrap().value();
    assert_eq!(subject, "Grüße aus Köln");
}

#[test]
fn another_text_in_one_part_changes_that_part_alone() {
    let mut root = parse(LETTER);
    root.set_body_at(&[0, 0], "Viele Grüße — aus Köln \r\nund anderswo".as_bytes(), None).unwrap();
    let changed = text(&root);
    let (start, end) = (
        LETTER.find("Content-Type: text/plain").unwrap(),
        LETTER.find("\r\n------=_Part 11\r\nContent-Type: multipart/related").unwrap(),
    );
    assert!(changed.starts_with(&LETTER[..start]) && changed.ends_with(&LETTER[end..]), "{changed}");
    let part = &changed[start..changed.len() - (LETTER.len() - end)];
    assert_eq!(
        part,
        "Content-Type: text/plain; charset=\"utf-8\"; format=\"flowed\"; delsp=\"yes\"\r\n\
         Content-Transfer-Encoding: quoted-printable\r\n\r\n\
         Viele Gr=C3=BC=C3=9Fe =E2=80=94 aus K=C3=B6ln=20\r\nund anderswo"
    );
    assert_eq!(body(&parse(&changed), &[0, 0]), "Viele Grüße — aus Köln \r\nund anderswo");
}

#[test]
fn another_header_changes_that_header_alone() {
    let mut root = parse(LETTER);
    root.set_header("subject", &Part::header_text("Subject", "Gruß").unwrap());
    let old = "Subject: =?iso-8859-1?Q?Gr=FC=DFe?= aus\r\n =?utf-8?B?S8O2bG4=?=\r\n";
    assert_eq!(text(&root), LETTER.replace(old, "Subject: =?UTF-8?q?Gru=C3=9F?=\r\n"));
    let added = headers::behind(root.headers(), "X-Seen", "yes");
    root.set_headers(added);
    assert!(text(&root).contains("boundary=\"----=_Part 1\"\r\nX-Seen: yes\r\n\r\nThis is"));
}

#[test]
fn one_more_part_goes_behind_the_others() {
    let mut root = parse(LETTER);
    root.append(Part::binary("application/x-tar", b"tar", None).unwrap()).unwrap();
    let added = "------=_Part 1\r\nContent-Type: application/x-tar\r\nContent-Transfer-Encoding: base64\r\n\r\ndGFy\r\n\r\n------=_Part 1--\r\nepilogue\r\n";
    assert_eq!(text(&root), LETTER.replace("------=_Part 1--\r\nepilogue\r\n", added));
    assert_eq!(parse(&text(&root)).structure().attachments.len(), 4);
    // One that nothing ended is ended now.
    let mut open = parse("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none");
    open.append(Part::text("text/plain", "two").unwrap()).unwrap();
    assert!(
        text(&open)
            .ends_with("\r\n\r\none\r\n--b\r\nContent-Type: text/plain; charset=\"us-ascii\"\r\n\r\ntwo\r\n--b--\r\n")
    );
    let mut empty = parse("Content-Type: multipart/mixed\r\n\r\nodd text");
    empty.append(Part::text("text/plain", "one").unwrap()).unwrap();
    assert_eq!(parse(&text(&empty)).children().len(), 1);
}

#[test]
fn what_a_part_says_cannot_end_it() {
    // Whoever sent the mail knows its boundary, and what is coded is plain once somebody writes it anew.
    let inside = "--b\r\nContent-Type: application/x-evil\r\n\r\nevil\r\n--b--\r\n";
    let mut root = parse("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n");
    root.set_body_at(&[0], inside.as_bytes(), None).unwrap();
    let read = parse(&text(&root));
    assert_eq!((read.children().len(), body(&read, &[0]).as_str()), (1, inside));
    let error = root.set_body_at(&[0], inside.as_bytes(), Some("message/rfc822")).unwrap_err();
    assert_eq!(error, Error::BoundaryInside("b".into()));
    assert_eq!(body(&root, &[0]), inside, "nothing has changed");
    let raw = Part::parse(inside.as_bytes().to_vec().into()).unwrap();
    assert_eq!(
        Part::multipart("multipart/mixed", vec![raw], Some("b")).unwrap_err(),
        Error::BoundaryInside("b".into())
    );
}

#[test]
fn eight_bits_and_odd_line_ends_stay_until_somebody_changes_them() {
    let latin = b"Subject: caf\xe9\nContent-Type: text/plain; charset=latin1\nContent-Transfer-Encoding: 8bit\n\nna\xefve\n\rend";
    let mut part = Part::parse(latin.to_vec().into()).unwrap();
    assert_eq!(part.to_bytes().unwrap(), latin);
    assert_eq!(&*part.body().unwrap(), "naïve\n\rend".as_bytes());
    part.set_body(b"plain\n", None).unwrap();
    let expected = b"Subject: caf\xe9\nContent-Type: text/plain; charset=latin1\nContent-Transfer-Encoding: 7bit\r\nMIME-Version: 1.0\r\n\nplain\r\n";
    assert_eq!(part.to_bytes().unwrap(), expected);
}

#[test]
fn odd_mails_have_one_part_or_none_that_is_lost() {
    for (mail, parts, content) in [
        ("", 1, ""),
        ("\r\n", 1, ""),
        ("just text", 1, "just text"),
        ("A: 1", 1, ""),
        ("A: 1\r\nno header\r\n\r\nbody", 1, "no header\r\n\r\nbody"),
        ("Content-Type: multipart/mixed\r\n\r\n--b\r\n\r\nx", 1, "--b\r\n\r\nx"),
        ("Content-Type: multipart/mixed; boundary=\"\"\r\n\r\n--\r\n\r\nx", 1, "--\r\n\r\nx"),
        ("Content-Type: multipart/mixed; boundary=b\r\n\r\nno such line", 1, "no such line"),
        ("Content-Type: text/plain; charset=x-none\r\n\r\nbytes", 1, "bytes"),
        ("Content-Type: nonsense\r\n\r\nbytes", 1, "bytes"),
        ("Content-Transfer-Encoding: base64\r\n\r\n!!!!", 1, ""),
        ("Content-Transfer-Encoding: x-uu\r\n\r\nbytes", 1, "bytes"),
    ] {
        let root = parse(mail);
        assert_eq!(text(&root), mail);
        assert_eq!((root.count(), &*root.body().unwrap()), (parts, content.as_bytes()), "{mail:?}");
    }
}

fn nested(levels: usize) -> String {
    let mut mail = String::new();
    for level in 0..levels {
        mail += &format!("Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n");
    }
    mail
}

#[test]
fn bombs_are_refused_with_what_they_are() {
    let refused = |mail: String| Part::parse(mail.into_bytes().into()).map(|root| root.count()).unwrap_err();
    assert_eq!(Part::parse(nested(MAX_DEPTH).into_bytes().into()).unwrap().height(), MAX_DEPTH);
    assert_eq!(refused(nested(MAX_DEPTH + 1)), Error::TooDeep);
    assert_eq!(refused(nested(100_000)), Error::TooDeep);
    let head = "Content-Type: multipart/mixed; boundary=b\r\n\r\n";
    assert_eq!(refused(format!("{head}{}", "--b\n".repeat(5_000_000))), Error::TooManyParts);
    // Each of these would be searched for to the end of the mail.
    let lost = "--b\r\nContent-Type: multipart/mixed; boundary=nowhere\r\n\r\nx\r\n".repeat(MAX_PARTS - 1);
    assert_eq!(parse(&format!("{head}{lost}")).count(), MAX_PARTS);
    let long =
        format!("Content-Type: multipart/mixed; boundary=b; x=\"{}\"\r\n\r\n--b\r\n\r\nhidden", "x".repeat(9000));
    assert_eq!(refused(long).to_string(), "Content-Type is longer than the 4096 bytes that are read of it");
    // Messages within messages are the body of a part, however many there are.
    let inner = "Content-Type: message/rfc822\r\n\r\n".repeat(200_000);
    assert_eq!(parse(&inner).count(), 1);
    let many = "A:\n".repeat(2_000_000);
    assert_eq!(headers::fields(parse(&many).headers()).count(), 2_000_000);
}

#[test]
fn what_grows_by_being_put_together_is_bounded() {
    let mut part = Part::text("text/plain", "x").unwrap();
    let error = loop {
        match Part::multipart("multipart/mixed", vec![part.clone(), part], None) {
            Ok(twice) => part = twice,
            Err(error) => break error,
        }
    };
    assert_eq!(error, Error::TooManyParts);
    let mut part = Part::text("text/plain", "x").unwrap();
    for _ in 0..MAX_DEPTH {
        part = Part::multipart("multipart/mixed", vec![part], None).unwrap();
    }
    assert_eq!(Part::multipart("multipart/mixed", vec![part], None).unwrap_err(), Error::TooDeep);
}
