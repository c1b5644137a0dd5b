//! Tokens are made, changed and deleted.

use crate::world::{MAKE_TOKENS, World, asked, grant, stranger};
use bytes::Bytes;
use http::StatusCode;
use waybill_authorizer::{Acl, Action, Need, Refusal, Subject, TokenError, TokenId, TokenUpdate};
use waybill_spool::{Batch, Durability, Key, ReadLimit, StreamId, Table};
use waybill_types::{Offset, Timestamp};

const GET: Need<'static> = Need::new(Subject::Logs, Action::Get);

fn acl(lines: &[&str]) -> Option<Acl> {
    Some(Acl::parse(lines).unwrap())
}

#[tokio::test]
async fn tokens_are_there_after_a_restart_and_deleted_ones_are_not() {
    let world = World::new().await;
    let (kept, bearer) = world.token(&["logs"], Some("acme")).await;
    let (gone, lost) = world.token(&["logs"], None).await;
    world.tokens().delete(&world.operator(), gone.id).await.unwrap();
    for world in [world.restarted().await, world] {
        assert_eq!(world.bearer_of(&bearer, GET).tenant(), Some("acme"));
        let shown = format!("Bearer {}", lost.reveal());
        let refusal = world.authorizer.authorize(&asked(stranger(), &[("authorization", &shown)]), GET).unwrap_err();
        assert_eq!(refusal, Refusal::Unknown);
        let listed = world.tokens().list(&world.operator(), None).unwrap();
        assert_eq!(listed.iter().map(|token| token.id).collect::<Vec<_>>(), [kept.id]);
        assert_eq!(world.tokens().get(&world.operator(), kept.id).unwrap().metadata, "made by the operator");
    }
}

#[tokio::test]
async fn what_is_stored_is_a_hash() {
    let world = World::new().await;
    let (_, bearer) = world.token(&["logs"], None).await;
    let found = world.store.range(Table::State, Key::new(), Key::new().end(), 10).await.unwrap();
    assert_eq!(found.len(), 1);
    let (key, value) = &found[0];
    let text = format!("{key:?} {}", String::from_utf8_lossy(value));
    assert!(text.contains("sha256") && !text.contains(&bearer.reveal()[4..]), "{text}");
}

#[tokio::test]
async fn metadata_selects_exactly() {
    let world = World::new().await;
    let operator = world.operator();
    for metadata in ["a", "ab", "a' OR '1'='1"] {
        world.tokens().create(&operator, metadata.into(), acl(&["logs"]), None).await.unwrap();
    }
    let count = |metadata| world.tokens().list(&operator, metadata).unwrap().len();
    assert_eq!(
        [count(None), count(Some("a")), count(Some("")), count(Some("a' OR '1'='1")), count(Some("%"))],
        [3, 1, 0, 1, 0]
    );
}

#[tokio::test]
async fn a_token_cannot_grant_more_than_it_has() {
    let world = World::new().await;
    let (_, bearer) = world.token(&["tokens", "logs:get", "messages:publish:log_a"], None).await;
    let caller = world.bearer_of(&bearer, MAKE_TOKENS);
    for lines in [
        &["logs"][..],
        &["logs:get", "logs:list"],
        &["messages:publish"],
        &["messages:publish:log_b"],
        &["admin"],
        &["event_hooks:lambda"],
    ] {
        let error = world.tokens().create(&caller, String::new(), acl(lines), None).await.unwrap_err();
        assert!(matches!(&error, TokenError::NotAllowed(what) if what.contains(lines.last().unwrap())), "{error}");
    }
    let (made, second) =
        world.tokens().create(&caller, String::new(), acl(&["tokens:create", "logs:get:log_a"]), None).await.unwrap();
    let second = world.bearer_of(&second, MAKE_TOKENS);
    assert!(
        world.tokens().create(&second, String::new(), acl(&["logs:get"]), None).await.is_err(),
        "nor through another"
    );
    let widen = TokenUpdate { acl: acl(&["tokens", "logs"]), ..TokenUpdate::default() };
    assert!(matches!(world.tokens().update(&caller, made.id, widen).await, Err(TokenError::NotAllowed(_))));
    assert_eq!(world.tokens().list(&caller, None).unwrap().len(), 2);
}

#[tokio::test]
async fn a_token_with_more_cannot_be_changed_or_deleted_by_one_with_less() {
    let world = World::new().await;
    let (strong, _) = world.token(&["admin", "tokens"], None).await;
    let (weak, bearer) = world.token(&["tokens"], None).await;
    let caller = world.bearer_of(&bearer, MAKE_TOKENS);
    let rename = || TokenUpdate { metadata: Some("mine".into()), acl: None };
    assert!(matches!(world.tokens().update(&caller, strong.id, rename()).await, Err(TokenError::NotAllowed(_))));
    assert!(matches!(world.tokens().delete(&caller, strong.id).await, Err(TokenError::NotAllowed(_))));
    assert_eq!(world.tokens().update(&caller, weak.id, rename()).await.unwrap().metadata, "mine");
}

#[tokio::test]
async fn a_confined_token_makes_confined_ones_and_does_not_see_the_others() {
    let world = World::new().await;
    let (free, _) = world.token(&["tokens", "logs"], None).await;
    let (other, _) = world.token(&["tokens", "logs"], Some("other")).await;
    let (own, bearer) = world.token(&["tokens", "logs"], Some("acme")).await;
    let caller = world.bearer_of(&bearer, MAKE_TOKENS);
    let (made, _) = world.tokens().create(&caller, String::new(), None, None).await.unwrap();
    assert_eq!(made.grant, grant(&["tokens", "logs"], Some("acme")), "confined without being told");
    let elsewhere = world.tokens().create(&caller, String::new(), None, Some("other".into())).await.unwrap_err();
    assert!(matches!(&elsewhere, TokenError::NotAllowed(what) if what.contains("tenant \"other\"")), "{elsewhere}");
    let mut seen: Vec<TokenId> = world.tokens().list(&caller, None).unwrap().iter().map(|token| token.id).collect();
    seen.sort();
    let mut expected = vec![own.id, made.id];
    expected.sort();
    assert_eq!(seen, expected);
    for id in [free.id, other.id] {
        assert!(matches!(world.tokens().get(&caller, id), Err(TokenError::NotFound(_))));
        assert!(matches!(world.tokens().delete(&caller, id).await, Err(TokenError::NotFound(_))));
        assert!(matches!(
            world.tokens().update(&caller, id, TokenUpdate::default()).await,
            Err(TokenError::NotFound(_))
        ));
    }
}

#[tokio::test]
async fn without_a_list_a_token_gets_what_its_maker_has_but_for_what_has_to_be_named() {
    let world = World::new().await;
    let (token, _) = world.tokens().create(&world.operator(), String::new(), None, None).await.unwrap();
    let lines = token.grant.acl().lines();
    assert!(lines.contains(&"event_hooks".to_owned()) && lines.contains(&"tokens".to_owned()), "{lines:?}");
    assert!(!lines.iter().any(|line| line.contains("admin") || line.contains("lambda")), "{lines:?}");
    let (nothing, _) = world.tokens().create(&world.operator(), String::new(), acl(&[]), None).await.unwrap();
    assert_eq!(nothing.grant.acl().lines().len(), 0, "an empty list is one that allows nothing");
}

#[tokio::test]
async fn a_change_counts_at_once_and_keeps_the_secret() {
    let world = World::new().await;
    let (token, bearer) = world.token(&["logs"], Some("acme")).await;
    let update = TokenUpdate { metadata: Some("renamed".into()), acl: acl(&["logs:list"]) };
    let changed = world.tokens().update(&world.operator(), token.id, update).await.unwrap();
    assert_eq!(changed.grant, grant(&["logs:list"], Some("acme")));
    for world in [world.restarted().await, world] {
        world.bearer_of(&bearer, Need::new(Subject::Logs, Action::List));
        let shown = format!("Bearer {}", bearer.reveal());
        let refusal = world.authorizer.authorize(&asked(stranger(), &[("authorization", &shown)]), GET).unwrap_err();
        assert_eq!((refusal.code(), refusal.status()), ("authorization-failed", StatusCode::UNAUTHORIZED));
    }
}

#[tokio::test]
async fn who_was_deleted_or_cut_down_meanwhile_makes_nothing_more() {
    let world = World::new().await;
    let (one, bearer) = world.token(&["tokens", "logs"], None).await;
    let caller = world.bearer_of(&bearer, MAKE_TOKENS);
    let less = TokenUpdate { acl: acl(&["tokens"]), ..TokenUpdate::default() };
    world.tokens().update(&world.operator(), one.id, less).await.unwrap();
    assert!(world.tokens().create(&caller, String::new(), acl(&["logs"]), None).await.is_err());
    world.tokens().delete(&world.operator(), one.id).await.unwrap();
    assert!(world.tokens().create(&caller, String::new(), acl(&["tokens"]), None).await.is_err());
    assert_eq!(world.tokens().list(&world.operator(), None).unwrap().len(), 0);
}

#[tokio::test]
async fn what_is_too_large_is_refused_whole() {
    let world = World::new().await;
    let operator = world.operator();
    let create = |metadata: String, lines: Vec<String>, tenant: Option<String>| {
        let acl = Acl::parse(lines).unwrap();
        let (tokens, operator) = (world.tokens().clone(), operator.clone());
        async move { tokens.create(&operator, metadata, Some(acl), tenant).await.unwrap_err() }
    };
    assert!(matches!(create("x".repeat(5000), vec![], None).await, TokenError::Limit(_)));
    let lines = (0..1000).map(|n| format!("logs:get:{n}")).collect();
    assert!(matches!(create(String::new(), lines, None).await, TokenError::Limit(_)));
    assert!(matches!(create(String::new(), vec![], Some("a\nb".into())).await, TokenError::Tenant(_)));
    assert_eq!(world.tokens().list(&operator, None).unwrap().len(), 0);
}

#[tokio::test]
async fn what_is_recorded_of_a_change_is_stored_with_it() {
    let world = World::new().await;
    world.tokens().record_with(|change, batch| {
        let text = format!("{} {} by {}", change.operation(), change.id().unwrap(), change.by);
        batch.append(StreamId::SIGNALS, Bytes::from(text));
    });
    let (token, _) = world.token(&["logs"], None).await;
    world.tokens().update(&world.operator(), token.id, TokenUpdate::default()).await.unwrap();
    world.tokens().delete(&world.operator(), token.id).await.unwrap();
    let limit = ReadLimit { entries: 10, bytes: 10_000 };
    let found = world.store.read(StreamId::SIGNALS, Offset::ZERO, limit).await.unwrap();
    let texts: Vec<String> =
        found.entries.iter().map(|(_, entry)| String::from_utf8_lossy(entry).into_owned()).collect();
    let expected = ["create", "update", "delete"].map(|what| format!("{what} {} by admin socket", token.id));
    assert_eq!(texts, expected);
}

#[tokio::test]
async fn a_change_is_made_to_its_end_when_whoever_asked_hangs_up() {
    let world = World::new().await;
    let (token, _) = world.token(&["logs"], None).await;
    let (tokens, operator) = (world.tokens().clone(), world.operator());
    let mut deleting = Box::pin(tokens.delete(&operator, token.id));
    assert!(futures::poll!(deleting.as_mut()).is_pending());
    drop(deleting);
    world.tasks.join().await;
    assert_eq!(world.tokens().list(&operator, None).unwrap().len(), 0);
    assert_eq!(world.restarted().await.tokens().list(&operator, None).unwrap().len(), 0);
}

#[tokio::test]
async fn a_token_that_cannot_be_read_opens_nothing_and_the_others_do() {
    let world = World::new().await;
    let (_, bearer) = world.token(&["logs"], None).await;
    let id = TokenId::mint(Timestamp::from_secs(1_790_000_000)).unwrap().to_string();
    let mut batch = Batch::new();
    batch.set(Table::State, Key::new().text("token").text(&id), "{\"later\":true}");
    batch.set(Table::State, Key::new().text("tokens of somebody else"), "x");
    world.store.commit(batch, Durability::Synced).await.unwrap();
    let world = world.restarted().await;
    assert_eq!(world.tokens().list(&world.operator(), None).unwrap().len(), 1);
    world.bearer_of(&bearer, GET);
}
