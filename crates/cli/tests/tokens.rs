//! `waybill tokens` against a daemon that writes down what it is asked.

mod recording;

use recording::{Daemon, daemon};
use waybill_cli::{ApiError, Misuse};

/// Runs `waybill tokens` with these words.
async fn tokens(daemon: &Daemon, words: &[&str]) -> anyhow::Result<()> {
    daemon.run(&[&["tokens"], words].concat()).await
}

#[tokio::test]
async fn every_command_asks_the_admin_socket_as_the_api_expects() {
    let daemon = daemon().await;
    for (words, asked) in [
        (&["create"][..], "POST /tokens [-] {}"),
        (
            &["create", "--metadata", "CI", "--acl", "logs:get,tokens", "--acl", "admin", "--tenant", "acme"],
            r#"POST /tokens [-] {"acl":["logs:get","tokens","admin"],"metadata":"CI","tenant":"acme"}"#,
        ),
        (&["list"], "GET /tokens [-] "),
        (&["list", "--metadata", "a&b=c"], "GET /tokens?metadata=a%26b%3Dc [-] "),
        (&["get", "tok_x"], "GET /token/tok%5Fx [-] "),
        (&["get", "../metrics?x"], "GET /token/%2E%2E%2Fmetrics%3Fx [-] "),
        (&["update", "tok_x", "--acl", "logs"], r#"PATCH /token/tok%5Fx [-] {"acl":["logs"]}"#),
        (&["delete", "tok_x"], "DELETE /token/tok%5Fx [-] "),
    ] {
        tokens(&daemon, words).await.unwrap();
        assert_eq!(daemon.last(), asked);
    }
    let misuse = tokens(&daemon, &["update", "tok_x"]).await.unwrap_err();
    assert!(misuse.is::<Misuse>() && misuse.to_string().contains("--metadata or --acl"), "{misuse}");
}

#[tokio::test]
async fn over_http_a_token_from_a_file_is_shown_and_none_can_stand_on_the_command_line() {
    let daemon = daemon().await;
    let file = daemon.dir.path().join("token");
    std::fs::write(&file, "wbt_secret\n").unwrap();
    let file = file.to_str().unwrap();
    tokens(&daemon, &["list", "--endpoint", &daemon.http, "--token-file", file]).await.unwrap();
    assert_eq!(daemon.last(), "GET /tokens [Bearer wbt_secret] ");
    tokens(&daemon, &["list", "--endpoint", &daemon.http]).await.unwrap();
    assert_eq!(daemon.last(), "GET /tokens [-] ");
    assert!(tokens(&daemon, &["list", "--token", "wbt_secret"]).await.is_err());
    let missing = tokens(&daemon, &["list", "--token-file", "/nonexistent"]).await.unwrap_err();
    assert!(format!("{missing:#}").contains("/nonexistent"), "{missing:#}");
}

#[tokio::test]
async fn an_error_of_the_api_is_its_json_and_another_answer_a_sentence() {
    let daemon = daemon().await;
    let error = tokens(&daemon, &["get", "none"]).await.unwrap_err();
    assert!(error.is::<ApiError>());
    assert_eq!(error.to_string(), "{\n  \"code\": \"token-not-found\",\n  \"message\": \"there is no token none\"\n}");
    let error = tokens(&daemon, &["get", "text"]).await.unwrap_err();
    assert!(!error.is::<ApiError>() && error.to_string().contains("502"), "{error}");
}
