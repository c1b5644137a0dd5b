//! Whatever a client sends, it costs a bounded amount of memory and time.

use crate::common::Setup;
use serde_json::json;
use std::collections::BTreeSet;
use waybill_policy::Returned;

#[tokio::test]
async fn recipients_messages_and_sizes_are_limited() {
    let setup = Setup::default().config(json!({
        "max_recipients_per_message": 2, "max_messages_per_connection": 2, "max_message_size": 100,
        "line_length_hard_limit": 60,
    }));
    let mut client = setup.with_recipient().await;
    assert!(client.say("RCPT TO:<c@example.com>").await.starts_with("250"));
    assert_eq!(client.say("RCPT TO:<d@example.com>").await, "452 4.5.3 too many recipients\r\n");
    assert_eq!(client.submit(&"x".repeat(61)).await, "500 5.2.3 line too long\r\n");
    assert!(client.say("MAIL FROM:<a@example.com>").await.starts_with("250"));
    assert!(client.say("RCPT TO:<c@example.com>").await.starts_with("250"));
    assert_eq!(client.submit(&"12345678\r\n".repeat(10)).await, "552 5.3.4 message too big\r\n");
    assert_eq!(
        client.say("MAIL FROM:<a@example.com>").await,
        "421 4.3.2 mta.example too many messages on this connection\r\n"
    );
    assert_eq!(client.rest().await, "");
    assert_eq!(client.intake.accepted().len(), 0);
}

#[tokio::test]
async fn a_large_message_to_many_recipients_is_in_memory_once() {
    // Few and short enough for the test below, which measures the process.
    const RECIPIENTS: usize = 20;
    let text = "twelve chars\r\n".repeat(5_000);
    // Also where policy sees each of them, with its trace headers.
    for handles in [false, true] {
        let setup = Setup::default();
        let setup = if handles { setup.on("smtp_server_message_received", |_| Ok(Returned::default())) } else { setup };
        let mut client = setup.with_recipient().await;
        for number in 1..RECIPIENTS {
            assert!(client.say(&format!("RCPT TO:<u{number}@example.com>")).await.starts_with("250"));
        }
        let reply = client.submit(&text).await;
        assert!(reply.starts_with("250"), "{reply}");
        let accepted = client.intake.accepted();
        let places: BTreeSet<usize> = accepted.iter().map(|message| message.body.0).collect();
        assert_eq!((accepted.len(), places.len()), (RECIPIENTS, 1));
        for message in &accepted {
            let (own, rest) = message.data.split_at(message.body.1);
            assert!(own.len() < 1000 && own.contains(&format!("id {} for <{}>", message.id, message.recipients[0])));
            assert!(rest.starts_with("twelve chars\r\n") && rest.len() >= text.len(), "{}", rest.len());
        }
    }
}

#[tokio::test]
async fn a_client_that_only_makes_mistakes_is_turned_away() {
    let mut client = Setup::default().with_recipient().await;
    for _ in 0..2000 {
        assert!(client.say("FOO").await.starts_with("502"));
    }
    assert_eq!(client.say("FOO").await, "421 4.7.0 mta.example too many refused commands\r\n");
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn a_refused_message_does_not_end_the_session() {
    let mut client = Setup::default().config(json!({"max_message_size": 1000})).with_recipient().await;
    assert_eq!(client.submit(&"12345678\r\n".repeat(10_000)).await, "552 5.3.4 message too big\r\n");
    client.say("MAIL FROM:<a@example.com>").await;
    client.say("RCPT TO:<b@example.com>").await;
    assert!(client.submit("small").await.starts_with("250 OK ids="));
}

/// The most memory that this process ever had, in MiB.
fn peak_mib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok()).unwrap_or(0) / 1024
}

/// Set in a process that has nothing else to do: what other tests hold at the same time is not measured.
const ALONE: &str = "WAYBILL_TEST_ALONE";

#[tokio::test]
async fn lines_of_a_hundred_megabytes_do_not_grow_memory() {
    if std::env::var_os(ALONE).is_none() {
        let mut alone = tokio::process::Command::new(std::env::current_exe().unwrap());
        alone.args(["--exact", "limits::lines_of_a_hundred_megabytes_do_not_grow_memory", "--nocapture"]);
        let output = alone.env(ALONE, "1").output().await.unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        return assert!(output.status.success() && said.contains("1 passed"), "{said}");
    }
    let before = peak_mib();
    let chunk = vec![b'x'; 100 * 1024];
    let mut client = Setup::default().with_recipient().await;
    for _ in 0..1024 {
        client.send(&chunk).await;
    }
    assert_eq!(client.say("").await, "500 5.2.3 line too long\r\n");
    assert!(client.say("DATA").await.starts_with("354"));
    // The message is refused after 998 bytes; 80 MiB later, four times what a message may have, we hang up.
    let refused = loop {
        if tokio::io::AsyncWriteExt::write_all(&mut client.stream, &chunk).await.is_err() {
            break client.rest().await;
        }
    };
    assert_eq!(refused, "500 5.2.3 line too long\r\n");
    client.ended().await;
    let grown = peak_mib() - before;
    assert!(grown < 64, "{grown} MiB");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_nothing_is_sent_away() {
    let mut client = Setup::default().greeted().await;
    assert_eq!(client.rest().await, "421 4.3.2 mta.example idle for too long\r\n");
    let mut client = Setup::default().with_recipient().await;
    client.say("DATA").await;
    client.send("Subject: x\r\n").await;
    assert_eq!(client.rest().await, "421 4.3.2 mta.example idle for too long\r\n");
    assert_eq!(client.intake.rejections().len(), 0, "nobody was rejected");
    assert_eq!(client.intake.accepted().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_byte_now_and_then_is_no_command() {
    let client = Setup::default().greeted().await;
    let start = tokio::time::Instant::now();
    let trickle = async {
        let mut stream = tokio::io::split(client.stream);
        let drip = async {
            loop {
                tokio::time::sleep(std::time::Duration::from_secs(20)).await;
                if tokio::io::AsyncWriteExt::write_all(&mut stream.1, b"N").await.is_err() {
                    break;
                }
            }
        };
        let mut heard = Vec::new();
        let listen = tokio::io::AsyncReadExt::read_to_end(&mut stream.0, &mut heard);
        let ((), read) = tokio::join!(drip, listen);
        read.unwrap();
        String::from_utf8(heard).unwrap()
    };
    assert_eq!(trickle.await, "421 4.3.2 mta.example idle for too long\r\n");
    assert!(start.elapsed() < std::time::Duration::from_secs(100));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_given_up() {
    let mut client = Setup::default().greeted().await;
    let commands = "NOOP\r\n".repeat(40_000);
    let sent = tokio::io::AsyncWriteExt::write_all(&mut client.stream, commands.as_bytes()).await;
    assert!(sent.is_err(), "the server has gone");
    client.ended().await;
}
