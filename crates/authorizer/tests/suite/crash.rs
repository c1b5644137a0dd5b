//! A store that stops after the n-th write, for every n: what a client was told about a token holds after a restart.

use crate::world::World;
use std::collections::BTreeMap;
use std::sync::Arc;
use waybill_authorizer::{Acl, TokenId, TokenUpdate};
use waybill_spool::{Crash, CrashingStore};

/// What a client knows of a token: its metadata, or that it is deleted. `None` where the answer was an error.
type Told = BTreeMap<TokenId, Option<String>>;

/// Makes two tokens, renames one, deletes the other. What was told for sure, and which tokens nobody can be sure of.
async fn work(world: &World) -> (Told, Vec<TokenId>) {
    let (mut told, mut unsure) = (Told::new(), Vec::new());
    let (tokens, operator) = (world.tokens(), world.operator());
    let mut made = Vec::new();
    for name in ["one", "two"] {
        if let Ok((token, _)) = tokens.create(&operator, name.into(), Some(Acl::default()), None).await {
            told.insert(token.id, Some(name.to_owned()));
            made.push(token.id);
        }
    }
    if let Some(id) = made.first().copied() {
        let update = TokenUpdate { metadata: Some("renamed".into()), acl: None };
        match tokens.update(&operator, id, update).await {
            Ok(_) => drop(told.insert(id, Some("renamed".into()))),
            Err(_) => unsure.push(id),
        }
    }
    if let Some(id) = made.get(1).copied() {
        match tokens.delete(&operator, id).await {
            Ok(_) => drop(told.insert(id, None)),
            Err(_) => unsure.push(id),
        }
    }
    (told, unsure)
}

#[tokio::test]
async fn whatever_the_moment_of_a_crash_what_was_answered_is_there_afterwards() {
    let whole = Arc::new(CrashingStore::new(Crash::NEVER));
    work(&World::over(whole.clone()).await).await;
    assert_eq!(whole.commits(), 4);
    for crash in Crash::everywhere(whole.commits()) {
        let store = Arc::new(CrashingStore::new(crash));
        let world = World::over(store.clone()).await;
        let (told, unsure) = work(&world).await;
        assert!(store.is_crashed(), "{crash:?}");
        let after = World::over(store.survivor()).await;
        for (id, expected) in told.iter().filter(|(id, _)| !unsure.contains(id)) {
            let found = after.tokens().get(&after.operator(), *id).ok().map(|token| token.metadata.clone());
            assert_eq!(&found, expected, "{crash:?} {id}");
        }
        // Memory says nothing that the disk might not: what failed did not happen there.
        for id in unsure {
            assert!(world.tokens().get(&world.operator(), id).is_ok(), "{crash:?} {id}");
        }
    }
}
