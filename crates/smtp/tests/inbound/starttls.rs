//! STARTTLS: RFC 3207.

use crate::common::{Client, Setup, returns};
use crate::tls_client;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use serde_json::json;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use waybill_policy::Value;
use waybill_smtp::inbound::ListenerConfig;

#[tokio::test]
async fn a_connection_can_be_encrypted_and_says_so() {
    let mut client = Setup::default().connect();
    client.reply().await;
    assert!(client.say("EHLO c.example").await.ends_with("250 STARTTLS\r\n"));
    client.secure().await;
    assert!(!client.say("EHLO c.example").await.contains("STARTTLS"));
    client.say("FOO").await;
    assert_eq!(client.say("MAIL FROM:<a@example.com>").await, "250 OK <a@example.com>\r\n");
    client.say("RCPT TO:<b@example.com>").await;
    assert!(client.submit("Subject: x\r\n").await.starts_with("250 OK ids="));
    let message = client.intake.accepted().remove(0);
    assert_eq!(message.meta["tls_cipher"], "TLS_AES_256_GCM_SHA384");
    assert_eq!(message.meta["tls_protocol_version"], "TLSv1.3");
    assert!(!message.meta.contains_key("tls_peer_subject_name"));
    assert!(message.data.contains("\r\n  with ESMTPS id "), "{}", message.data);
    for tls in [message.record.tls, client.intake.rejections().remove(0).tls] {
        assert_eq!(tls.cipher.as_deref(), Some("TLS_AES_256_GCM_SHA384"));
        assert_eq!(tls.protocol_version.as_deref(), Some("TLSv1.3"));
        assert_eq!(tls.peer_subject_name, None);
    }
    assert_eq!(client.say("QUIT").await, "221 mta.example says goodbye\r\n");
    assert_eq!(client.rest().await, "", "with a farewell of TLS: it would be an error without");
}

#[tokio::test]
async fn an_older_version_of_tls_is_named_as_well() {
    let mut client = Setup::default().greeted().await;
    client.say("STARTTLS").await;
    client.negotiate(&tls_client::only(&rustls::version::TLS12)).await.unwrap();
    client.say("EHLO c.example").await;
    client.say("FOO").await;
    let tls = client.intake.rejections().remove(0).tls;
    assert_eq!(tls.protocol_version.as_deref(), Some("TLSv1.2"));
    assert!(tls.cipher.unwrap().starts_with("TLS_ECDHE_"));
}

#[tokio::test]
async fn nothing_that_was_said_in_plain_text_counts() {
    let mut client = Setup::default().with_recipient().await;
    client.secure().await;
    for line in ["MAIL FROM:<a@example.com>", "RCPT TO:<b@example.com>", "DATA"] {
        assert!(client.say(line).await.starts_with("503 "), "{line}");
    }
    let record = client.intake.rejections().remove(0);
    assert_eq!((record.sender.as_str(), record.peer_address.unwrap().name.as_str()), ("", ""));
    client.say("HELO other.example").await;
    client.say("MAIL FROM:<c@example.com>").await;
    client.say("RCPT TO:<d@example.com>").await;
    client.submit("x").await;
    let message = client.intake.accepted().remove(0);
    assert_eq!((message.sender.as_str(), message.recipients), ("c@example.com", vec!["d@example.com".to_owned()]));
    assert_eq!(message.meta["ehlo_domain"], "other.example");
}

#[tokio::test]
async fn the_name_that_was_said_in_plain_text_is_forgotten() {
    let mut client = Setup::default()
        .on("smtp_server_rewrite_response", |args| {
            let (Value::Bytes(command), Value::Connection(meta)) = (&args[2], &args[3]) else {
                return Ok(waybill_policy::Returned::default());
            };
            if command != b"NOOP" {
                return Ok(waybill_policy::Returned::default());
            }
            let name = meta.get("ehlo_domain").unwrap_or_default().to_string();
            Ok(waybill_policy::Returned(vec![Value::Nil, name.as_str().into()]))
        })
        .greeted()
        .await;
    assert_eq!(client.say("NOOP").await, "250 \"client.example\"\r\n");
    client.secure().await;
    assert_eq!(client.say("NOOP").await, "250 null\r\n");
}

#[tokio::test]
async fn plain_text_that_is_sent_along_with_starttls_is_refused() {
    let mut client = Setup::default().greeted().await;
    client.send("STARTTLS\r\nMAIL FROM:<evil@example.com>\r\n").await;
    assert_eq!(client.rest().await, "501 5.5.1 nothing may follow STARTTLS before its answer\r\n");
    assert_eq!(client.intake.rejections()[0].response.command.as_deref(), Some("STARTTLS"));
}

#[tokio::test]
async fn plain_text_behind_the_answer_is_no_command() {
    let mut client = Setup::default().greeted().await;
    client.say("STARTTLS").await;
    client.send("NOOP\r\nQUIT\r\n").await;
    let mut heard = Vec::new();
    client.stream.read_to_end(&mut heard).await.unwrap();
    // An alert of TLS at most.
    assert!(!heard.contains(&b'2') || heard[0] == 0x15, "{heard:?}");
    client.ended().await;
}

#[tokio::test]
async fn tls_is_negotiated_once() {
    let mut client = Setup::default().secured().await;
    assert_eq!(client.say("STARTTLS").await, "503 5.5.1 this connection is encrypted already\r\n");
    assert_eq!(client.say("NOOP").await, "250 OK\r\n");
}

#[tokio::test]
async fn a_conversation_over_tls_may_be_pipelined_too() {
    let mut client = Setup::default().secured().await;
    client.send("MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n").await;
    for code in ["250", "250", "354"] {
        assert!(client.reply().await.starts_with(code));
    }
    let body = "x".repeat(900) + "\r\n";
    client.send(format!("{}.\r\nQUIT\r\n", body.repeat(2000))).await;
    let rest = client.rest().await;
    assert!(rest.starts_with("250 OK ids=") && rest.ends_with("\r\n221 mta.example says goodbye\r\n"), "{rest}");
    assert!(client.intake.accepted()[0].data.len() > 1_800_000);
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_does_not_come_is_not_waited_for() {
    let mut client = Setup::default().greeted().await;
    client.say("STARTTLS").await;
    let start = tokio::time::Instant::now();
    client.ended().await;
    assert!((30..32).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_handshake() {
    let mut client = Setup::default().greeted().await;
    client.say("STARTTLS").await;
    client.stop.send_replace(true);
    client.ended().await;
}

/// A certificate for `name` and its key, in PEM form.
fn pair(name: &str) -> (rcgen::Certificate, String, String) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    (made.cert, certificate, key)
}

/// The certificate that a new connection gets to see.
async fn shown(client: &mut Client) -> Vec<u8> {
    assert!(client.reply().await.starts_with("220 "));
    client.secure().await.to_vec()
}

#[tokio::test]
async fn the_certificate_comes_from_a_file_or_stands_in_the_policy() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, pem, key) = pair("mta.example");
    let (certificate_file, key_file) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&certificate_file, &pem).unwrap();
    std::fs::write(&key_file, &key).unwrap();
    for keys in [
        json!({"tls_certificate": certificate_file, "tls_private_key": key_file}),
        json!({"tls_certificate": {"key_data": pem}, "tls_private_key": {"key_data": key}}),
        json!({"peer": {"127.0.0.0/8": {"tls_certificate": certificate_file, "tls_private_key": {"key_data": key}}}}),
    ] {
        let mut client = Setup::default().config(keys.clone()).connect();
        assert_eq!(shown(&mut client).await, certificate.der().to_vec(), "{keys}");
    }
    let mut client = Setup::default().connect();
    assert_ne!(shown(&mut client).await, certificate.der().to_vec());
}

#[tokio::test(start_paused = true)]
async fn a_renewed_certificate_is_taken_up_and_a_broken_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate_file, key_file) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let write = |(_, pem, key): &(rcgen::Certificate, String, String)| {
        std::fs::write(&certificate_file, pem).unwrap();
        std::fs::write(&key_file, key).unwrap();
    };
    let (old, new) = (pair("mta.example"), pair("mta.example"));
    write(&old);
    let setup = Setup::default().config(json!({"tls_certificate": certificate_file, "tls_private_key": key_file}));
    let mut client = setup.connect();
    let shared = client.shared.clone();
    assert_eq!(shown(&mut client).await, old.0.der().to_vec());
    write(&new);
    // Within the minute nothing is read again.
    for (seconds, expected) in [(30, &old), (61, &new)] {
        tokio::time::advance(Duration::from_secs(seconds)).await;
        assert_eq!(shown(&mut Client::of(shared.clone())).await, expected.0.der().to_vec());
    }
    std::fs::write(&certificate_file, "no certificate").unwrap();
    tokio::time::advance(Duration::from_secs(61)).await;
    assert_eq!(shown(&mut Client::of(shared.clone())).await, new.0.der().to_vec());
}

#[tokio::test]
async fn clients_must_show_a_certificate_of_the_authority_that_is_asked_for() {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let mut params = CertificateParams::new(["client.example".to_owned()]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Example");
    params.distinguished_name.push(DnType::CommonName, "client.example");
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    let key_of = |key: &KeyPair| PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let setup = || Setup::default().config(json!({"tls_required_client_ca": {"key_data": authority.pem()}}));

    let mut client = setup().greeted().await;
    client.say("STARTTLS").await;
    client.negotiate(&tls_client::showing(vec![certificate.der().clone()], key_of(&key))).await.unwrap();
    client.say("EHLO c.example").await;
    client.say("FOO").await;
    let subject = client.intake.rejections().remove(0).tls.peer_subject_name.unwrap();
    assert_eq!(subject, ["O=Example", "CN=client.example"]);

    let own = KeyPair::generate().unwrap();
    let stranger_key = key_of(&own);
    let signed = CertificateParams::new(["client.example".to_owned()]).unwrap().self_signed(&own).unwrap();
    for config in [tls_client::config(), tls_client::showing(vec![signed.der().clone()], stranger_key)] {
        let mut client = setup().greeted().await;
        client.say("STARTTLS").await;
        // With TLS 1.3 the client learns of the refusal only when it reads.
        if client.negotiate(&config).await.is_ok() {
            let _ = tokio::io::AsyncWriteExt::write_all(&mut client.stream, b"EHLO c.example\r\n").await;
            let mut heard = Vec::new();
            assert!(client.stream.read_to_end(&mut heard).await.is_err(), "{heard:?}");
        }
        client.ended().await;
    }
}

#[test]
fn a_certificate_that_cannot_be_used_is_named_with_its_key_and_file() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let (_, pem, key) = pair("a.example");
    let (_, _, other_key) = pair("b.example");
    let data = |text: &str| json!({"key_data": text});
    for (keys, words) in [
        (
            json!({"tls_certificate": "/no/such.pem", "tls_private_key": data(&key)}),
            vec!["`tls_certificate`", "/no/such.pem"],
        ),
        (json!({"tls_certificate": empty, "tls_private_key": data(&key)}), vec!["`tls_certificate`", "empty.pem"]),
        (json!({"tls_certificate": data(&pem), "tls_private_key": data("x")}), vec!["`tls_private_key`", "key_data"]),
        (json!({"tls_certificate": data(&pem), "tls_private_key": data(&other_key)}), vec!["`tls_private_key`"]),
        (json!({"tls_certificate": data(&pem)}), vec!["`tls_certificate` needs `tls_private_key`"]),
        (json!({"tls_private_key": data(&key)}), vec!["`tls_private_key` needs `tls_certificate`"]),
        (json!({"tls_required_client_ca": "/no/such.pem"}), vec!["`tls_required_client_ca`", "/no/such.pem"]),
        (
            json!({"via": {"::/0": {"tls_certificate": "/no/such.pem", "tls_private_key": "/no/key"}}}),
            vec!["/no/such.pem"],
        ),
    ] {
        let config: ListenerConfig = serde_json::from_value(keys.clone()).unwrap();
        let error = config.check_tls().unwrap_err();
        assert!(words.iter().all(|word| error.contains(word)), "{keys}: {error}");
        assert!(!error.contains("PRIVATE"), "{error}");
    }
    let good = json!({"tls_certificate": data(&pem), "peer": {"::/0": {"tls_private_key": data(&key)}}});
    let config: ListenerConfig = serde_json::from_value(good).unwrap();
    assert!(config.check_tls().is_err(), "the listener itself has no key");
}

#[tokio::test]
async fn a_certificate_that_is_gone_refuses_tls_and_nothing_else() {
    let keys = json!({"tls_certificate": "/no/such.pem", "tls_private_key": "/no/such.key"});
    let mut client = Setup::default().config(keys).greeted().await;
    assert_eq!(client.say("STARTTLS").await, "454 4.7.0 TLS is not available right now\r\n");
    assert_eq!(client.say("NOOP").await, "250 OK\r\n");
}

#[tokio::test]
async fn a_script_cannot_offer_what_is_in_force_already() {
    let list = Value::Json(json!(["PIPELINING", "STARTTLS"]));
    let mut client = Setup::default().on("smtp_server_ehlo", returns(list)).connect();
    client.reply().await;
    assert_eq!(
        client.say("EHLO c.example").await,
        "250-mta.example Aloha c.example\r\n250-PIPELINING\r\n250 STARTTLS\r\n"
    );
    client.secure().await;
    assert_eq!(client.say("EHLO c.example").await, "250-mta.example Aloha c.example\r\n250 PIPELINING\r\n");
}
