//! What the daemon's own log tells of tokens. One test in a process of its own: tracing remembers for all threads who listens.

#[path = "suite/world.rs"]
#[allow(dead_code, reason = "a part of it is used here")]
mod world;

use parking_lot::Mutex;
use std::io;
use std::sync::Arc;
use waybill_authorizer::{Action, Need, Subject, TokenUpdate};
use world::{World, asked, stranger};

/// Collects lines.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn start(&self) -> tracing::subscriber::DefaultGuard {
        let log = self.clone();
        // Everything that anybody could turn on.
        let lines = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false).without_time();
        tracing::subscriber::set_default(lines.with_writer(move || log.clone()).finish())
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().clone()).unwrap()
    }
}

#[tokio::test]
async fn every_change_and_some_refusals_are_told_in_lines_without_secrets() {
    every_change_is_a_line_that_names_who_made_it().await;
    refusals_are_lines_and_not_too_many().await;
}

async fn every_change_is_a_line_that_names_who_made_it() {
    let log = Log::default();
    let _guard = log.start();
    let world = World::new().await;
    let (token, bearer) = world.token(&["tokens", "logs:get"], Some("acme")).await;
    let caller = world.bearer_of(&bearer, Need::new(Subject::Tokens, Action::Update));
    let update = TokenUpdate { metadata: Some("a\nforged line".into()), acl: None };
    world.tokens().update(&caller, token.id, update).await.unwrap();
    world.tokens().delete(&world.operator(), token.id).await.unwrap();
    let text = log.text();
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("waybill::audit")).collect();
    assert_eq!(lines.len(), 3, "{text}");
    for (line, (operation, by)) in lines.iter().zip([
        ("create", "by=admin socket".to_owned()),
        ("update", format!("by={}", token.id)),
        ("delete", "by=admin socket".to_owned()),
    ]) {
        for word in [
            "entity=\"tokens\"",
            &format!("operation=\"{operation}\""),
            &format!("id={}", token.id),
            "acl=\"tokens,logs:get\"",
            "tenant=\"acme\"",
            &by,
            "peer=",
        ] {
            assert!(line.contains(word), "{word} is not in {line}");
        }
    }
    assert!(!text.contains(&bearer.reveal()[4..]) && !text.contains("forged"), "{text}");
}

async fn refusals_are_lines_and_not_too_many() {
    let log = Log::default();
    let _guard = log.start();
    let world = World::new().await;
    for _ in 0..100 {
        let mut head = asked(stranger(), &[("authorization", "Bearer hunter2hunter2")]);
        head.uri = "/logs/%0afaked?token=secretquery".parse().unwrap();
        world.authorizer.authorize(&head, Need::new(Subject::Logs, Action::Get)).unwrap_err();
    }
    let text = log.text();
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("waybill::audit")).collect();
    assert_eq!(lines.len(), 10, "{text}");
    assert!(lines[0].contains("refused") && lines[0].contains("peer=192.0.2.9") && lines[0].contains("GET"), "{text}");
    assert!(!text.contains("hunter2") && !text.contains("secretquery"), "{text}");
    world.clock.advance(std::time::Duration::from_secs(6));
    world.authorizer.authorize(&asked(stranger(), &[]), Need::new(Subject::Logs, Action::Get)).unwrap_err();
    assert!(log.text().lines().last().unwrap().contains("untold=90"), "{}", log.text());
}
