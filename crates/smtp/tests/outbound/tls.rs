//! STARTTLS and TLS from the first byte.

use crate::common::*;
use crate::server::{Do, Server, Step, reply, say};
use rcgen::{CertificateParams, CertifiedIssuer, DnType, KeyPair, PublicKeyData};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde_json::json;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;
use waybill_tls::Trust;

pub(crate) type Authority = CertifiedIssuer<'static, KeyPair>;

/// Somebody whose word counts.
pub(crate) fn authority() -> Authority {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap()
}

/// A server's identity for this name, and the roots that vouch for it.
fn identity(name: &str) -> (TlsAcceptor, Trust) {
    identity_that_asks(name, None)
}

/// One that asks its clients for a certificate of this authority.
fn identity_that_asks(name: &str, wanted: Option<&CertificateDer<'static>>) -> (TlsAcceptor, Trust) {
    let authority = authority();
    (acceptor(&authority, name, wanted), trust(&authority))
}

/// Believes what it vouches for.
pub(crate) fn trust(authority: &Authority) -> Trust {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    Trust::roots(roots)
}

/// A server that it vouches for.
pub(crate) fn acceptor(authority: &Authority, name: &str, wanted: Option<&CertificateDer<'static>>) -> TlsAcceptor {
    with_key(authority, name, wanted).0
}

/// The same, and its public key.
pub(crate) fn with_key(
    authority: &Authority,
    name: &str,
    wanted: Option<&CertificateDer<'static>>,
) -> (TlsAcceptor, Vec<u8>) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.distinguished_name.push(DnType::OrganizationName, "Example");
    let certificate = params.signed_by(&key, authority).unwrap();
    let public = key.subject_public_key_info();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
    let builder = match wanted {
        None => builder.with_no_client_auth(),
        Some(wanted) => {
            let mut roots = RootCertStore::empty();
            roots.add(wanted.clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        }
    };
    let config = builder.with_single_cert(vec![certificate.der().clone()], key).unwrap();
    (TlsAcceptor::from(Arc::new(config)), public)
}

/// Offers STARTTLS until there is TLS.
pub(crate) fn offers_tls(step: &Step) -> Do {
    match step.line.as_str() {
        line if line.starts_with("EHLO") && step.before == 0 => Do::Say(reply(250, "mx.test\nSTARTTLS")),
        "STARTTLS" => say("220 go"),
        _ => Do::Usual,
    }
}

async fn way(name: &str, tls: &str) -> (Server, Way) {
    let (acceptor, trust) = identity(name);
    let server = Server::with_tls(acceptor, offers_tls).await;
    let mut way = Way::to(&server).path(json!({"enable_tls": tls}));
    way.trust = trust;
    (server, way)
}

#[tokio::test]
async fn a_good_certificate_is_used_and_shown_in_the_facts() {
    for tls in ["Opportunistic", "Required", "OpportunisticInsecure", "RequiredInsecure"] {
        let (server, way) = way("mx.test", tls).await;
        let mut session = way.session().await;
        let got = deliver(&mut *session, &message(&["rcpt@there.example"])).await;
        assert_eq!(shown(&got.outcomes[0]), "delivered 250 2.0.0 OK id=1 [.]", "{tls}");
        let facts = session.facts().tls.unwrap();
        assert!(facts.cipher.starts_with("TLS_"), "{facts:?}");
        assert_eq!(facts.protocol_version, "TLSv1.3");
        assert_eq!(facts.peer_subject_name, ["CN=mx.test", "O=Example"]);
        session.close().await;
        let lines = server.lines();
        assert_eq!(lines[..3], ["EHLO us.example", "STARTTLS", "EHLO us.example"]);
        assert_eq!(lines.len(), 8, "{lines:?}");
    }
}

#[tokio::test]
async fn a_wrong_certificate_counts_only_where_nobody_asks() {
    for (tls, fine) in
        [("Opportunistic", false), ("Required", false), ("OpportunisticInsecure", true), ("RequiredInsecure", true)]
    {
        let (_server, way) = way("another.test", tls).await;
        if fine {
            assert!(way.session().await.facts().tls.is_some(), "{tls}");
        } else {
            let text = way.refused().await;
            assert!(text.contains("the TLS handshake: "), "{tls}: {text}");
        }
    }
}

#[tokio::test]
async fn a_failed_handshake_may_be_followed_by_a_connection_without_tls() {
    let (server, way) = way("another.test", "Opportunistic").await;
    let way = way.path(json!({"opportunistic_tls_reconnect_on_failed_handshake": true}));
    let mut session = way.session().await;
    deliver(&mut *session, &message(&["rcpt@there.example"])).await;
    assert_eq!((session.facts().tls, server.heard().len()), (None, 2));
    let (_server, way) = self::way("another.test", "Required").await;
    let way = way.path(json!({"opportunistic_tls_reconnect_on_failed_handshake": true}));
    assert!(way.refused().await.contains("the TLS handshake: "), "required is required");
}

#[tokio::test]
async fn tls_that_is_not_there_fails_only_where_it_is_required() {
    for (tls, fine) in [
        ("Disabled", true),
        ("Opportunistic", true),
        ("OpportunisticInsecure", true),
        ("Required", false),
        ("RequiredInsecure", false),
    ] {
        let server = Server::start().await;
        let way = Way::to(&server).path(json!({"enable_tls": tls}));
        if fine {
            assert_eq!(way.session().await.facts().tls, None);
        } else {
            let text = way.refused().await;
            assert!(text.ends_with("enable_tls asks for TLS, and the server does not offer STARTTLS"), "{text}");
        }
    }
}

#[tokio::test]
async fn tls_that_is_offered_is_not_asked_for_when_it_is_disabled() {
    let (server, way) = way("mx.test", "Disabled").await;
    way.send(&message(&["rcpt@there.example"])).await;
    assert!(!server.lines().iter().any(|line| line == "STARTTLS"));
}

#[tokio::test]
async fn a_refused_starttls_is_as_good_as_none() {
    for (tls, fine) in [("Opportunistic", true), ("Required", false)] {
        let server = Server::scripted(|step| match step.line.as_str() {
            line if line.starts_with("EHLO") => Do::Say(reply(250, "mx.test\nSTARTTLS")),
            "STARTTLS" => say("454 4.7.0 not now"),
            _ => Do::Usual,
        })
        .await;
        let way = Way::to(&server).path(json!({"enable_tls": tls}));
        if fine {
            let got = way.send(&message(&["rcpt@there.example"])).await;
            assert_eq!(shown(&got.outcomes[0]), "delivered 250 2.0.0 OK id=1 [.]");
        } else {
            assert!(way.refused().await.ends_with("STARTTLS: 454 4.7.0 not now"));
        }
    }
}

#[tokio::test]
async fn what_comes_before_the_handshake_is_not_heard_as_if_it_came_after() {
    let (acceptor, trust) = identity("mx.test");
    let server = Server::with_tls(acceptor, |step| match step.line.as_str() {
        "STARTTLS" => Do::Raw(b"220 go\r\n250-evil\r\n250 AUTH PLAIN\r\n".to_vec()),
        _ => offers_tls(step),
    })
    .await;
    let mut way = Way::to(&server);
    way.trust = trust;
    let text = way.refused().await;
    assert!(text.ends_with("STARTTLS: the server spoke out of turn"), "{text}");
}

#[tokio::test]
async fn silence_in_the_handshake_ends_too() {
    let server = Server::scripted(offers_tls).await;
    let way = Way::to(&server).path(json!({"starttls_timeout": "1s", "connect_timeout": "1s"}));
    let text = way.refused().await;
    assert!(text.ends_with("the TLS handshake: no answer within 1s"), "{text}");
}

#[tokio::test]
async fn a_server_that_asks_for_a_certificate_gets_the_one_of_the_path() {
    let theirs = authority();
    let (acceptor, trust) = identity_that_asks("mx.test", Some(theirs.der()));
    let server = Server::with_tls(acceptor, offers_tls).await;
    let key = KeyPair::generate().unwrap();
    let ours = CertificateParams::new(vec!["us.example".to_owned()]).unwrap().signed_by(&key, &theirs).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("client.key");
    std::fs::write(&file, key.serialize_pem()).unwrap();
    let mut way = Way::to(&server).path(json!({"enable_tls": "Required"}));
    way.trust = trust;
    // Without one there is no session: with TLS 1.3 that shows behind the handshake.
    let text = way.refused().await;
    assert!(text.contains("CertificateRequired"), "{text}");

    let way = way.path(json!({"tls_certificate": {"key_data": ours.pem()}, "tls_private_key": file}));
    let got = way.send(&message(&["rcpt@there.example"])).await;
    assert_eq!(shown(&got.outcomes[0]), "delivered 250 2.0.0 OK id=1 [.]");

    // One that cannot be read fails the session, and is no reason to go without TLS.
    std::fs::remove_file(&file).unwrap();
    let way = way.path(json!({"enable_tls": "Opportunistic", "opportunistic_tls_reconnect_on_failed_handshake": true}));
    let before = server.heard().len();
    let text = way.refused().await;
    assert!(text.contains(&format!("`tls_private_key`: cannot read {}: ", file.display())), "{text}");
    assert_eq!(server.heard().len(), before + 1);
}

#[tokio::test]
async fn only_the_cipher_suites_of_the_path_are_offered() {
    for (name, version) in
        [("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "TLSv1.2"), ("TLS13_AES_128_GCM_SHA256", "TLSv1.3")]
    {
        let (_server, way) = way("mx.test", "Required").await;
        let session = way.path(json!({"rustls_cipher_suites": [name]})).session().await;
        let facts = session.facts().tls.unwrap();
        assert_eq!((facts.cipher, facts.protocol_version.as_str()), (name.replace("TLS13_", "TLS_"), version));
    }
}

#[tokio::test]
async fn tls_can_begin_with_the_first_byte() {
    for tls in ["Opportunistic", "OpportunisticInsecure", "Required", "RequiredInsecure"] {
        let (acceptor, trust) = identity("mx.test");
        let server = Server::secure(acceptor).await;
        let mut way = Way::to(&server).path(json!({"enable_tls": tls, "tls_mode": "ImplicitTls"}));
        way.trust = trust;
        let mut session = way.session().await;
        let got = deliver(&mut *session, &message(&["rcpt@there.example"])).await;
        assert_eq!(shown(&got.outcomes[0]), "delivered 250 2.0.0 OK id=1 [.]", "{tls}");
        assert!(session.facts().tls.is_some(), "{tls}");
        // One greeting, and no STARTTLS in it.
        let lines = server.lines();
        assert_eq!(lines.iter().filter(|line| line.starts_with("EHLO")).count(), 1, "{lines:?}");
        assert!(!lines.iter().any(|line| line == "STARTTLS"), "{lines:?}");
    }
}

#[tokio::test]
async fn tls_from_the_first_byte_asks_for_a_good_certificate_where_that_is_asked_for() {
    for (tls, fine) in [("Required", false), ("Opportunistic", false), ("RequiredInsecure", true)] {
        let (acceptor, trust) = identity("another.test");
        let server = Server::secure(acceptor).await;
        let mut way = Way::to(&server).path(json!({"enable_tls": tls, "tls_mode": "ImplicitTls"}));
        way.trust = trust;
        if fine {
            assert!(way.session().await.facts().tls.is_some(), "{tls}");
        } else {
            let text = way.refused().await;
            assert!(text.contains("the TLS handshake: "), "{tls}: {text}");
            assert!(server.lines().is_empty(), "not a word to a stranger");
        }
    }
}
