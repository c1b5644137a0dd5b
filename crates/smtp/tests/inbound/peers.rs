//! Other people's programs as clients, over real sockets. Each test says so and passes where its program is missing.

use crate::common::Setup;
use crate::listening::{Listener, is_here, swaks, swaks_can_encrypt, talk, with_tim};
use serde_json::json;
use tokio::process::Command;

#[tokio::test]
async fn swaks_encrypts_and_authenticates() {
    if !swaks_can_encrypt().await {
        return;
    }
    let listener = Listener::start(with_tim()).await;
    let login = ["--tls", "--auth", "PLAIN", "--auth-user", "tim", "--auth-password", "secret"];
    let said = swaks(&listener, &login).await;
    assert!(said.contains("235 2.7.0 AUTH OK!"), "{said}");
    let meta = listener.meta();
    assert_eq!((&meta["authn_id"], &meta["tls_protocol_version"]), (&json!("tim"), &json!("TLSv1.3")));
}

#[tokio::test]
async fn swaks_pipelines_a_large_message() {
    if !swaks_can_encrypt().await {
        return;
    }
    let listener = Listener::start(Setup::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("body");
    let line = "x".repeat(78) + "\n";
    std::fs::write(&file, line.repeat(100_000)).unwrap();
    let body = format!("@{}", file.display());
    swaks(&listener, &["--pipeline", "--body", &body]).await;
    swaks(&listener, &["--pipeline", "--tls", "--body", &body]).await;
    let sizes: Vec<_> =
        listener.intake.accepted().iter().map(|message| message.data.matches(line.trim_end()).count()).collect();
    assert_eq!(sizes, [100_000, 100_000]);
}

#[tokio::test]
async fn swaks_speaks_for_somebody_else() {
    if !is_here("swaks", "swaks").await {
        return;
    }
    let config = json!({"relay_hosts": ["192.0.2.0/24"], "peer": {"127.0.0.1": {"allow_xclient": true}}});
    let listener = Listener::start(Setup::default().config(config)).await;
    let said = swaks(&listener, &["--xclient-addr", "192.0.2.7", "--xclient-port", "99"]).await;
    assert!(said.contains("XCLIENT ADDR=192.0.2.7 PORT=99"), "{said}");
    assert_eq!(listener.meta()["received_from"], "192.0.2.7:99");
}

#[tokio::test]
async fn swaks_comes_through_a_proxy_of_either_version() {
    if !is_here("swaks", "swaks").await {
        return;
    }
    for version in ["1", "2"] {
        let config = json!({"relay_hosts": ["192.0.2.0/24"], "peer": {"127.0.0.1": {"require_proxy_protocol": true}}});
        let listener = Listener::start(Setup::default().config(config)).await;
        let (family, command): (&str, &[&str]) = match version {
            "1" => ("TCP4", &[]),
            _ => ("AF_INET", &["--proxy-command", "PROXY", "--proxy-protocol", "STREAM"]),
        };
        let mut args = vec!["--proxy-version", version, "--proxy-family", family];
        args.extend(["--proxy-source", "192.0.2.7", "--proxy-source-port", "256"]);
        args.extend(["--proxy-dest", "192.0.2.1", "--proxy-dest-port", "25"]);
        args.extend(command);
        swaks(&listener, &args).await;
        let meta = listener.meta();
        assert_eq!((&meta["received_from"], &meta["received_via"]), (&json!("192.0.2.7:256"), &json!("192.0.2.1:25")));
        assert!(meta["orig_received_from"].as_str().unwrap().starts_with("127.0.0.1:"));
    }
}

#[tokio::test]
async fn smtp_source_sends_many_messages_over_many_connections() {
    if !is_here("smtp-source", "postfix").await {
        return;
    }
    let listener = Listener::start(Setup::default()).await;
    let mut command = Command::new("smtp-source");
    command.args(["-s", "10", "-m", "200", "-l", "5000", "-r", "2", "-f", "a@example.com", "-t", "b@example.com"]);
    talk(command.arg(format!("inet:{}", listener.address)), "").await;
    assert_eq!(listener.intake.accepted().len(), 400, "two recipients each");
}

const SMTPLIB: &str = r#"
import smtplib, ssl, sys
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
with smtplib.SMTP('127.0.0.1', int(sys.argv[1]), 'c.example', timeout=30) as smtp:
    smtp.starttls(context=context)
    try:
        smtp.login('tim', 'wrong')
        sys.exit('the wrong password was taken')
    except smtplib.SMTPAuthenticationError as error:
        assert error.smtp_code == 535, error
    smtp.login('tim', 'secret')
    body = 'Subject: x\r\n\r\n' + ''.join('.line %d\r\n' % n for n in range(1000))
    assert smtp.sendmail('a@example.com', ['b@elsewhere.example', 'c@elsewhere.example'], body) == {}
    print(smtp.sock.version())
"#;

#[tokio::test]
async fn smtplib_encrypts_authenticates_and_stuffs_dots() {
    if !is_here("python3", "python3").await {
        return;
    }
    let listener = Listener::start(with_tim()).await;
    let mut command = Command::new("python3");
    let said = talk(command.args(["-", &listener.address.port().to_string()]), SMTPLIB).await;
    assert!(said.contains("TLSv1.3"), "{said}");
    let accepted = listener.intake.accepted();
    assert_eq!(accepted.len(), 2);
    assert!(accepted[0].data.ends_with("\r\n.line 998\r\n.line 999\r\n"));
    assert!(accepted[0].data.contains("with ESMTPSA id"));
}
