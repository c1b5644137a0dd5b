//! `msg:parse_mime`, `kumo.mimepart` and the objects that they give out.

mod support;

use support::{mail, run_on};
use waybill_spool::Message;

fn data(message: &Message) -> String {
    String::from_utf8(message.data().unwrap().to_vec()).unwrap()
}

const MAIL: &str = "From: =?utf-8?q?J=C3=BCrgen?= <j@example.com>\r\nTo: a@x, Team: b@y, c@z;\r\nSubject: Gr\u{fc}\u{df}e\r\n\
    References: <1@x>\r\n <2@x>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
    --b\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\ncaf=E9\r\n\
    --b\r\nContent-Type: text/html\r\n\r\n<b>page</b>\r\n\
    --b\r\nContent-Type: application/pdf; name=x.pdf\r\nContent-Disposition: attachment; filename*=UTF-8''gr%C3%BCn.pdf\r\n\
    Content-Transfer-Encoding: base64\r\nContent-ID: <bill@x>\r\n\r\nJVBERg==\r\n--b--\r\n";

#[tokio::test]
async fn a_message_comes_apart_into_texts_and_attachments() {
    let message = mail(MAIL);
    for (code, expected) in [
        ("return m:parse_mime():get_simple_structure().text_part.body", "café"),
        ("return m:parse_mime():get_simple_structure().html_part.body", "<b>page</b>"),
        (
            "local s = m:parse_mime():get_simple_structure() return s.amp_html_part, #s.attachments, s.header_part.id",
            "nil | 1 | 0",
        ),
        (
            "local a = m:parse_mime():get_simple_structure().attachments[1]
             return a.file_name, a.inline, a.content_id, a.content_type, a.part.body, a.part.id",
            "grün.pdf | false | bill@x | application/pdf | %PDF | 0.3",
        ),
        (
            "local p = m:parse_mime() return tostring(p) == m:get_data(), p == p:get_simple_structure().header_part",
            "true | true",
        ),
        ("return kumo.mimepart.parse('Subject: hello\\r\\n\\r\\nbody\\r\\n').headers:subject()", "hello"),
    ] {
        assert_eq!(run_on(&message, code).await, expected, "{code}");
    }
    assert_eq!(data(&message), MAIL);
}

#[tokio::test]
async fn a_changed_part_is_in_the_message_once_it_is_told() {
    let message = mail(MAIL);
    let code = "local p = m:parse_mime() local s = p:get_simple_structure()
        s.text_part.body = 'PREPENDED!\\r\\n' .. s.text_part.body
        s.html_part:replace_body('# page', 'text/markdown')
        assert(m:get_data():find('caf=E9', 1, true))
        m:set_data(tostring(p))";
    run_on(&message, code).await;
    let expected = MAIL
        .replace("Content-Type: text/plain; charset=iso-8859-1", "Content-Type: text/plain; charset=\"utf-8\"")
        .replace("caf=E9", "PREPENDED!\r\ncaf=C3=A9")
        .replace("Content-Type: text/html\r\n\r\n<b>page</b>", "Content-Type: text/markdown\r\n\r\n# page");
    assert_eq!(data(&message), expected);
    let code = "local p = m:parse_mime()
        p:append_part(kumo.mimepart.new_binary('image/gif', 'GIF', { file_name = 'x.gif', inline = true, content_id = 'x' }))
        m:set_data(tostring(p))
        local a = m:parse_mime():get_simple_structure().attachments
        return #a, a[3].file_name, a[3].inline, a[3].content_id, a[3].part.body";
    assert_eq!(run_on(&message, code).await, "3 | x.gif | true | x | GIF");
}

#[tokio::test]
async fn headers_are_read_as_what_they_are() {
    let message = mail(MAIL);
    for (code, expected) in [
        (
            "local f = h:from() return #f, f[1].name, f[1].address.local_part, f[1].address.domain",
            "1 | Jürgen | j | example.com",
        ),
        (
            "local t = h:to() return #t, t[1].name, t[1].address.domain, t[2].name, #t[2].entries, t[2].entries[2].address.local_part",
            "2 | nil | x | Team | 2 | c",
        ),
        ("return h:subject(), h:cc(), h:message_id(), h:mime_version(), h:sender()", "Grüße | nil | nil | 1.0 | nil"),
        ("return table.concat(h:references(), ' ')", "1@x 2@x"),
        ("local t = h:content_type() return t.value, t.parameters.boundary", "multipart/mixed | b"),
        (
            "local n = {} for x in h:iter() do n[#n + 1] = x.name end return table.concat(n, ' ')",
            "From To Subject References MIME-Version Content-Type",
        ),
        (
            "local n = {} for x in h:iter 'subject' do n[#n + 1] = x.unstructured end return table.concat(n, ' ')",
            "Grüße",
        ),
        (
            "local x = h:get_first_named 'REFERENCES' return x.name, x.raw_value, x.value[2], h:get_first_named 'none'",
            "References | <1@x>\r\n <2@x> | 2@x | nil",
        ),
        (
            "return h:get_first_named('From').value[1].name, h:get_first_named('Subject').value, tostring(h:get_first_named 'MIME-Version')",
            "Jürgen | Grüße | MIME-Version: 1.0",
        ),
        ("return h:get_first_named('Content-Type').mime_params.parameters.boundary", "b"),
        ("return tostring(h) == m:get_data():match '^(.-\\r\\n)\\r\\n'", "true"),
        (
            "return h:get_first_named('Subject').mailbox_list",
            "false | headers: Subject: 'Grüße' is no address such as user@domain",
        ),
        ("return h:get_first_named('To').mailbox", "false | headers: To may not hold a group of addresses"),
    ] {
        assert_eq!(run_on(&message, &format!("local h = m:parse_mime().headers {code}")).await, expected, "{code}");
    }
    let message = mail(
        "Authentication-Results: mx.example; dkim=pass (ok) header.d=a.example;\r\n spf=fail reason=\"no way\"\r\n\r\nx",
    );
    let code = "local r = m:parse_mime().headers:get_first_named('Authentication-Results').value
        return r.serv_id, #r.results, r.results[1].method, r.results[1].props['header.d'], r.results[2].result, r.results[2].reason";
    assert_eq!(run_on(&message, code).await, "mx.example | 2 | dkim | a.example | fail | no way");
}

#[tokio::test]
async fn headers_are_set_where_they_were_and_all_others_stay() {
    let message = mail(MAIL);
    let code = "local p = m:parse_mime() local h = p.headers
        h:set_subject 'Grüße an alle'
        h:set_from { { name = 'Müller, J', address = { local_part = 'j', domain = 'example.com' } } }
        h:set_to 'd@x, e@y'
        h:set_reply_to { { name = 'Team', entries = { { address = { local_part = 'b', domain = 'y' } } } } }
        h:set_references { '3@x' }
        h:set_message_id 'id@x'
        h:prepend('X-First', 'one')
        h:append('X-Last', ('word '):rep(30))
        h:remove_all_named 'mime-version'
        m:set_data(tostring(p))
        return h:from()[1].name, h:reply_to()[1].name, h:message_id()";
    assert_eq!(run_on(&message, code).await, "Müller, J | Team | id@x");
    let (head, body) = MAIL.split_once("\r\n\r\n").unwrap();
    let (new_head, new_body) =
        data(&message).split_once("\r\n\r\n").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    assert_eq!(new_body, body);
    assert!(new_head.is_ascii() && new_head.split("\r\n").all(|line| line.len() <= 78), "{new_head}");
    let names: Vec<&str> = new_head
        .split("\r\n")
        .filter(|line| !line.starts_with(' '))
        .map(|line| line.split(':').next().unwrap())
        .collect();
    assert_eq!(
        names,
        ["X-First", "From", "To", "Subject", "References", "Content-Type", "Reply-To", "Message-ID", "X-Last"]
    );
    assert!(
        head.contains("Content-Type: multipart/mixed; boundary=b")
            && new_head.contains("Content-Type: multipart/mixed; boundary=b")
    );
}

#[tokio::test]
async fn nothing_is_smuggled_in_by_a_value() {
    let message = mail("Subject: x\r\n\r\nbody");
    for call in [
        "h:append('X-A', 'a\\r\\nBcc: b@c')",
        "h:prepend('X-A', 'a\\nb')",
        "h:append('X-A\\r\\nBcc', 'b@c')",
        "h:set_subject 'a\\r\\n\\r\\nbody'",
        "h:set_comments 'a\\rb'",
        "h:set_to 'a@b\\r\\nBcc: c@d'",
        "h:set_to { { name = 'x\\r\\nBcc: c@d', address = { local_part = 'a', domain = 'b' } } }",
        "h:set_from { { address = { local_part = 'a', domain = 'b>\\r\\nBcc: <c' } } }",
        "h:set_cc { { name = 'x\\nBcc: c', entries = {} } }",
        "h:set_message_id 'a@b>\\r\\nBcc: <c@d'",
        "h:set_references { 'a@b', 'c\\r\\n' }",
        "h:set_content_type { value = 'text/plain', parameters = { charset = 'x\\r\\nBcc: a' } }",
        "h:set_content_disposition 'attachment; filename=\"x\\r\\nBcc: a\"'",
        "p:replace_body('x', 'text/plain\\r\\nBcc: a@b')",
        "kumo.mimepart.new_binary('a/b', '', { file_name = 'x\\r\\nBcc: a' })",
        "kumo.mimepart.new_binary('a/b', '', { content_id = 'x>\\r\\nBcc: <a' })",
        "kumo.mimepart.new_multipart('multipart/mixed', {}, 'x\\r\\nBcc: a')",
        "m:append_header('X-A', 'a\\r\\nBcc: b@c')",
        "m:prepend_header('X-A', 'a\\r\\n\\r\\nbody', true)",
    ] {
        let code = format!(
            "local p = m:parse_mime() local h = p.headers local ok, e = pcall(function() {call} end) return ok, tostring(p), e"
        );
        let told = run_on(&message, &code).await;
        assert!(told.starts_with("false | Subject: x\r\n\r\nbody | "), "{call}: {told}");
    }
    assert_eq!(data(&message), "Subject: x\r\n\r\nbody");
    // Folding is none of that.
    let code = "local p = m:parse_mime() p.headers:append('X-A', 'a\\r\\n b') m:append_header('X-B', 'a\\r\\n\\tb') return tostring(p)";
    assert_eq!(run_on(&message, code).await, "Subject: x\r\nX-A: a b\r\n\r\nbody");
    assert_eq!(data(&message), "Subject: x\r\nX-B: a\r\n\tb\r\n\r\nbody");
}

#[tokio::test]
async fn a_message_is_built_of_texts_and_attachments() {
    let code = "local b = kumo.mimepart.builder()
        b:set_stable_content(true)
        b:text_plain 'Hello, plain' b:text_html '<b>Hello</b>'
        b:attach('text/plain', 'a file')
        b:attach('application/octet-stream', '\\xbb\\xaa', { file_name = 'binary.dat' })
        b:attach('image/gif', 'GIF', { inline = true, content_id = 'pixel' })
        b:attach_part(kumo.mimepart.new_html '<i>')
        local p = b:build()
        p.headers:set_from 'a@b'
        local again = kumo.mimepart.parse(tostring(p))
        local s = again:get_simple_structure()
        local names = {}
        for i, a in ipairs(s.attachments) do names[i] = a.content_type .. '=' .. tostring(a.file_name) .. '/' .. a.part.body:byte(1) end
        local ok, e = pcall(b.text_plain, b, 'more')
        return again.headers:content_type().value, s.text_part.body, s.html_part.body, table.concat(names, ' '), again.headers:message_id(), e";
    assert_eq!(
        run_on(&mail("x"), code).await,
        "multipart/mixed | Hello, plain | <b>Hello</b> | image/gif=nil/71 text/plain=nil/97 application/octet-stream=binary.dat/187 text/html=nil/60 | stable@localhost | \
         kumo.mimepart.builder: its message is built; begin another with kumo.mimepart.builder()"
    );
    let code = "local b = kumo.mimepart.builder() b:text_plain 'x' local h = b:build().headers
        return #h:message_id() > 30, h:get_first_named('Date').value:match '%d%d%d%d', h:mime_version()";
    let told = run_on(&mail("x"), code).await;
    assert!(told.starts_with("true | 20") && told.ends_with(" | 1.0"), "{told}");
    let code = "local main = kumo.mimepart.new_text_plain 'Grüße' local file = kumo.mimepart.new_text('text/markdown', '# x')
        local p = kumo.mimepart.new_multipart('multipart/mixed', { main, file }, 'b') main.body = 'other' return tostring(p)";
    assert_eq!(
        run_on(&mail("x"), code).await,
        "Content-Type: multipart/mixed; boundary=\"b\"\r\n\r\n--b\r\nContent-Type: text/plain; charset=\"utf-8\"\r\n\
         Content-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BC=C3=9Fe\r\n--b\r\nContent-Type: text/markdown; charset=\"us-ascii\"\r\n\r\n# x\r\n--b--\r\n"
    );
}

#[tokio::test]
async fn what_cannot_be_done_says_why() {
    let message = mail("Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nbody\r\n--b--\r\n");
    for (code, expected) in [
        (
            "m:parse_mime().body = 'x'",
            "mimepart: a part of type multipart/mixed has parts and no content of its own; give the new content a type, such as text/plain",
        ),
        (
            "local p = m:parse_mime() p:get_simple_structure().text_part:append_part(p)",
            "mimepart: a part of type text/plain holds no other parts; its Content-Type is to be multipart/something",
        ),
        (
            "local p = m:parse_mime() local t = p:get_simple_structure().text_part p:replace_body('x', 'text/plain') return t.body",
            "mimepart: this part is in its message no more",
        ),
        (
            "return kumo.mimepart.new_text('no type', 'x')",
            "kumo.mimepart.new_text: Content-Type: 'no type' is no value such as text/plain",
        ),
        (
            "return kumo.mimepart.new_text_plain '\\xff'",
            "kumo.mimepart.new_text_plain: the content is not UTF-8; new_binary takes bytes of any kind",
        ),
        (
            "m:parse_mime().headers:set_from(5)",
            "headers: From: expected a string or a list of { name = …, address = { local_part = …, domain = … } }, got a integer",
        ),
        ("m:parse_mime().headers:set_sender 'a@b, c@d'", "headers: Sender holds 2 addresses, expected one"),
        ("m:parse_mime().headers:set_from 'nobody'", "headers: From: 'nobody' is no address such as user@domain"),
        (
            "m:parse_mime().headers:set_to { {} }",
            "headers: To: an address without 'address', expected { local_part = …, domain = … }",
        ),
    ] {
        assert_eq!(run_on(&message, code).await, format!("false | {expected}"), "{code}");
    }
    let wrong = run_on(&message, "kumo.mimepart.new_binary('a/b', '', { filename = 'x' })").await;
    assert!(wrong.contains("kumo.mimepart.new_binary: ") && wrong.contains("unknown field `filename`"), "{wrong}");
    let mut bomb = String::new();
    for level in 0..2000 {
        bomb += &format!("Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n");
    }
    let bomb = mail(&bomb);
    assert_eq!(run_on(&bomb, "m:parse_mime()").await, "false | msg:parse_mime: parts nest deeper than 100 levels");
    assert_eq!(
        run_on(&bomb, "m:append_text_plain 'x'").await,
        "false | msg:append_text_plain: parts nest deeper than 100 levels"
    );
    assert_eq!(run_on(&bomb, "return m:check_fix_conformance('LINE_TOO_LONG', 'LINE_TOO_LONG')").await, "nil");
}

#[tokio::test]
async fn what_is_read_of_a_message_makes_another() {
    let message = mail("Subject : caf\u{e9}\nno header\nX: y\n\nstra\u{df}e\n");
    let code = "return tostring(m:parse_mime():rebuild()), tostring(m:parse_mime()) == m:get_data()";
    assert_eq!(
        run_on(&message, code).await,
        "Subject: =?UTF-8?q?caf=C3=A9?=\r\nContent-Type: text/plain; charset=\"utf-8\"\r\n\
         Content-Transfer-Encoding: quoted-printable\r\nMIME-Version: 1.0\r\n\r\nno header\r\nX: y\r\n\r\nstra=C3=9Fe\r\n | true"
    );
}
