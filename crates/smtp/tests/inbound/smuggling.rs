//! Two servers must never disagree about where a message ends.

use crate::common::Setup;
use serde_json::json;

/// What has been used in place of CRLF.CRLF.
const FALSE_ENDS: [&str; 10] =
    ["\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r.\r\n", "\r\n.\r", "\n.\r", "\r.\n", "\r\n\0.\r\n", "\r\n.\0\r\n"];

#[tokio::test]
async fn a_second_message_cannot_be_hidden_in_the_first() {
    for end in FALSE_ENDS {
        for mode in ["Deny", "Allow", "Fix"] {
            let mut client = Setup::default().config(json!({"invalid_line_endings": mode})).with_recipient().await;
            let hidden = "MAIL FROM:<evil@example.com>\r\nRCPT TO:<victim@example.com>\r\nDATA\r\nSubject: evil\r\n";
            let reply = client.submit(&format!("Subject: x\r\n\r\nbody{end}{hidden}")).await;
            client.send("QUIT\r\n").await;
            assert_eq!(client.rest().await, "221 mta.example says goodbye\r\n", "{end:?} {mode}: one reply, no more");
            let accepted = client.intake.accepted();
            assert!(accepted.iter().all(|message| message.sender == "a@example.com"), "{end:?} {mode}");
            let dirty = !end.contains('\0');
            if mode == "Deny" && dirty {
                assert_eq!(reply, "552 5.6.0 message data must use CRLF for line endings\r\n", "{end:?}");
                assert_eq!(accepted.len(), 0);
            } else {
                assert!(reply.starts_with("250 OK ids="), "{end:?} {mode}: {reply}");
                assert!(accepted[0].data.contains("Subject: evil"), "{end:?} {mode}");
            }
        }
    }
}

#[tokio::test]
async fn a_fixed_message_keeps_its_false_end_as_text() {
    let setup = Setup::default().config(json!({
        "invalid_line_endings": "Fix", "trace_headers": {"received_header": false, "supplemental_header": false},
    }));
    let mut client = setup.with_recipient().await;
    client.submit("a\n.\nb").await;
    assert_eq!(client.intake.accepted()[0].data, "a\r\n.\r\nb\r\n", "whoever sends it on stuffs the dot");
}

#[tokio::test]
async fn a_bare_line_end_does_not_end_a_command() {
    let mut client = Setup::default().greeted().await;
    for line in ["NOOP\nMAIL FROM:<a@example.com>", "NOOP\rRSET", "MAIL FROM:<a@example.com>\nX", "\n", "\r"] {
        assert!(client.say(line).await.starts_with("501 "), "{line:?}");
    }
    assert!(client.say("RCPT TO:<b@example.com>").await.starts_with("503 "));
}
