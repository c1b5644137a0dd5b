//! Messages that are built of parts.

mod support;

use mail_parser::{HeaderForm, MessageParser, MimeHeaders};
use serde_json::{Value, json};
use support::Daemon;

async fn built(content: Value, recipient: Value) -> String {
    let daemon = Daemon::new();
    let body = json!({
        "envelope_sender": "bounce@example.com",
        "recipients": [recipient],
        "content": content,
        "trace_headers": {"supplemental_header": false},
    });
    let answer = daemon.inject(body).await;
    assert_eq!(answer.json()["success_count"], 1, "{}", answer.text());
    daemon.messages().remove(0)
}

#[tokio::test]
async fn text_alone_is_one_part_with_the_headers_that_mail_needs() {
    let message = built(
        json!({"text_body": "Hi {{ name }}\n", "subject": "For {{ name }}", "from": {"email": "{{ who }}@example.com", "name": "Api"},
               "reply_to": {"email": "r@example.com"}, "headers": {"X-Campaign": "c1"}}),
        json!({"email": "j@example.com", "name": "J. Doe", "substitutions": {"who": "api"}}),
    )
    .await;
    assert_eq!(
        message.split("\r\n").collect::<Vec<_>>(),
        [
            "From: \"Api\" <api@example.com>",
            "Reply-To: <r@example.com>",
            "Subject: For J. Doe",
            "X-Campaign: c1",
            "To: \"J. Doe\" <j@example.com>",
            "Date: Mon, 23 Nov 2026 16:12:56 +0000",
            "Message-ID: <be66e3f6e75811f1abf9ef449cbbeaa0@mta.example>",
            "MIME-Version: 1.0",
            "Content-Type: text/plain; charset=\"utf-8\"",
            "Content-Transfer-Encoding: 7bit",
            "",
            "Hi J. Doe",
            "",
        ]
    );
}

#[tokio::test]
async fn all_kinds_of_parts_nest_as_readers_expect() {
    let message = built(
        json!({
            "text_body": "text é",
            "html_body": "<p>{{ name }}</p><img src=\"cid:pic\">",
            "amp_html_body": "<html amp4email></html>",
            "attachments": [
                {"data": "aGVs\nbG8=", "content_type": "application/pdf", "file_name": "Grüße.pdf", "base64": true},
                {"data": "GIF {{ name }}", "content_type": "image/gif", "content_id": "<pic>"},
            ],
        }),
        json!({"email": "j@example.com", "name": "<b>"}),
    )
    .await;
    let parsed = MessageParser::new().parse(message.as_bytes()).unwrap();
    let kinds: Vec<String> = parsed
        .parts
        .iter()
        .map(|part| {
            let kind = part.content_type().unwrap();
            format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or(""))
        })
        .collect();
    assert_eq!(
        kinds,
        [
            "multipart/mixed",
            "multipart/alternative",
            "text/plain",
            "text/x-amp-html",
            "multipart/related",
            "text/html",
            "image/gif",
            "application/pdf",
        ]
    );
    assert_eq!(parsed.body_text(0).unwrap(), "text é");
    let html = parsed.parts[5].text_contents().unwrap();
    assert!(html.starts_with("<p>&lt;b&gt;</p>"), "HTML is escaped: {html}");
    assert_eq!(parsed.parts[6].content_id(), Some("pic"));
    assert_eq!(parsed.parts[6].contents(), b"GIF {{ name }}", "attachments are no templates");
    let pdf = parsed.attachments().find(|part| part.attachment_name() == Some("Grüße.pdf")).unwrap();
    assert_eq!(pdf.contents(), b"hello");
}

#[tokio::test]
async fn given_headers_win_and_names_in_other_alphabets_keep_their_addresses() {
    let message = built(
        json!({"html_body": "<p>x</p>", "headers": {
            "To": "Jörg <j@example.com>, k@example.com", "message-id": "<own@example.com>", "X-Name": "Jörg",
            "Mime-Version": "1.0", "date": "Thu, 1 Jan 1970 00:00:00 +0000"}}),
        json!({"email": "list@example.com"}),
    )
    .await;
    let headers = message.split("\r\n\r\n").next().unwrap();
    assert!(headers.is_ascii(), "{headers}");
    for name in ["to:", "message-id:", "mime-version:", "date:"] {
        let count = headers.to_lowercase().lines().filter(|line| line.starts_with(name)).count();
        assert_eq!(count, 1, "{name} in {headers}");
    }
    let parsed = MessageParser::new().parse(message.as_bytes()).unwrap();
    let to: Vec<_> = parsed.to().unwrap().iter().map(|to| (to.name(), to.address().unwrap())).collect();
    assert_eq!(to, [(Some("Jörg"), "j@example.com"), (None, "k@example.com")]);
    assert_eq!(parsed.message_id(), Some("own@example.com"));
    let name = parsed.header_as("X-Name", HeaderForm::Text).remove(0).into_text().unwrap();
    assert_eq!(name, "Jörg");
}
