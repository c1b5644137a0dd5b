//! Which hosts are tried, and in which order.

use crate::common::*;
use crate::server::{Do, Server, say};
use serde_json::json;
use waybill_delivery::ResolveError;
use waybill_dns::Zones;
use waybill_queue_core::ready::SourceTrouble;

/// Two hosts that listen on the same port of two addresses, and the zone that names them.
async fn two_hosts(first: impl Fn(&crate::server::Step) -> Do + Send + Sync + 'static) -> (Server, Server, Way) {
    let one = Server::at("127.0.0.2:0", first).await;
    let two = Server::at(&format!("127.0.0.3:{}", one.address.port()), |_| Do::Usual).await;
    let zones = Zones::parse(["$ORIGIN there.example.
         @   MX 10 mx1
         @   MX 20 mx2
         mx1 A 127.0.0.2
         mx2 A 127.0.0.3
         alone A 127.0.0.2
         nomail MX 0 ."]);
    let mut way = Way::of(json!({})).path(json!({"smtp_port": one.address.port()}));
    way.zones = zones.unwrap();
    (one, two, way)
}

#[tokio::test]
async fn mail_goes_to_the_host_that_the_domain_prefers() {
    let (one, two, way) = two_hosts(|_| Do::Usual).await;
    assert_eq!(way.route().await.ready_queue().as_str(), "unspecified->(mx1|mx2).there.example@smtp_client");
    let mut session = way.session().await;
    deliver(&mut *session, &message(&["rcpt@there.example"])).await;
    let peer = session.peer().unwrap();
    assert_eq!((peer.name.as_str(), peer.addr.as_str()), ("mx1.there.example.", "127.0.0.2"));
    assert_eq!((one.messages().len(), two.messages().len()), (1, 0));
}

#[tokio::test]
async fn a_host_that_does_not_greet_as_it_should_is_passed_over() {
    for what in [say("554 5.7.1 go away"), Do::Close, say("nonsense")] {
        let (one, two, way) = two_hosts(move |step| if step.is("banner") { what.clone() } else { Do::Usual }).await;
        let mut session = way.session().await;
        let got = deliver(&mut *session, &message(&["rcpt@there.example"])).await;
        assert_eq!(shown(&got.outcomes[0]), "delivered 250 2.0.0 OK id=1 [.]");
        assert_eq!(session.peer().unwrap().name, "mx2.there.example.");
        assert_eq!((one.heard().len(), two.messages().len()), (1, 1));
    }
}

#[tokio::test]
async fn a_host_where_nobody_listens_is_passed_over() {
    let dead = Server::start().await;
    let mut way = Way::to_all(&[&dead, &Server::start().await]);
    // Port 1 has no listener, and a refused connection says so at once.
    way.section["mx_list"][0]["addr"] = json!("127.0.0.1:1");
    let mut session = way.session().await;
    deliver(&mut *session, &message(&["rcpt@there.example"])).await;
    assert_eq!(session.peer().unwrap().name, "mx2.test");
}

#[tokio::test]
async fn when_no_host_is_left_all_that_were_tried_are_named() {
    let way = Way::of(json!({"mx_list": [
        {"name": "a", "addr": "127.0.0.1:1"}, {"name": "b", "addr": "127.0.0.1:1"}, {"name": "c", "addr": "127.0.0.1:1"},
        {"name": "d", "addr": "127.0.0.1:1"}, {"name": "e", "addr": "127.0.0.1:1"}]}));
    let text = way.refused().await;
    let begins = "400 KumoMTA internal: failed to connect to any candidate hosts: a (127.0.0.1:1): connect: ";
    assert!(text.starts_with(begins), "{text}");
    assert!(text.contains("; d (127.0.0.1:1): ") && text.ends_with("; and 1 more"), "{text}");
}

#[tokio::test]
async fn a_domain_without_mx_takes_its_mail_itself() {
    let (one, _two, mut way) = two_hosts(|_| Do::Usual).await;
    way.queue = "alone.there.example".into();
    assert_eq!(way.route().await.ready_queue().as_str(), "unspecified->alone.there.example@smtp_client");
    way.send(&message(&["rcpt@alone.there.example"])).await;
    assert_eq!(one.messages().len(), 1);
    way.queue = "[127.0.0.2]".into();
    way.send(&message(&["rcpt@[127.0.0.2]"])).await;
    assert_eq!(one.messages().len(), 2);
}

#[tokio::test]
async fn a_domain_that_takes_no_mail_is_refused_before_anything_is_tried() {
    let (one, _two, mut way) = two_hosts(|_| Do::Usual).await;
    way.queue = "nomail.there.example".into();
    let Err(ResolveError::Nowhere { response, .. }) = way.destination().await else { panic!("it has a destination") };
    assert_eq!((response.code, one.heard().len()), (556, 0));
}

#[tokio::test]
async fn this_machine_is_never_a_destination_unless_a_policy_allows_it() {
    let (one, _two, mut way) = two_hosts(|_| Do::Usual).await;
    way.path.as_object_mut().unwrap().remove("prohibited_hosts");
    let text = way.refused().await;
    assert!(text.starts_with("550 5.4.4 KumoMTA internal: mx"), "{text}");
    assert!(text.ends_with(", a prohibited host"), "{text}");
    assert_eq!(one.heard().len(), 0);
}

#[tokio::test]
async fn a_source_that_this_machine_does_not_have_fails_its_connections() {
    let server = Server::start().await;
    let mut way = Way::to(&server);
    way.source = json!({"name": "far", "source_address": "192.0.2.1"});
    let error = way.open().await.err().unwrap();
    let text = error.response.to_string();
    assert!(text.contains(": connect: from 192.0.2.1: "), "{text}");
    assert_eq!(error.troubled, None, "it has no rule for that");

    way.source["suspend_when_proxy_unhealthy"] = json!({"trigger": "Immediate", "duration": "1m"});
    assert_eq!(way.open().await.err().unwrap().troubled, None, "but for something else");
    way.source["suspend_when_unplumbed"] = json!({"trigger": "Immediate", "duration": "2m"});
    let source = way.open().await.err().unwrap().troubled.unwrap();
    assert_eq!((&*source.name, source.trouble), ("far", SourceTrouble::Unplumbed));
    assert_eq!(source.rule.duration, std::time::Duration::from_secs(120));
    assert!(source.why.starts_with("source far: connect: from 192.0.2.1: "), "{}", source.why);

    way.source = json!({"name": "behind", "socks5_proxy_server": "127.0.0.1:1",
        "suspend_when_proxy_unhealthy": {"trigger": {"Threshold": "3/h"}, "duration": "2m"}});
    let source = way.open().await.err().unwrap().troubled.unwrap();
    assert_eq!((&*source.name, source.trouble), ("behind", SourceTrouble::Proxy));
    assert!(source.why.starts_with("source behind: the proxy 127.0.0.1:1: "), "{}", source.why);
    assert_eq!(server.heard().len(), 0);
}
