//! MTA-STS: hosts that a domain does not list, and TLS that it insists on.

use crate::common::*;
use crate::server::{Do, Server, Step};
use crate::tls::{acceptor, authority, offers_tls, trust};
use serde_json::json;
use waybill_dns::Zones;

/// What a host offers.
#[derive(Clone, Copy, PartialEq)]
enum Offers {
    Nothing,
    /// STARTTLS, with a certificate for this name.
    Tls(&'static str),
}

/// Two hosts of `there.example`, which has this policy, and of `plain.example`, which has none.
async fn stage(first: Offers, second: Offers, policy: &str) -> (Server, Server, Way) {
    let authority = authority();
    let tls = |offers| match offers {
        Offers::Nothing => None,
        Offers::Tls(name) => Some(acceptor(&authority, name, None)),
    };
    let script = |offers| move |step: &Step| if offers == Offers::Nothing { Do::Usual } else { offers_tls(step) };
    let one = Server::with("127.0.0.2:0", script(first), tls(first)).await;
    let two = Server::with(&format!("127.0.0.3:{}", one.address.port()), script(second), tls(second)).await;
    let zones = Zones::parse(["there.example. MX 10 mx1.test.
         there.example. MX 20 mx2.test.
         plain.example. MX 10 mx1.test.
         plain.example. MX 20 mx2.test.
         _mta-sts.there.example. TXT \"v=STSv1; id=1\"
         mx1.test. A 127.0.0.2
         mx2.test. A 127.0.0.3"]);
    let mut way = Way::of(json!({})).path(json!({"smtp_port": one.address.port()}));
    (way.zones, way.trust) = (zones.unwrap(), trust(&authority));
    way.policies.insert("there.example".into(), format!("version: STSv1\n{policy}\nmax_age: 86400\n"));
    (one, two, way)
}

const GOOD: [Offers; 2] = [Offers::Tls("mx1.test"), Offers::Tls("mx2.test")];

#[tokio::test]
async fn mail_goes_to_the_hosts_that_an_enforced_policy_lists_over_tls() {
    let (one, two, way) = stage(GOOD[0], GOOD[1], "mode: enforce\nmx: *.test").await;
    let mut session = way.session().await;
    let got = deliver(&mut *session, &message(&["rcpt@there.example"])).await;
    assert_eq!(shown(&got.outcomes[0]), "delivered 250 2.0.0 OK id=1 [.]");
    assert_eq!(session.facts().tls.unwrap().peer_subject_name[0], "CN=mx1.test");
    assert_eq!((one.messages().len(), two.heard().len()), (1, 0));

    let (one, two, way) = stage(GOOD[0], GOOD[1], "mode: enforce\nmx: MX2.test").await;
    way.send(&message(&["rcpt@there.example"])).await;
    assert_eq!((one.heard().len(), two.messages().len()), (0, 1), "a host that is not listed is not even asked");
}

#[tokio::test]
async fn when_no_host_is_listed_mail_waits_and_its_record_says_why() {
    let (one, two, way) = stage(GOOD[0], GOOD[1], "mode: enforce\nmx: mx.elsewhere.example").await;
    let text = way.refused().await;
    assert!(text.starts_with("451 4.7.5 KumoMTA internal: mx"), "{text}");
    assert!(text.ends_with(".test is not listed by the MTA-STS policy of there.example (mode enforce)"), "{text}");
    assert_eq!((one.heard().len(), two.heard().len()), (0, 0));
}

#[tokio::test]
async fn an_enforced_policy_wants_tls_with_a_good_certificate_whatever_the_path_says() {
    let missing = "the MTA-STS policy of there.example asks for TLS, and the server does not offer STARTTLS";
    let wrong = "; the MTA-STS policy of there.example asks for a good one";
    for tls in ["Opportunistic", "OpportunisticInsecure", "RequiredInsecure", "Disabled"] {
        for (first, why) in [(Offers::Nothing, missing), (Offers::Tls("another.test"), wrong)] {
            let (one, _two, way) = stage(first, GOOD[1], "mode: enforce\nmx: mx1.test").await;
            let way = way.path(json!({
                "enable_tls": tls, "opportunistic_tls_reconnect_on_failed_handshake": true
            }));
            let text = way.refused().await;
            assert!(text.starts_with("400 ") && text.ends_with(why), "{tls}: {text}");
            assert_eq!((one.heard().len(), one.messages().len()), (1, 0), "no second try without");
        }
    }
    // The next host may do.
    let (_, two, way) = stage(Offers::Nothing, GOOD[1], "mode: enforce\nmx: *.test").await;
    way.send(&message(&["rcpt@there.example"])).await;
    assert_eq!(two.messages().len(), 1);
}

#[tokio::test]
async fn a_policy_that_is_tested_or_switched_off_keeps_no_mail_back() {
    for (policy, path) in [
        ("mode: testing\nmx: mx.elsewhere.example", json!({})),
        ("mode: none", json!({})),
        ("mode: enforce\nmx: mx.elsewhere.example", json!({"enable_mta_sts": false})),
        ("no policy at all", json!({})),
    ] {
        let (one, _, way) = stage(Offers::Nothing, Offers::Nothing, policy).await;
        let got = way.path(path).send(&message(&["rcpt@there.example"])).await;
        assert_eq!(shown(&got.outcomes[0]), "delivered 250 2.0.0 OK id=1 [.]", "{policy}");
        assert_eq!(one.messages().len(), 1, "{policy}");
    }
}

#[tokio::test]
async fn hosts_of_a_list_are_the_operators_own_word() {
    let (one, _, mut way) = stage(Offers::Nothing, Offers::Nothing, "mode: enforce\nmx: mx.elsewhere.example").await;
    (way.section, way.queue) = (json!({"mx_list": ["mx1.test"]}), "there.example".into());
    way.send(&message(&["rcpt@there.example"])).await;
    assert_eq!(one.messages().len(), 1);
}

#[tokio::test]
async fn domains_that_share_a_session_keep_each_their_own_word() {
    let (one, two, mut way) = stage(Offers::Nothing, GOOD[1], "mode: enforce\nmx: mx2.test").await;
    way.queue = "plain.example".into();
    let mut session = way.session().await;
    for (domain, host) in
        [("plain.example", "mx1.test."), ("there.example", "mx2.test."), ("plain.example", "mx2.test.")]
    {
        let got = deliver(&mut *session, &message(&[&format!("rcpt@{domain}")])).await;
        assert_eq!(shown(&got.outcomes[0]), "delivered 250 2.0.0 OK id=1 [.]");
        assert_eq!(session.peer().unwrap().name, host, "{domain}");
    }
    assert_eq!((one.messages().len(), two.messages().len()), (1, 2));
    assert!(one.lines().contains(&"QUIT".to_owned()), "the one that would not do is left in order");
}

#[tokio::test]
async fn a_message_that_may_not_go_over_any_connection_waits_and_the_session_ends() {
    let (one, _, mut way) = stage(Offers::Nothing, GOOD[1], "mode: enforce\nmx: mx.elsewhere.example").await;
    way.queue = "plain.example".into();
    let mut session = way.session().await;
    deliver(&mut *session, &message(&["rcpt@plain.example"])).await;
    let got = deliver(&mut *session, &message(&["rcpt@there.example"])).await;
    assert!(shown(&got.outcomes[0]).starts_with("transient 451 4.7.5 KumoMTA internal: "), "{:?}", got.outcomes);
    assert_eq!(got.session, waybill_delivery::Fate::Close);
    assert_eq!(one.messages().len(), 1);
}
