//! Whatever comes in, the session neither panics nor hangs.

use crate::common::Setup;
use proptest::prelude::*;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Sends it all and hears the server out.
fn converse(input: &[u8], mode: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let setup = Setup::default().config(json!({
            "invalid_line_endings": mode, "max_message_size": 200, "line_length_hard_limit": 40,
            "max_recipients_per_message": 3,
        }));
        let mut client = setup.connect();
        let (mut reading, mut writing) = tokio::io::split(&mut client.stream);
        let mut heard = Vec::new();
        let write = async {
            // The server may be gone before it has read everything.
            let _ = writing.write_all(input).await;
            let _ = writing.shutdown().await;
        };
        let (read, ()) = tokio::join!(reading.read_to_end(&mut heard), write);
        read.unwrap();
        client.ended().await;
        for line in String::from_utf8(heard).expect("replies are text").split_terminator("\r\n") {
            let good = line.len() >= 4 && line.as_bytes()[..3].iter().all(u8::is_ascii_digit);
            assert!(good && line.len() <= 510 && !line.contains(char::is_control), "{line:?}");
        }
    });
}

fn lines() -> impl Strategy<Value = Vec<u8>> {
    let text = |text: &str| Just(text.as_bytes().to_vec());
    let line = prop_oneof![
        text("EHLO c.example\r\n"),
        text("HELO c.example\r\n"),
        text("MAIL FROM:<a@example.com>\r\n"),
        text("MAIL FROM:<é@example.com> SMTPUTF8 SIZE=5\r\n"),
        text("RCPT TO:<b@example.com>\r\n"),
        text("RCPT TO:<\"@@\"@example.com>\r\n"),
        text("DATA\r\n"),
        text(".\r\n"),
        text("\r\n.\r\n"),
        text("RSET\r\n"),
        text("QUIT\r\n"),
        text("\r\n"),
        text("\n"),
        text("MAIL FROM:<"),
        "(EHLO|MAIL FROM:|RCPT TO:|AUTH|VRFY) ?\\PC{0,20}\r\n".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..60),
    ];
    proptest::collection::vec(line, 0..30).prop_map(|lines| lines.concat())
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic_the_session(input in proptest::collection::vec(any::<u8>(), 0..3000), mode in 0..3usize) {
        converse(&input, ["Deny", "Allow", "Fix"][mode]);
    }

    #[test]
    fn commands_in_any_order_never_panic_the_session(input in lines(), mode in 0..3usize) {
        converse(&input, ["Deny", "Allow", "Fix"][mode]);
    }

    #[test]
    fn arbitrary_message_data_never_panics_the_session(body in proptest::collection::vec(any::<u8>(), 0..3000), mode in 0..3usize) {
        let mut input = b"HELO c\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n".to_vec();
        input.extend_from_slice(&body);
        converse(&input, ["Deny", "Allow", "Fix"][mode]);
    }
}
