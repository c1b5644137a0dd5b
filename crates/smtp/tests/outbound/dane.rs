//! DANE: servers are who their TLSA records say they are.

use crate::common::*;
use crate::server::{Do, Server, Step};
use crate::tls::{authority, offers_tls, with_key};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use waybill_dns::Zones;

/// Two hosts with certificates that nobody vouches for and that are for other names; only the first offers STARTTLS where `tls`
/// says so. In `records` of its zone `OWN` stands for the digest of the first one's key.
async fn stage(tls: bool, records: &str) -> (Server, Server, Way) {
    let (acceptor, key) = with_key(&authority(), "unrelated.test", None);
    let script = move |step: &Step| if tls { offers_tls(step) } else { Do::Usual };
    let one = Server::with("127.0.0.2:0", script, Some(acceptor)).await;
    let two = Server::at(&format!("127.0.0.3:{}", one.address.port()), |_| Do::Usual).await;
    let own: String = Sha256::digest(&key).iter().map(|byte| format!("{byte:02x}")).collect();
    let port = one.address.port();
    let records = records.replace("OWN", &own).replace("OTHER", &"07".repeat(32)).replace("_25.", &format!("_{port}."));
    let zones = Zones::parse([format!("{records}\n_mta-sts.there.example. TXT \"v=STSv1; id=1\"").as_str()]);
    let mut way = Way::of(json!({})).path(json!({"smtp_port": port, "enable_dane": true}));
    way.zones = zones.unwrap().failing(&format!("_{port}._tcp.broken.test"));
    way.policies.insert("there.example".into(), "version: STSv1\nmode: none\nmax_age: 86400".into());
    (one, two, way)
}

const ONE_HOST: &str = "there.example. MX 10 mx1.test.\nmx1.test. A 127.0.0.2\n_25._tcp.mx1.test. TLSA 3 1 1 ";

async fn delivered(way: &Way) -> String {
    shown(&way.send(&message(&["rcpt@there.example"])).await.outcomes[0])
}

const DELIVERED: &str = "delivered 250 2.0.0 OK id=1 [.]";

#[tokio::test]
async fn a_server_that_its_record_means_needs_nobody_to_vouch_for_it() {
    for tls in ["Opportunistic", "Required", "Disabled"] {
        let (_one, _two, way) = stage(true, &format!("$SECURE\n{ONE_HOST}OWN")).await;
        let way = way.path(json!({"enable_tls": tls}));
        let mut session = way.session().await;
        let got = deliver(&mut *session, &message(&["rcpt@there.example"])).await;
        assert_eq!(shown(&got.outcomes[0]), DELIVERED, "{tls}");
        let facts = session.facts().tls.unwrap();
        assert_eq!(
            (facts.protocol_version.as_str(), facts.peer_subject_name[0].as_str()),
            ("TLSv1.3", "CN=unrelated.test")
        );
    }
}

#[tokio::test]
async fn a_server_that_its_record_does_not_mean_gets_no_mail_and_no_second_chance_without_tls() {
    for tls in ["Opportunistic", "OpportunisticInsecure", "RequiredInsecure", "Disabled"] {
        let again = json!({"enable_tls": tls, "opportunistic_tls_reconnect_on_failed_handshake": true});
        let (one, _two, way) = stage(true, &format!("$SECURE\n{ONE_HOST}OTHER")).await;
        let text = way.path(again.clone()).refused().await;
        assert!(text.contains("no TLSA record of the host matches it"), "{tls}: {text}");
        assert!(text.ends_with("; DANE (TLSA records of the host) asks for a good one"), "{tls}: {text}");
        assert_eq!((one.heard().len(), one.messages().len()), (1, 0), "{tls}");

        let (one, _two, way) = stage(false, &format!("$SECURE\n{ONE_HOST}OWN")).await;
        let text = way.path(again).refused().await;
        let why = "DANE (TLSA records of the host) asks for TLS, and the server does not offer STARTTLS";
        assert!(text.ends_with(why), "{tls}: {text}");
        assert_eq!(one.messages().len(), 0, "{tls}");
    }
}

#[tokio::test]
async fn one_good_record_of_several_is_enough_and_the_next_host_may_do() {
    let (one, _two, way) = stage(true, &format!("$SECURE\n{ONE_HOST}OTHER\n_25._tcp.mx1.test. TLSA 3 1 1 OWN")).await;
    assert_eq!((delivered(&way).await.as_str(), one.messages().len()), (DELIVERED, 1));
    let more = "there.example. MX 20 mx2.test.\nmx2.test. A 127.0.0.3";
    let (one, two, way) = stage(true, &format!("$SECURE\n{ONE_HOST}OTHER\n{more}")).await;
    assert_eq!(delivered(&way).await, DELIVERED, "the other host has no records, and needs no TLS");
    assert_eq!((one.messages().len(), two.messages().len()), (0, 1));
}

#[tokio::test]
async fn records_that_dnssec_does_not_vouch_for_or_nobody_asks_for_change_nothing() {
    let signed = format!("$SECURE\n{ONE_HOST}OTHER");
    let host = ONE_HOST.split_once('\n').unwrap().1;
    for (records, path) in [
        (format!("{ONE_HOST}OTHER"), json!({})),
        // The domain's list of hosts could be anybody's.
        (format!("there.example. MX 10 mx1.test.\n$SECURE\n{host}OTHER"), json!({})),
        (signed, json!({"enable_dane": false})),
    ] {
        for (tls, enable) in [(true, "OpportunisticInsecure"), (false, "Opportunistic")] {
            let (one, _two, way) = stage(tls, &records).await;
            let way = way.path(path.clone()).path(json!({"enable_tls": enable}));
            assert_eq!((delivered(&way).await.as_str(), one.messages().len()), (DELIVERED, 1), "{records}");
        }
    }
}

#[tokio::test]
async fn records_of_no_use_ask_for_tls_whoever_is_there() {
    let records = format!("$SECURE\n{}", ONE_HOST.replace("TLSA 3", "TLSA 0"));
    for (tls, enable, fine) in
        [(true, "OpportunisticInsecure", true), (true, "Disabled", true), (false, "Opportunistic", false)]
    {
        let (one, _two, way) = stage(tls, &format!("{records}OWN")).await;
        let way = way.path(json!({"enable_tls": enable}));
        if fine {
            assert_eq!(delivered(&way).await, DELIVERED, "{enable}");
            assert!(one.lines().contains(&"STARTTLS".to_owned()), "{enable}");
        } else {
            assert!(way.refused().await.ends_with("asks for TLS, and the server does not offer STARTTLS"));
        }
    }
}

#[tokio::test]
async fn a_host_whose_records_cannot_be_asked_for_gets_no_mail_for_now() {
    let (one, _two, way) = stage(true, "$SECURE\nthere.example. MX 10 broken.test.\nbroken.test. A 127.0.0.2").await;
    let text = way.refused().await;
    assert!(text.starts_with("451 4.4.3 KumoMTA internal: failed to resolve the hosts of broken.test: "), "{text}");
    assert_eq!(one.heard().len(), 0);
}

#[tokio::test]
async fn mta_sts_has_no_say_where_records_of_the_dns_have_it() {
    let policy = "version: STSv1\nmode: enforce\nmx: mx.elsewhere.example\nmax_age: 86400";
    let (one, _two, mut way) = stage(true, &format!("$SECURE\n{ONE_HOST}OWN")).await;
    way.policies.insert("there.example".into(), policy.into());
    assert_eq!((delivered(&way).await.as_str(), one.messages().len()), (DELIVERED, 1));
    // But it has where they do not.
    let (one, _two, mut way) = stage(true, &format!("{ONE_HOST}OWN")).await;
    way.policies.insert("there.example".into(), policy.into());
    assert!(way.refused().await.contains("is not listed by the MTA-STS policy of there.example"));
    assert_eq!(one.heard().len(), 0);
}

#[tokio::test]
async fn hosts_of_a_list_have_records_where_the_operator_vouches_for_the_list() {
    for (secure, fine) in [(true, false), (false, true)] {
        let (one, _two, mut way) = stage(true, &format!("$SECURE\n{ONE_HOST}OTHER")).await;
        let section: Value = json!({"mx_list": ["mx1.test"], "treat_mx_list_as_secure": secure});
        way.section = section;
        let way = way.path(json!({"enable_tls": "OpportunisticInsecure"}));
        if fine {
            assert_eq!((delivered(&way).await.as_str(), one.messages().len()), (DELIVERED, 1));
        } else {
            assert!(way.refused().await.contains("no TLSA record of the host matches it"));
        }
    }
}

#[tokio::test]
async fn a_domain_whose_hosts_dnssec_vouches_for_does_not_take_a_connection_that_was_made_for_another() {
    let (one, _two, mut way) = stage(false, &format!("plain.example. MX 10 mx1.test.\n$SECURE\n{ONE_HOST}OWN")).await;
    way.queue = "plain.example".into();
    let mut session = way.session().await;
    let got = deliver(&mut *session, &message(&["rcpt@plain.example"])).await;
    assert_eq!(shown(&got.outcomes[0]), DELIVERED, "its own list of hosts is not signed");
    let got = deliver(&mut *session, &message(&["rcpt@there.example"])).await;
    assert!(shown(&got.outcomes[0]).contains("DANE (TLSA records of the host) asks for TLS"), "{:?}", got.outcomes);
    assert_eq!(one.messages().len(), 1);
}
