//! Every command that asks a daemon can ask it over HTTP, with a token.

mod recording;

use recording::daemon;

/// Commands, and what they ask for.
const COMMANDS: &[(&[&str], &str)] = &[
    (&["hooks", "list"], "GET /api/hooks/v1"),
    (&["hooks", "pause", "web"], "POST /api/hooks/v1/web/pause"),
    (&["hooks", "forget", "web"], "DELETE /api/hooks/v1/web"),
    (&["logs", "list"], "GET /logs"),
    (&["logs", "create", "--compacting"], "POST /logs"),
    (&["offsets", "get", "off_1"], "GET /offset/off_1"),
    (&["egress-webhooks", "status", "ewh_1"], "GET /egress_webhook/ewh_1/status"),
    (&["filters", "list"], "GET /filters"),
    (&["ingress-webhooks", "delete", "iwh_1"], "DELETE /ingress_webhook/iwh_1"),
    (&["publish", "log_1", "--value", "x"], "POST /message/log_1"),
    (&["consume", "log_1"], "GET /messages/log_1"),
    (&["get-by-offset", "log_1"], "GET /message/log_1"),
    (&["cleanup", "log_1", "--trim-count", "1"], "DELETE /messages/log_1"),
    (&["event-hooks", "get", "x"], "GET /event-hooks/x"),
    (&["event-hooks", "delete", "x"], "DELETE /event-hooks/x"),
    (&["tail", "--count", "1"], "GET /event-hooks/events"),
    (&["tokens", "list"], "GET /tokens"),
];

#[tokio::test]
async fn every_command_asks_the_admin_socket_or_an_endpoint_with_a_token() {
    let daemon = daemon().await;
    let file = daemon.dir.path().join("token");
    std::fs::write(&file, "wbt_secret\n").unwrap();
    let shown = ["--token-file", file.to_str().unwrap()];
    for (words, asked) in COMMANDS {
        daemon.run(words).await.unwrap_or_else(|error| panic!("{words:?}: {error:#}"));
        let last = daemon.last();
        assert!(last.starts_with(asked) && last.contains(" [-] "), "{words:?}: {last}");
        let there = [words, &["--endpoint", &daemon.http][..], &shown].concat();
        daemon.run(&there).await.unwrap_or_else(|error| panic!("{there:?}: {error:#}"));
        let last = daemon.last();
        assert!(last.starts_with(asked) && last.contains(" [Bearer wbt_secret] "), "{there:?}: {last}");
        let nowhere = daemon.run(&[words, &["--endpoint", "ftp://x"][..]].concat()).await.unwrap_err();
        assert!(nowhere.to_string().contains("expected http://HOST:PORT"), "{words:?}: {nowhere:#}");
    }
}
