//! Who is let in.

use crate::world::{World, asked, loopback, stranger};
use http::{HeaderMap, StatusCode, header};
use std::sync::Arc;
use std::time::Duration;
use waybill_authorizer::{Action, Need, Origin, Peer, Refusal, Subject};
use waybill_spool::MemoryStore;

const GET: Need<'static> = Need::new(Subject::Logs, Action::Get);
const LOCAL: (&str, &str) = ("host", "127.0.0.1:8000");

#[tokio::test]
async fn without_a_token_only_the_admin_socket_and_a_plain_client_on_this_machine_are_let_in() {
    let world = World::new().await;
    let origin = |peer, headers: &[(&str, &str)]| {
        world.authorizer.authorize(&asked(peer, headers), GET).map(|caller| caller.origin())
    };
    assert_eq!(origin(Peer::Admin, &[]), Ok(Origin::AdminSocket));
    assert_eq!(origin(loopback(), &[LOCAL]), Ok(Origin::ThisMachine));
    assert_eq!(origin(Peer::ip("::1".parse().unwrap()), &[("host", "[::1]:8000")]), Ok(Origin::ThisMachine));
    assert_eq!(origin(Peer::ip("::ffff:127.0.0.1".parse().unwrap()), &[LOCAL]), Ok(Origin::ThisMachine));
    for (peer, headers) in [
        (stranger(), &[LOCAL][..]),
        (stranger(), &[LOCAL, ("x-forwarded-for", "127.0.0.1")]),
        (Peer::ip([0, 0, 0, 0].into()), &[LOCAL]),
        (loopback(), &[]),
        (loopback(), &[("host", "rebound.example:8000")]),
        (loopback(), &[LOCAL, ("origin", "http://evil.example")]),
        (loopback(), &[LOCAL, ("sec-fetch-site", "cross-site")]),
        (loopback(), &[LOCAL, ("x-forwarded-for", "127.0.0.1")]),
        (loopback(), &[LOCAL, ("forwarded", "for=127.0.0.1")]),
        (loopback(), &[LOCAL, ("via", "1.1 proxy")]),
        (loopback(), &[LOCAL, ("x-real-ip", "192.0.2.1")]),
    ] {
        let refusal = origin(peer, headers).unwrap_err();
        assert!(matches!(refusal, Refusal::Missing { .. }), "{peer:?} {headers:?}: {refusal:?}");
    }
}

#[tokio::test]
async fn a_request_without_a_connection_is_nobodys() {
    let world = World::new().await;
    let mut head = asked(loopback(), &[LOCAL]);
    head.extensions.clear();
    assert!(matches!(world.authorizer.authorize(&head, GET), Err(Refusal::Missing { .. })));
}

#[tokio::test]
async fn a_wrong_token_is_401_for_everyone() {
    let world = World::new().await;
    let (_, good) = world.token(&["logs"], None).await;
    let cut = good.reveal()[..good.reveal().len() - 1].to_owned();
    let longer = format!("{}x", good.reveal());
    for peer in [Peer::Admin, loopback(), stranger()] {
        for token in ["x", "wbt_", &cut, &longer, &good.reveal().to_lowercase(), "wbt_' OR 1=1 --"] {
            for headers in
                [[LOCAL, ("authorization", &*format!("Bearer {token}"))], [LOCAL, ("kong-admin-token", token)]]
            {
                let refusal = world.authorizer.authorize(&asked(peer, &headers), GET).unwrap_err();
                assert_eq!(
                    (refusal.status().as_u16() / 100, refusal.code()),
                    (4, "authentication-failed"),
                    "{peer:?} {token}"
                );
            }
        }
        let basic = world.authorizer.authorize(&asked(peer, &[LOCAL, ("authorization", "Basic am9lOmE=")]), GET);
        assert_eq!(basic.unwrap_err().code(), "authorization-header-invalid");
    }
    let first =
        world.restarted().await.authorizer.authorize(&asked(loopback(), &[LOCAL, ("authorization", "Bearer x")]), GET);
    assert_eq!(first, Err(Refusal::Unknown));
}

#[tokio::test]
async fn a_token_opens_what_it_allows_and_nothing_else() {
    let world = World::new().await;
    let (token, bearer) = world.token(&["logs:get:log_a", "messages"], None).await;
    let header = format!("Bearer {}", bearer.reveal());
    for peer in [stranger(), loopback(), Peer::Admin] {
        let ask = |need| world.authorizer.authorize(&asked(peer, &[LOCAL, ("authorization", &header)]), need);
        let caller = ask(GET.object("log_a")).unwrap();
        assert_eq!((caller.origin(), caller.peer()), (Origin::Token(token.id), peer));
        assert_eq!(
            ask(Need::new(Subject::Messages, Action::Publish).object("log_b")).map(|c| c.origin()),
            Ok(Origin::Token(token.id))
        );
        for (need, words) in [
            (GET, "logs:get"),
            (GET.object("log_b"), "logs:get:log_b"),
            (Need::new(Subject::Logs, Action::Delete).object("log_a"), "logs:delete:log_a"),
            (Need::new(Subject::Tokens, Action::Create), "tokens:create"),
            (Need::new(Subject::EventHooks, Action::Lambda), "event_hooks:lambda"),
        ] {
            let refusal = ask(need).unwrap_err();
            assert_eq!(
                (refusal.status(), refusal.code()),
                (StatusCode::UNAUTHORIZED, "authorization-failed"),
                "{peer:?}"
            );
            let command = format!("`waybill tokens create --acl {words}`");
            assert!(refusal.message().contains(&command), "{}", refusal.message());
        }
    }
}

#[tokio::test]
async fn kongs_header_counts_as_the_bearer_token() {
    let world = World::new().await;
    let (token, bearer) = world.token(&["event_hooks"], None).await;
    let need = Need::new(Subject::EventHooks, Action::Create);
    let caller =
        world.authorizer.authorize(&asked(stranger(), &[("kong-admin-token", bearer.reveal())]), need).unwrap();
    assert_eq!(caller.origin(), Origin::Token(token.id));
}

#[tokio::test]
async fn a_confined_token_reaches_its_tenant_only() {
    let world = World::new().await;
    let (_, bearer) = world.token(&["logs"], Some("acme")).await;
    let caller = world.bearer_of(&bearer, GET.object("log_a"));
    assert_eq!(caller.tenant(), Some("acme"));
    assert!(caller.reaches(Some("acme")) && !caller.reaches(Some("other")) && !caller.reaches(None));
    assert!(caller.may(Subject::Logs, Action::Get, Some("log_a"), Some("acme")));
    assert!(!caller.may(Subject::Logs, Action::Get, Some("log_a"), Some("other")));
    assert!(world.operator().reaches(Some("acme")) && world.operator().reaches(None));
}

#[tokio::test]
async fn a_refusal_says_what_to_do_and_never_what_was_shown() {
    let world = World::new().await;
    let (_, bearer) = world.token(&["logs:list"], None).await;
    let secret = bearer.reveal();
    let header = format!("Bearer {secret}");
    let wrong = format!("Bearer {secret}\u{7f}").replace('\u{7f}', "0");
    let challenge = |headers: &HeaderMap| headers.get(header::WWW_AUTHENTICATE).cloned();
    for (headers, words) in [
        (&[][..], "`waybill tokens create --acl logs:get`"),
        (&[("authorization", &*wrong)], "`waybill tokens create`"),
        (&[("authorization", &*header)], "`waybill tokens create --acl logs:get`"),
        (&[("authorization", secret)], "`Bearer TOKEN`"),
    ] {
        let refusal = world.authorizer.authorize(&asked(stranger(), headers), GET).unwrap_err();
        assert_eq!(refusal.status(), StatusCode::UNAUTHORIZED);
        assert!(refusal.message().contains(words), "{}", refusal.message());
        assert!(!format!("{refusal:?} {refusal}").contains(&secret[4..]), "{refusal:?}");
        assert_eq!(challenge(&refusal.headers()).unwrap(), "Bearer realm=\"waybill\"");
    }
    let proxied = world.authorizer.authorize(&asked(loopback(), &[LOCAL, ("via", "x")]), GET).unwrap_err();
    assert!(proxied.message().contains("not behind a proxy"), "{proxied}");
    let object = "a`\r\n\u{1b}[2J".to_owned() + &"x".repeat(1000);
    let odd = world.authorizer.authorize(&asked(stranger(), &[]), GET.object(&object)).unwrap_err().message();
    assert!(!odd.contains(['\r', '\n', '\u{1b}']) && odd.len() < 600, "{odd}");
}

#[tokio::test]
async fn wrong_tokens_of_one_peer_are_slowed_down_and_a_right_one_still_works() {
    let world = World::new().await;
    let (_, bearer) = world.token(&["logs"], None).await;
    let wrong =
        || world.authorizer.authorize(&asked(stranger(), &[("authorization", "Bearer guess")]), GET).unwrap_err();
    let answered = (0..100).filter(|_| wrong() == Refusal::Unknown).count();
    assert_eq!(answered, 20);
    let refusal = wrong();
    assert_eq!((refusal.status(), refusal.code()), (StatusCode::TOO_MANY_REQUESTS, "authentication-failed"));
    assert_eq!(refusal.headers()[header::RETRY_AFTER], "3");
    world.bearer_of(&bearer, GET);
    let other = world.authorizer.authorize(&asked(loopback(), &[("authorization", "Bearer guess")]), GET);
    assert_eq!(other, Err(Refusal::Unknown), "others are not slowed down");
    world.clock.advance(Duration::from_secs(3));
    assert_eq!((wrong(), wrong().status()), (Refusal::Unknown, StatusCode::TOO_MANY_REQUESTS));
    for _ in 0..100 {
        let missing = world.authorizer.authorize(&asked(Peer::ip([192, 0, 2, 10].into()), &[]), GET).unwrap_err();
        assert_eq!(missing.status(), StatusCode::UNAUTHORIZED, "who shows nothing guesses nothing");
    }
}

#[tokio::test]
async fn before_the_spool_is_open_a_token_has_to_wait_and_the_operator_does_not() {
    let world = World::closed(Arc::new(MemoryStore::new()));
    let refusal = world.authorizer.authorize(&asked(stranger(), &[("authorization", "Bearer x")]), GET).unwrap_err();
    assert_eq!((refusal.status(), refusal.code()), (StatusCode::SERVICE_UNAVAILABLE, "server-error"));
    assert!(world.authorizer.authorize(&asked(loopback(), &[LOCAL]), GET).is_ok());
    assert_eq!(world.tokens().list(&world.operator(), None).unwrap_err().to_string(), "waiting for spool startup");
}
