//! AUTH PLAIN, without TLS where a policy allows it.

use crate::common::*;
use crate::server::{Do, Server, reply, say};
use serde_json::{Value, json};

fn path() -> Value {
    json!({"smtp_auth_plain_username": "user", "smtp_auth_plain_password": {"key_data": "s3cret"},
        "allow_smtp_auth_plain_without_tls": true})
}

async fn server(answer: &'static str) -> Server {
    Server::scripted(move |step| match step.line.as_str() {
        line if line.starts_with("EHLO") => Do::Say(reply(250, "mx.test\nAUTH LOGIN PLAIN")),
        line if line.starts_with("AUTH") => say(answer),
        _ => Do::Usual,
    })
    .await
}

#[tokio::test]
async fn a_path_with_a_name_says_it_before_any_mail() {
    let server = server("235 2.7.0 fine").await;
    Way::to(&server).path(path()).send(&message(&["rcpt@there.example"])).await;
    // \0user\0s3cret
    assert_eq!(server.lines()[1], "AUTH PLAIN AHVzZXIAczNjcmV0");
    assert_eq!(server.messages().len(), 1);
}

#[tokio::test]
async fn a_password_comes_from_a_file_too() {
    let file = std::env::temp_dir().join(format!("waybill-auth-{}", std::process::id()));
    std::fs::write(&file, "s3cret\n").unwrap();
    let server = server("235 2.7.0 fine").await;
    let way = Way::to(&server).path(path()).path(json!({"smtp_auth_plain_password": file.to_str().unwrap()}));
    way.send(&message(&["rcpt@there.example"])).await;
    std::fs::remove_file(&file).unwrap();
    assert_eq!(server.lines()[1], "AUTH PLAIN AHVzZXIAczNjcmV0");
}

#[tokio::test]
async fn a_refused_password_is_no_connection_and_is_shown_nowhere() {
    let text = Way::to(&server("535 5.7.8 no").await).path(path()).refused().await;
    assert!(text.ends_with("AUTH PLAIN: 535 5.7.8 no"), "{text}");
    assert!(!text.contains("s3cret") && !text.contains("AHVzZXIA"), "{text}");
}

#[tokio::test]
async fn a_password_is_not_said_in_the_open_unless_a_policy_allows_it() {
    let server = server("235 2.7.0 fine").await;
    let way = Way::to(&server).path(path()).path(json!({"allow_smtp_auth_plain_without_tls": false}));
    let text = way.refused().await;
    assert!(text.contains("AUTH PLAIN needs TLS here"), "{text}");
    assert_eq!(server.lines(), ["EHLO us.example"]);
}

#[tokio::test]
async fn a_server_that_wants_no_password_gets_no_mail() {
    let text = Way::to(&Server::start().await).path(path()).refused().await;
    assert!(text.ends_with("the server does not offer AUTH PLAIN"), "{text}");
}
