//! What a conversation must have been, told from its outside: by somebody who knows RFC 5321 and none of our code.

use crate::session::{LineEndings, Talk};

/// Walks through what the client sent, reply by reply.
pub(crate) fn check(endings: LineEndings, script: &[u8], talk: &Talk) {
    let replies = replies(&talk.said);
    let mut rest = script;
    let mut taken = talk.taken.iter();
    // The greeting answers nobody.
    let mut replies = replies.iter().skip(1).peekable();
    while let Some(&code) = replies.next() {
        let Some(end) = find(rest, b"\r\n") else {
            assert_eq!(code, 421, "a reply to no line");
            break;
        };
        let command = &rest[..end];
        rest = &rest[end + 2..];
        // Behind XCLIENT it is a greeting like the first.
        if code == 220 && command.to_ascii_uppercase().starts_with(b"STARTTLS") {
            // TLS begins, which nobody here speaks.
            assert!(replies.next().is_none(), "said in plain text behind STARTTLS");
            break;
        }
        if matches!(code, 221 | 421) {
            assert!(replies.next().is_none(), "said behind the last word");
            break;
        }
        if code != 354 {
            continue;
        }
        // The CRLF of the DATA command is that before a dot, too.
        let message = match rest.strip_prefix(b".\r\n") {
            Some(behind) => {
                rest = behind;
                &b""[..]
            }
            None => {
                let Some(end) = find(rest, b"\r\n.\r\n") else {
                    assert!(replies.next().is_none(), "a reply to a message without an end");
                    break;
                };
                let message = &rest[..end + 2];
                rest = &rest[end + 5..];
                message
            }
        };
        if replies.next() == Some(&250) {
            let batch = taken.next().expect("250 promises a message");
            assert!(!batch.is_empty());
            let expected = decoded(endings, message);
            for copy in batch {
                assert_eq!(text(&copy.data), text(&expected), "the message is another than was sent");
                assert!(!copy.recipients.is_empty() && copy.recipients.len() <= 4 && copy.data.len() <= 2000);
            }
        }
    }
    assert!(taken.next().is_none(), "a message was taken that nobody was told of");
}

/// The codes of the replies, whose form is checked.
fn replies(said: &[u8]) -> Vec<u16> {
    let said = std::str::from_utf8(said).expect("replies are text");
    assert!(said.is_empty() || said.ends_with("\r\n"), "half a reply");
    let mut codes = Vec::new();
    for line in said.split_terminator("\r\n") {
        assert!(line.len() <= 510 && !line.contains(char::is_control), "{line:?}");
        let code: u16 = line.get(..3).and_then(|digits| digits.parse().ok()).expect("a code");
        match line.as_bytes().get(3) {
            Some(b'-') => {}
            Some(b' ') | None => codes.push(code),
            Some(_) => panic!("{line:?}"),
        }
    }
    codes
}

/// The message without the dots that hid others. A dot at the start of a line hides whatever follows it.
fn decoded(endings: LineEndings, message: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let mut rest = message;
    while !rest.is_empty() {
        let end = find(rest, b"\r\n").map_or(rest.len(), |end| end + 2);
        let line = &rest[..end];
        plain.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
        rest = &rest[end..];
    }
    let bare = is_bare(&plain);
    match endings {
        LineEndings::Deny => assert!(!bare, "a bare CR or LF was let in"),
        LineEndings::Allow => {}
        LineEndings::Fix => plain = fixed(&plain),
    }
    plain
}

fn is_bare(data: &[u8]) -> bool {
    let fixed = fixed(data);
    fixed.len() != data.len()
}

/// Every CR or LF that stands alone becomes CRLF.
fn fixed(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < data.len() {
        match (data[at], data.get(at + 1)) {
            (b'\r', Some(b'\n')) => {
                out.extend_from_slice(b"\r\n");
                at += 1;
            }
            (b'\r' | b'\n', _) => out.extend_from_slice(b"\r\n"),
            (other, _) => out.push(other),
        }
        at += 1;
    }
    out
}

fn find(data: &[u8], wanted: &[u8]) -> Option<usize> {
    data.windows(wanted.len()).position(|part| part == wanted)
}

fn text(data: &[u8]) -> String {
    String::from_utf8_lossy(data).escape_debug().to_string()
}
