//! What scripts see of addresses, headers and texts within a message.

mod support;

use mail_parser::MessageParser;
use support::{mail, run_on};
use waybill_spool::Message;

#[tokio::test]
async fn address_headers_come_apart() {
    let message = mail(
        "From: =?utf-8?q?J=C3=BCrgen?= <j@Example.com>\r\nTo: \"A, B\" <a@x.example>,\r\n c@y.example\r\nCc: Team: d@z.example, e@z.example;\r\nReply-To: \r\n\r\nx",
    );
    for (code, expected) in [
        (
            "local f = m:from_header() return f.user, f.domain, f.email, f.name, type(f)",
            "j | Example.com | j@Example.com | Jürgen | userdata",
        ),
        (
            "local t = m:to_header() return t.name, #t.list, t.list[2].email, t.list[2].name, tostring(t)",
            "A, B | 2 | c@y.example | nil | a@x.example, c@y.example",
        ),
        ("return #m:get_address_header('cc').list, m:get_address_header('CC').list[2].user", "2 | e"),
        ("return m:get_address_header('Reply-To'), m:get_address_header('Sender')", "nil | nil"),
    ] {
        assert_eq!(run_on(&message, code).await, expected, "{code}");
    }
}

#[tokio::test]
async fn headers_become_meta_by_the_first_spec_that_fits() {
    let body = "X-One: 1\r\nX-One: 2\r\nX-Foo-Bar: f\r\nSubject: s\r\nY: y\r\n\r\nbody";
    let message = mail(body);
    let code = "m:import_headers {
          { name = 'x-one', match = 'all', target = 'ones' },
          { name = 'X-*', transform = 'camel_case', remove = true },
          { name = 'subject' },
        }
        return kumo.raw == nil, m:get_meta('ones')[2], m:get_meta('xFooBar'), m:get_meta('subject'), m:get_meta('y')";
    assert_eq!(run_on(&message, code).await, "false | 2 | f | s | nil");
    assert_eq!(message.data().unwrap(), "X-One: 1\r\nX-One: 2\r\nSubject: s\r\nY: y\r\n\r\nbody");
    let message = mail(body);
    let code = "m:import_headers { { name = 'X-One', match = 'first' } } return m:get_meta 'x_one'";
    assert_eq!(run_on(&message, code).await, "1");
    assert_eq!(run_on(&message, "m:import_headers { { name = 'X-One' } } return m:get_meta 'x_one'").await, "2");
    let complaint = run_on(&message, "m:import_headers { { nome = 'X' } }").await;
    assert!(
        complaint.starts_with(
            "false | init.lua:2: msg:import_headers: field `[0].nome`: unknown field `nome`, expected one of `name`, "
        ),
        "{complaint}"
    );
    let complaint = run_on(&message, "m:import_headers { { name = '*', target = 'x' } }").await;
    assert!(complaint.ends_with("'*' fits every header, one target does not"), "{complaint}");
}

/// The texts of a message as a reader sees them.
fn texts(message: &Message) -> (Option<String>, Option<String>) {
    let data = message.data().unwrap();
    let parsed = MessageParser::default().parse(&data[..]).unwrap();
    let attachments = parsed.attachments().count();
    assert!(attachments <= 1, "{attachments} attachments");
    (parsed.body_text(0).map(|text| text.into_owned()), parsed.body_html(0).map(|text| text.into_owned()))
}

#[tokio::test]
async fn text_is_appended_to_a_plain_message_whatever_its_encoding() {
    for (head, body, before) in [
        ("", "hello\r\n", "hello\r\n"),
        (
            "Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n",
            "caf=E9\r\n",
            "café\r\n",
        ),
        (
            "Content-Type: text/plain; charset=utf-8; format=flowed\r\nContent-Transfer-Encoding: base64\r\n",
            "aGVsbG8NCg==\r\n",
            "hello\r\n",
        ),
    ] {
        let message = mail(&format!("Subject: s\r\n{head}X-Last: l\r\n\r\n{body}"));
        assert_eq!(
            run_on(&message, "return m:append_text_plain('-- \\r\\nfür\\r\\n'), m:append_text_html 'x'").await,
            "true | false"
        );
        assert_eq!(texts(&message).0.unwrap(), format!("{before}-- \r\nfür\r\n"));
        let data = String::from_utf8(message.data().unwrap().to_vec()).unwrap();
        assert!(data.contains("Subject: s\r\n") && data.contains("X-Last: l\r\n"), "{data}");
        assert_eq!(data.to_lowercase().matches("content-transfer-encoding").count(), 1, "{data}");
        assert_eq!(data.contains("flowed"), head.contains("flowed"));
    }
}

#[tokio::test]
async fn each_text_of_a_message_of_parts_is_found_and_attachments_are_left_alone() {
    let message = mail(
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\nContent-Type: multipart/alternative; boundary=a\r\n\r\n\
         --a\r\nContent-Type: text/plain\r\n\r\nplain\r\n--a\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html><BODY>page</BODY></html>\r\n--a--\r\n\
         --m\r\nContent-Type: text/plain; name=x.txt\r\nContent-Disposition: attachment; filename=x.txt\r\n\r\nattached\r\n--m--\r\n",
    );
    assert_eq!(
        run_on(&message, "return m:append_text_plain(' more'), m:append_text_html('<b>é</b>')").await,
        "true | true"
    );
    let (plain, html) = texts(&message);
    assert_eq!(plain.unwrap().trim_end(), "plain more");
    assert_eq!(html.unwrap().trim_end(), "<html><BODY>page<b>é</b></BODY></html>");
    let data = message.data().unwrap();
    assert!(data.ends_with(b"filename=x.txt\r\n\r\nattached\r\n--m--\r\n"), "{data:?}");
}

#[tokio::test]
async fn what_is_wrong_with_a_message_is_named_and_put_right_where_that_is_asked_for() {
    const ALL: &str = "MISSING_COLON_VALUE|NON_CANONICAL_LINE_ENDINGS|NAME_ENDS_WITH_SPACE|LINE_TOO_LONG|\
                       NEEDS_TRANSFER_ENCODING|MISSING_DATE_HEADER|MISSING_MESSAGE_ID_HEADER|MISSING_MIME_VERSION";
    let long = "x".repeat(1200);
    let odd = format!("Subject : s\nX: 1\r\n\r\nfür {long}\n");
    let message = mail(&odd);
    let wrong = ALL.replace("MISSING_COLON_VALUE|", "");
    assert_eq!(run_on(&message, &format!("return m:check_fix_conformance('{ALL}', '')")).await, wrong);
    assert_eq!(message.data().unwrap(), odd.as_bytes(), "looking changes nothing");
    assert_eq!(run_on(&message, &format!("return m:check_fix_conformance('{ALL}', '{ALL}')")).await, "nil");
    let data = message.data().unwrap();
    let text = std::str::from_utf8(&data).unwrap();
    assert!(text.contains("\r\nSubject: s\r\nX: 1\r\n") && text.contains("@example.com>\r\n"), "{text}");
    assert_eq!(texts(&message).0.unwrap(), format!("für {long}\r\n"));
    let hopeless = mail("no colon\r\nDate: x\r\n\r\nbody");
    let code = "return m:check_fix_conformance('MISSING_COLON_VALUE', 'MISSING_COLON_VALUE')";
    assert_eq!(run_on(&hopeless, code).await, "MISSING_COLON_VALUE");
    let complaint = run_on(&hopeless, "m:check_fix_conformance('TOO_LONG', '')").await;
    let expected =
        "false | init.lua:2: msg:check_fix_conformance: check: unknown word 'TOO_LONG', expected some of MISSING_";
    assert!(complaint.starts_with(expected), "{complaint}");
}
