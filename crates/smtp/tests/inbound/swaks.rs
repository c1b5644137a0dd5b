//! Everything that swaks can ask of a server, with the answer to each.

use crate::common::Setup;
use crate::listening::{Listener, is_here, swaks, swaks_can_encrypt, swaks_code, swaks_ends, with_tim};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair};
use serde_json::json;

/// The lines that the server said, without swaks' marks.
fn answers(said: &str) -> Vec<&str> {
    said.lines().filter_map(|line| line.strip_prefix("<-  ").or_else(|| line.strip_prefix("<~  "))).collect()
}

const GREETING: &str = "220 mta.example KumoMTA";
const OFFERS: [&str; 6] = [
    "250-mta.example Aloha c.example",
    "250-PIPELINING",
    "250-ENHANCEDSTATUSCODES",
    "250-8BITMIME",
    "250-SMTPUTF8",
    "250 STARTTLS",
];
const OFFERS_OVER_TLS: [&str; 6] = [
    "250-mta.example Aloha c.example",
    "250-PIPELINING",
    "250-ENHANCEDSTATUSCODES",
    "250-8BITMIME",
    "250-SMTPUTF8",
    "250 AUTH PLAIN",
];
const GOODBYE: &str = "221 mta.example says goodbye";
const TLS: &str = "220 2.0.0 ready for TLS";
const LOGIN: [&str; 6] = ["--auth", "PLAIN", "--auth-user", "tim", "--auth-password", "secret"];

#[tokio::test]
async fn a_client_that_quits_after_any_stage_has_heard_just_that_far() {
    if !swaks_can_encrypt().await {
        return;
    }
    let listener = Listener::start(with_tim()).await;
    let stages: [(&str, &[&[&str]]); 7] = [
        ("BANNER", &[&[GREETING]]),
        ("FIRST-EHLO", &[&[GREETING], &OFFERS]),
        ("TLS", &[&[GREETING], &OFFERS, &[TLS]]),
        ("EHLO", &[&[GREETING], &OFFERS, &[TLS], &OFFERS_OVER_TLS]),
        ("AUTH", &[&[GREETING], &OFFERS, &[TLS], &OFFERS_OVER_TLS, &["235 2.7.0 AUTH OK!"]]),
        ("MAIL", &[&[GREETING], &OFFERS, &[TLS], &OFFERS_OVER_TLS, &["235 2.7.0 AUTH OK!", "250 OK <a@example.com>"]]),
        (
            "RCPT",
            &[
                &[GREETING],
                &OFFERS,
                &[TLS],
                &OFFERS_OVER_TLS,
                &["235 2.7.0 AUTH OK!", "250 OK <a@example.com>", "250 OK <b@example.com>"],
            ],
        ),
    ];
    for (stage, heard) in stages {
        let said = swaks(&listener, &[&["--tls", "--quit-after", stage][..], &LOGIN].concat()).await;
        let expected: Vec<&str> = heard.concat().into_iter().chain([GOODBYE]).collect();
        assert_eq!(answers(&said), expected, "{stage}");
    }
    assert!(listener.intake.accepted().is_empty() && listener.intake.rejections().is_empty());
}

#[tokio::test]
async fn a_client_that_hangs_up_at_any_stage_leaves_nothing_behind() {
    if !is_here("swaks", "swaks").await {
        return;
    }
    let listener = Listener::start(Setup::default()).await;
    // A client sends nothing for a greeting.
    swaks(&listener, &["--drop-after", "BANNER"]).await;
    for stage in ["EHLO", "MAIL", "RCPT", "DATA"] {
        swaks(&listener, &["--drop-after", stage]).await;
        swaks(&listener, &["--drop-after-send", stage]).await;
        assert!(listener.intake.accepted().is_empty(), "{stage}");
        assert!(listener.intake.rejections().is_empty(), "{stage}: {:?}", listener.intake.rejections());
    }
    // The listener is well, and this is the only message.
    swaks(&listener, &["--drop-after", "DOT"]).await;
    assert_eq!(listener.only().recipients, ["b@example.com"]);
}

#[tokio::test]
async fn every_protocol_is_named_in_the_trace() {
    if !swaks_can_encrypt().await {
        return;
    }
    for (protocol, more, with) in [
        ("SMTP", &[][..], "SMTP"),
        ("ESMTP", &[], "ESMTP"),
        ("ESMTPS", &[], "ESMTPS"),
        ("ESMTPSA", &LOGIN[2..], "ESMTPSA"),
    ] {
        let setup = if protocol == "ESMTPSA" { with_tim() } else { Setup::default() };
        let listener = Listener::start(setup).await;
        let said = swaks(&listener, &[&["--protocol", protocol][..], more].concat()).await;
        let message = listener.only();
        assert!(message.data.contains(&format!("\r\n  with {with} id {}", message.id)), "{protocol}: {}", message.data);
        assert!(answers(&said).contains(&&*format!("250 OK ids={}", message.id)), "{said}");
        let hello = answers(&said)[1];
        assert_eq!(hello, if protocol == "SMTP" { "250 mta.example Aloha c.example" } else { OFFERS[0] });
    }
}

#[tokio::test]
async fn lmtp_and_tls_from_the_first_byte_are_not_spoken_here() {
    if !swaks_can_encrypt().await {
        return;
    }
    let listener = Listener::start(Setup::default()).await;
    let said = swaks_ends(&listener, &["--protocol", "LMTP"], 22).await;
    assert!(said.contains("<** 502 5.5.1 no such command here"), "{said}");
    // The first bytes of a handshake are no command; the client learns that, and nothing hangs.
    swaks_ends(&listener, &["--tls-on-connect"], 29).await;
    assert!(listener.intake.accepted().is_empty());
}

#[tokio::test]
async fn a_password_is_asked_for_over_tls_only_and_a_wrong_one_is_refused() {
    if !swaks_can_encrypt().await {
        return;
    }
    let listener = Listener::start(with_tim()).await;
    let said = swaks_ends(&listener, &LOGIN, 28).await;
    assert!(said.contains("*** Host did not advertise authentication"), "{said}");
    let wrong = ["--tls", "--auth", "PLAIN", "--auth-user", "tim", "--auth-password", "guess"];
    let said = swaks_ends(&listener, &wrong, 28).await;
    assert!(said.contains("<~* 535 5.7.8 AUTH invalid"), "{said}");
    // Swaks goes on without, where it is allowed to: nobody relays.
    let said = swaks_ends(&listener, &[&["--auth-optional"][..], &wrong].concat(), 24).await;
    assert!(said.contains("550 5.7.1 relaying not permitted for 127.0.0.1:"), "{said}");
    let other = ["--tls", "--auth", "CRAM-MD5", "--auth-user", "tim", "--auth-password", "secret"];
    let said = swaks_ends(&listener, &other, 28).await;
    assert!(said.contains("*** Auth not attempted, requested type not available"), "{said}");
}

#[tokio::test]
async fn old_versions_of_tls_are_refused_and_the_newer_ones_are_spoken() {
    if !swaks_can_encrypt().await {
        return;
    }
    for (version, name) in [("tlsv1_2", "TLSv1.2"), ("tlsv1_3", "TLSv1.3")] {
        let listener = Listener::start(Setup::default()).await;
        swaks(&listener, &["--tls", "--tls-protocol", version]).await;
        assert_eq!(listener.meta()["tls_protocol_version"], name);
    }
    let listener = Listener::start(Setup::default()).await;
    swaks_ends(&listener, &["--tls", "--tls-protocol", "tlsv1_1"], 29).await;
    assert!(listener.intake.accepted().is_empty());
}

#[tokio::test]
async fn pipelining_an_attachment_and_many_recipients() {
    if !is_here("swaks", "swaks").await {
        return;
    }
    let listener = Listener::start(Setup::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("data.bin");
    let bytes: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
    std::fs::write(&file, &bytes).unwrap();
    let attachment = format!("@{}", file.display());
    let to: Vec<String> = (0..50).map(|n| format!("user{n}@example.com")).collect();
    let args = ["--pipeline", "--to", &to.join(","), "--body", "see below", "--attach", &attachment];
    let said = swaks(&listener, &args).await;
    let heard = answers(&said);
    let oks = to.iter().map(|to| format!("250 OK <{to}>"));
    let expected: Vec<String> = ["250 OK <a@example.com>".to_owned()].into_iter().chain(oks).collect();
    let from = heard.iter().position(|line| *line == "250 OK <a@example.com>").unwrap();
    assert_eq!(heard[from..from + 51], expected, "answers come in order");
    assert_eq!(heard[from + 51], "354 go ahead, CRLF.CRLF ends the message");
    let accepted = listener.intake.accepted();
    assert_eq!(accepted.iter().map(|message| message.recipients.concat()).collect::<Vec<_>>(), to);
    use base64::Engine as _;
    let data = &accepted[0].data;
    let encoded: String = data
        .split("Content-Transfer-Encoding: BASE64\r\n\r\n")
        .nth(1)
        .unwrap_or_else(|| panic!("{data}"))
        .lines()
        .take_while(|line| !line.starts_with("--") && !line.is_empty())
        .collect();
    assert_eq!(base64::engine::general_purpose::STANDARD.decode(encoded).unwrap(), bytes);
}

#[tokio::test]
async fn eight_bits_arrive_as_they_are() {
    if !is_here("swaks", "swaks").await {
        return;
    }
    let listener = Listener::start(Setup::default()).await;
    // Swaks knows no parameter of MAIL; python_peers.rs says BODY=8BITMIME.
    swaks(&listener, &["--header", "Subject: x", "--body", "Größe €"]).await;
    assert!(listener.only().data.contains("\r\n\r\nGröße €\r\n"), "{}", listener.only().data);
}

/// Sends these bytes as they are, behind DATA and before the end.
async fn raw(listener: &Listener, data: &str, code: i32) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("data");
    // Swaks itself ends the last line.
    std::fs::write(&file, format!("{data}\r\n.")).unwrap();
    swaks_ends(listener, &["--no-data-fixup", "--data", &format!("@{}", file.display())], code).await
}

/// A second mail behind what some servers take for the end of the first.
const SMUGGLED: [&str; 8] = ["\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r\n.\r", "\r.\r\n", "\n.\r", "\n\r.\r\n"];

#[tokio::test]
async fn a_mail_within_a_mail_is_refused_as_one() {
    if !is_here("swaks", "swaks").await {
        return;
    }
    for end in SMUGGLED {
        let listener = Listener::start(Setup::default()).await;
        let second = "MAIL FROM:<evil@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\nSubject: evil\r\n\r\nevil";
        let said = raw(&listener, &format!("Subject: one\r\n\r\nfirst{end}{second}"), 26).await;
        let last: Vec<&str> = said.lines().filter(|line| line.starts_with("<")).collect();
        let [.., refusal, goodbye] = &last[..] else { panic!("{said}") };
        assert_eq!(*refusal, "<** 552 5.6.0 message data must use CRLF for line endings", "{end:?}: {said}");
        assert!(goodbye.ends_with(GOODBYE), "{end:?}: one answer to one mail: {said}");
        assert!(listener.intake.accepted().is_empty(), "{end:?}");
    }
}

#[tokio::test]
async fn where_bare_line_ends_are_let_in_a_mail_within_a_mail_is_still_one_mail() {
    if !is_here("swaks", "swaks").await {
        return;
    }
    for how in ["Allow", "Fix"] {
        for end in SMUGGLED {
            let listener = Listener::start(Setup::default().config(json!({"invalid_line_endings": how}))).await;
            raw(&listener, &format!("Subject: one\r\n\r\nfirst{end}MAIL FROM:<evil@example.com>\r\n"), 0).await;
            let message = listener.only();
            assert_eq!(message.sender, "a@example.com");
            assert!(message.data.contains("MAIL FROM:<evil@example.com>"), "{how} {end:?}");
            let bare = |pair: &[u8]| (pair[0] == b'\r') != (pair[1] == b'\n');
            assert_eq!(message.data.as_bytes().windows(2).any(bare), how == "Allow", "{how} {end:?}");
        }
    }
}

#[tokio::test]
async fn bare_line_feeds_and_long_lines_are_refused_and_the_session_goes_on() {
    if !is_here("swaks", "swaks").await {
        return;
    }
    for (data, refusal) in [
        ("Subject: x\n\nbody".to_owned(), "552 5.6.0 message data must use CRLF for line endings"),
        ("Subject: x\r\n\r\na\rb".to_owned(), "552 5.6.0 message data must use CRLF for line endings"),
        (format!("Subject: x\r\n\r\n{}", "y".repeat(999)), "500 5.2.3 line too long"),
    ] {
        let listener = Listener::start(Setup::default()).await;
        let said = raw(&listener, &data, 26).await;
        assert!(said.contains(&format!("<** {refusal}\n")) && said.contains(GOODBYE), "{said}");
        assert_eq!(listener.intake.rejections().len(), 1);
    }
}

#[tokio::test]
async fn xclient_says_what_it_may_and_is_refused_what_it_may_not() {
    if !is_here("swaks", "swaks").await {
        return;
    }
    let trusting = || Setup::default().config(json!({"peer": {"127.0.0.1": {"allow_xclient": true}}}));
    let listener = Listener::start(trusting()).await;
    let args = ["--xclient-addr", "IPV6:2001:db8::7", "--xclient-port", "99", "--xclient-destaddr", "192.0.2.1"];
    let said = swaks_ends(&listener, &args, 24).await;
    assert!(answers(&said).contains(&"250 XCLIENT ADDR PORT DESTADDR DESTPORT"), "{said}");
    assert!(said.contains("<** 550 5.7.1 relaying not permitted for [2001:db8::7]:99\n"), "{said}");
    let said = swaks_ends(&listener, &["--xclient-login", "root", "--xclient-no-verify"], 33).await;
    assert!(said.contains("<** 501 5.5.4 XCLIENT: cannot make sense of LOGIN\n"), "{said}");
    let listener = Listener::start(Setup::default()).await;
    let said = swaks_ends(&listener, &["--xclient-addr", "192.0.2.7", "--xclient-no-verify"], 33).await;
    assert!(said.contains("*** Host did not advertise XCLIENT"), "{said}");
}

/// In parts: swaks puts an empty line behind a header that it is given whole.
const HEADER: [&str; 12] = [
    "--proxy-version",
    "1",
    "--proxy-family",
    "TCP4",
    "--proxy-source",
    "192.0.2.7",
    "--proxy-source-port",
    "256",
    "--proxy-dest",
    "192.0.2.1",
    "--proxy-dest-port",
    "25",
];

#[tokio::test]
async fn a_proxy_header_is_believed_where_it_is_required_and_ends_the_connection_where_it_is_wrong() {
    if !is_here("swaks", "swaks").await {
        return;
    }
    let config = json!({"relay_hosts": ["192.0.2.0/24"], "peer": {"127.0.0.1": {"require_proxy_protocol": true}}});
    let behind = || Setup::default().config(config.clone());
    let listener = Listener::start(behind()).await;
    swaks(&listener, &HEADER).await;
    assert_eq!(listener.meta()["received_from"], "192.0.2.7:256");
    let listener = Listener::start(behind()).await;
    let said = swaks_ends(&listener, &["--proxy", "TCP4 nonsense"], 6).await;
    assert!(answers(&said).is_empty(), "not a word to whoever does not come through the proxy: {said}");
    let listener = Listener::start(Setup::default()).await;
    // The header comes where a command is expected. Swaks takes each answer for that to the line behind, to the end.
    let said = swaks_ends(&listener, &HEADER, 25).await;
    assert!(said.contains("502 5.5.1 no such command here"), "{said}");
}

/// A pair of files in a folder, as swaks takes them.
fn written(folder: &std::path::Path, name: &str, certificate: &str, key: &KeyPair) -> (String, String) {
    let file = |ending: &str, text: &str| {
        let path = folder.join(format!("{name}.{ending}"));
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    (file("pem", certificate), file("key", &key.serialize_pem()))
}

/// How swaks is told to show a certificate.
fn showing(files: &(String, String)) -> [&str; 4] {
    ["--tls-cert", &files.0, "--tls-key", &files.1]
}

#[tokio::test]
async fn certificates_are_shown_and_checked_on_both_sides() {
    if !swaks_can_encrypt().await {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let of = |name: &str| {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        written(folder.path(), name, &certificate.pem(), &key)
    };
    let (server, client) = (of("mta.example"), of("client.example"));
    let own = KeyPair::generate().unwrap();
    let stranger = CertificateParams::new(["client.example".to_owned()]).unwrap().self_signed(&own).unwrap();
    let stranger = written(folder.path(), "stranger", &stranger.pem(), &own);
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, authority.pem()).unwrap();
    let keys = json!({"tls_certificate": server.0, "tls_private_key": server.1, "tls_required_client_ca": ca});
    let listener = || Listener::start(Setup::default().config(keys.clone()));
    let ca = ca.display().to_string();
    let checking = ["--tls", "--tls-verify", "--tls-sni", "mta.example", "--tls-ca-path", &ca];

    let good = listener().await;
    swaks(&good, &[&checking[..], &showing(&client)].concat()).await;
    assert_eq!(good.meta()["tls_peer_subject_name"], json!(["CN=client.example"]));
    for more in [&[][..], &showing(&stranger)] {
        let listener = listener().await;
        // The handshake may be over for the client when it hears of the refusal.
        let code = swaks_code(&listener, &[&checking[..], more].concat()).await;
        assert!([6, 21, 22, 29].contains(&code), "{code}");
        assert!(listener.intake.accepted().is_empty());
    }
    let listener = listener().await;
    let other = ["--tls", "--tls-verify", "--tls-ca-path", &stranger.0];
    let said = swaks_ends(&listener, &[&other[..], &showing(&client)].concat(), 29).await;
    assert!(said.contains("verify failed"), "{said}");
}

#[tokio::test]
async fn the_client_chooses_the_cipher_and_goes_on_without_tls_where_it_may() {
    if !swaks_can_encrypt().await {
        return;
    }
    let listener = Listener::start(Setup::default()).await;
    let chosen = ["--tls", "--tls-protocol", "tlsv1_2", "--tls-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"];
    swaks(&listener, &chosen).await;
    assert_eq!(listener.meta()["tls_cipher"], "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256");

    let without =
        || Setup::default().config(json!({"tls_certificate": "/no/such.pem", "tls_private_key": "/no/such.key"}));
    let listener = Listener::start(without()).await;
    let said = swaks_ends(&listener, &["--tls"], 29).await;
    assert!(said.contains("454 4.7.0 TLS is not available right now"), "{said}");
    swaks(&listener, &["--tls-optional"]).await;
    assert!(listener.meta().get("tls_cipher").is_none());
}

#[tokio::test]
async fn what_we_do_not_offer_is_not_asked_of_us() {
    if !swaks_can_encrypt().await {
        return;
    }
    for kind in ["LOGIN", "DIGEST-MD5", "NTLM"] {
        let listener = Listener::start(with_tim()).await;
        let login = ["--tls", "--auth", kind, "--auth-user", "tim", "--auth-password", "secret"];
        // Without the module for a kind swaks ends before it connects.
        let code = swaks_code(&listener, &login).await;
        assert!([10, 28].contains(&code), "{kind}: {code}");
        assert!(listener.intake.accepted().is_empty());
    }
    let listener = Listener::start(Setup::default()).await;
    let said = swaks_ends(&listener, &["--prdr"], 30).await;
    assert!(said.contains("*** Host did not advertise PRDR support"), "{said}");
    assert!(listener.intake.accepted().is_empty());
}

#[tokio::test]
async fn what_xclient_said_before_starttls_is_forgotten_and_counts_behind_it() {
    if !swaks_can_encrypt().await {
        return;
    }
    let config = json!({"relay_hosts": ["192.0.2.0/24"], "peer": {"127.0.0.1": {"allow_xclient": true}}});
    let xclient = ["--tls", "--xclient-addr", "192.0.2.7", "--xclient-port", "99"];
    let listener = Listener::start(Setup::default().config(config.clone())).await;
    // Anybody on the way could have said it (RFC 3207 section 4.2).
    let said = swaks_ends(&listener, &[&["--xclient-before-starttls"][..], &xclient].concat(), 24).await;
    assert!(said.contains("550 5.7.1 relaying not permitted for 127.0.0.1:"), "{said}");
    let listener = Listener::start(Setup::default().config(config)).await;
    swaks(&listener, &xclient).await;
    let meta = listener.meta();
    assert_eq!((&meta["received_from"], &meta["tls_protocol_version"]), (&json!("192.0.2.7:99"), &json!("TLSv1.3")));
}
