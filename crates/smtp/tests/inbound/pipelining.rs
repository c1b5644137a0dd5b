//! Many commands in one packet.

use crate::common::Setup;
use tokio::io::AsyncReadExt as _;

#[tokio::test]
async fn replies_to_a_batch_come_in_order_and_in_one_piece() {
    let mut client = Setup::default().greeted().await;
    client.send("MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nRCPT TO:<>\r\nNOOP\r\nDATA\r\n").await;
    let mut piece = [0; 4096];
    let len = client.stream.read(&mut piece).await.unwrap();
    let codes: Vec<_> = std::str::from_utf8(&piece[..len]).unwrap().lines().map(|line| &line[..3]).collect();
    assert_eq!(codes, ["250", "250", "501", "250", "354"]);
    client.send("Subject: x\r\n\r\n.\r\nMAIL FROM:<c@example.com>\r\nRSET\r\nQUIT\r\n").await;
    let rest = client.rest().await;
    let codes: Vec<_> = rest.lines().map(|line| &line[..3]).collect();
    assert_eq!(codes, ["250", "250", "250", "221"]);
    assert_eq!(client.intake.accepted().len(), 1);
}

#[tokio::test]
async fn half_a_command_does_not_hold_replies_back() {
    let mut client = Setup::default().greeted().await;
    client.send("NOOP\r\nNO").await;
    assert_eq!(client.reply().await, "250 OK\r\n");
    client.send("OP\r").await;
    assert!(client.hears_nothing().await);
    client.send("\n").await;
    assert_eq!(client.reply().await, "250 OK\r\n");
}

#[tokio::test]
async fn a_conversation_byte_by_byte_is_the_same_conversation() {
    let mut client = Setup::default().connect();
    let script = "EHLO c.example\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n\
                  Subject: x\r\n\r\n..dot\r\n.\r\nQUIT\r\n";
    for byte in script.bytes() {
        client.send([byte]).await;
        tokio::task::yield_now().await;
    }
    let rest = client.rest().await;
    let codes: Vec<_> = rest.lines().map(|line| &line[..3]).collect();
    assert_eq!(codes, ["220", "250", "250", "250", "250", "250", "250", "250", "250", "354", "250", "221"]);
    assert!(client.intake.accepted()[0].data.ends_with("Subject: x\r\n\r\n.dot\r\n"));
}

#[tokio::test]
async fn lines_behind_a_refused_data_are_commands() {
    let mut client = Setup::default().greeted().await;
    client.send("DATA\r\nSubject: x\r\n.\r\nQUIT\r\n").await;
    let rest = client.rest().await;
    let codes: Vec<_> = rest.lines().map(|line| &line[..3]).collect();
    assert_eq!(codes, ["503", "502", "502", "221"]);
    assert_eq!(client.intake.accepted().len(), 0);
}

#[tokio::test]
async fn nothing_is_answered_behind_quit() {
    let mut client = Setup::default().greeted().await;
    client.send("QUIT\r\nNOOP\r\n").await;
    assert_eq!(client.rest().await, "221 mta.example says goodbye\r\n");
}

#[tokio::test]
async fn a_client_that_never_reads_gets_no_unbounded_buffer() {
    // The pipe holds 64 KiB each way: had the server gone on reading, all of this would fit into its memory.
    let mut client = Setup::default().greeted().await;
    let commands = "NOOP\r\n".repeat(1024);
    let mut sent = 0;
    let flood = async {
        loop {
            client.send(&commands).await;
            sent += commands.len();
        }
    };
    let settled = async {
        for _ in 0..10_000 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        () = flood => unreachable!(),
        () = settled => {}
    }
    assert!(sent < 512 * 1024, "{sent}");
}
