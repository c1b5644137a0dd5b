//! What operators do: pause, try dead letters again, replay.

use crate::world::{Life, NAME, REPLAY, TokioClock, append, letters, registered};
use std::sync::Arc;
use std::time::Duration;
use waybill_consumers::{Chosen, ConsumerState, Ended, Registry, Replay};
use waybill_runtime::Clock;
use waybill_spool::{MemoryStore, Store};
use waybill_types::Offset;

/// A journal of so many events of one lane.
async fn journal(events: usize, what: &str) -> (Arc<dyn Store>, Arc<TokioClock>) {
    let (store, clock): (Arc<dyn Store>, _) = (Arc::new(MemoryStore::new()), TokioClock::start());
    for _ in 0..events {
        append(&*store, &clock, "a", what).await.unwrap();
    }
    (store, clock)
}

#[tokio::test(start_paused = true)]
async fn a_paused_consumer_sends_nothing_also_after_a_restart_until_it_is_resumed() {
    let (store, clock) = journal(0, "ok").await;
    let life = Life::new(&store, &clock);
    let left = life.live(async |inside| {
        inside.control.pause().await.unwrap();
        append(&*store, &clock, "a", "ok").await.unwrap();
        let snapshot = inside.until_shown(|snapshot| snapshot.lag_events == 1).await;
        assert_eq!(snapshot.state, ConsumerState::Paused);
        Some(())
    });
    assert!(left.await.unwrap().told.delivered.is_empty());
    assert!(registered(&store).await.paused);
    let left = life.live(async |inside| {
        inside.until_shown(|snapshot| snapshot.state == ConsumerState::Paused).await;
        assert!(inside.desk.told().delivered.is_empty());
        inside.control.resume().await.unwrap();
        inside.caught_up().await;
        Some(())
    });
    assert_eq!(left.await.unwrap().told.delivered.len(), 1);
    assert!(!registered(&store).await.paused);
}

#[tokio::test(start_paused = true)]
async fn dead_letters_are_delivered_once_their_endpoint_is_mended_and_are_gone_then() {
    let (store, clock) = journal(600, "never").await;
    append(&*store, &clock, "panic", "ok").await.unwrap();
    let life = Life::new(&store, &clock);
    let left = life.live(async |inside| {
        assert_eq!(inside.caught_up().await.dead_letters, 601);
        // The endpoint still refuses: what is tried again is a letter again, and only once.
        inside.control.redrive(Chosen { offset: Some(7), ..Chosen::default() }).await.unwrap();
        inside.until_shown(|snapshot| snapshot.attempts == 601 && snapshot.lag_events == 0).await;
        inside.desk.mend();
        let permanent = Chosen { reason: Some("permanent".to_owned()), offset: None };
        inside.control.redrive(permanent).await.unwrap();
        inside.until_shown(|snapshot| snapshot.dead_letters == 1 && snapshot.lag_events == 0).await;
        Some(())
    });
    let left = left.await.unwrap();
    assert_eq!(left.told.delivered.len(), 600);
    assert!(left.told.delivered.values().all(|times| *times == 1));
    assert_eq!(left.in_memory, 0);
    let rest: Vec<String> = letters(&store).await.into_iter().map(|letter| letter.reason).collect();
    assert_eq!(rest, ["handler-failed"]);
}

#[tokio::test(start_paused = true)]
async fn a_letter_that_is_being_tried_when_the_process_dies_is_still_there() {
    let (store, clock) = journal(1, "never").await;
    let life = Life::new(&store, &clock);
    life.live(async |inside| {
        inside.caught_up().await;
        Some(())
    })
    .await
    .unwrap();
    let left = life.live(async |inside| {
        inside.desk.silence("a");
        inside.control.redrive(Chosen::default()).await.unwrap();
        inside.until_shown(|snapshot| snapshot.in_flight == 1).await;
        None
    });
    left.await.unwrap();
    assert_eq!(letters(&store).await.len(), 1);
    assert_eq!(registered(&store).await.letters.kept(0), 1);
}

#[tokio::test(start_paused = true)]
async fn a_redrive_of_nothing_ends() {
    let (store, clock) = journal(1, "never").await;
    let life = Life::new(&store, &clock);
    let left = life.live(async |inside| {
        inside.until_shown(|snapshot| snapshot.dead_letters == 1).await;
        for chosen in [Some("expired".to_owned()), Some("permanent".to_owned())] {
            inside.control.redrive(Chosen { reason: chosen, offset: None }).await.unwrap();
            assert!(inside.shown.lock().as_ref().is_some_and(|snapshot| snapshot.redriving), "who asked sees it begin");
            let ends = inside.until_shown(|snapshot| !snapshot.redriving);
            let done = tokio::time::timeout(Duration::from_secs(3600), ends).await.expect("it ends");
            assert_eq!((done.dead_letters, done.letters.written - done.letters.redriven), (1, 1), "{done:?}");
        }
        Some(())
    });
    assert_eq!(left.await.unwrap().told.delivered.len(), 0);
    assert_eq!(registered(&store).await.letters.written, 2);
}

#[tokio::test(start_paused = true)]
async fn who_is_behind_is_as_far_behind_as_the_oldest_event_whenever_one_looks() {
    const OLD: Duration = Duration::from_secs(100);
    let (store, clock) = journal(20, "later").await;
    tokio::time::advance(OLD).await;
    let life = Life::new(&store, &clock);
    let left = life.live(async |inside| {
        let (mut read, mut parked) = (false, false);
        // Unread, on their way, parked, on their way again.
        loop {
            tokio::time::sleep(Duration::from_millis(7)).await;
            let Some(snapshot) = inside.shown.lock().clone() else { continue };
            read |= snapshot.in_flight > 0;
            parked |= snapshot.parked > 0 && snapshot.in_flight == 0;
            if snapshot.lag_events == 0 && parked {
                assert!(read && snapshot.lag_seconds == 0.0);
                return Some(());
            }
            assert!(snapshot.lag_seconds >= OLD.as_secs_f64() || snapshot.lag_events == 0, "{snapshot:?}");
        }
    });
    assert_eq!(left.await.unwrap().told.delivered.len(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_replay_has_done_what_it_delivered_and_not_what_it_read() {
    let (store, clock) = journal(3, "ok").await;
    append(&*store, &clock, "b", "ok").await.unwrap();
    tokio::time::advance(Duration::from_secs(10 * 86_400)).await;
    let life = Life { replay: replay(&clock, 0, 4), ..Life::new(&store, &clock) };
    let left = life.live(async |inside| {
        inside.desk.silence("b");
        let snapshot = inside.until_shown(|snapshot| snapshot.lag_events == 1).await;
        assert_eq!(snapshot.progress, Some(0.75));
        assert!(snapshot.lag_seconds < 86_400.0, "it is as old as the replay: {snapshot:?}");
        inside.control.cancel().await.unwrap();
        std::future::pending().await
    });
    assert_eq!(left.await.unwrap().ended, Some(Ended::Done));
}

fn replay(clock: &TokioClock, from: u64, until: u64) -> Option<Replay> {
    let (from, until) = (Offset(from), Offset(until));
    Some(Replay { of: NAME.to_owned(), from, until, kinds: Vec::new(), started: clock.now() })
}

#[tokio::test(start_paused = true)]
async fn a_replay_sends_its_part_of_the_journal_again_and_leaves_nothing_behind() {
    let (store, clock) = journal(20, "ok").await;
    append(&*store, &clock, "a", "never").await.unwrap();
    append(&*store, &clock, "a", "ok").await.unwrap();
    // Older than its max_age allows: the age of a replayed event counts from the replay.
    tokio::time::advance(Duration::from_secs(10 * 86_400)).await;
    let life = Life { replay: replay(&clock, 5, 21), ..Life::new(&store, &clock) };
    let left = life.live(async |_| std::future::pending().await).await.unwrap();
    assert_eq!(left.ended, Some(Ended::Done));
    assert_eq!(left.told.delivered.keys().copied().collect::<Vec<_>>(), (5..20).map(Offset).collect::<Vec<_>>());
    let known = Registry::new(store.clone()).list().await.unwrap();
    assert_eq!(known, [], "it has no position any more");
    assert_eq!(letters(&store).await.len(), 1, "what it could not deliver is with the hook");
}

#[tokio::test(start_paused = true)]
async fn letters_that_replays_leave_are_counted_with_their_hook() {
    let (store, clock) = journal(2, "never").await;
    let life = Life::new(&store, &clock);
    for round in 1..=2 {
        let life = Life { replay: replay(&clock, 0, 2), left: life.left.clone(), ..Life::new(&store, &clock) };
        life.live(async |_| std::future::pending().await).await.unwrap();
        assert_eq!(life.left.get(), 2 * round, "the second one of the same name counts on");
    }
    let left = life.live(async |inside| {
        let snapshot = inside.until_shown(|snapshot| snapshot.dead_letters == 2).await;
        assert_eq!(snapshot.letters.and(life.left.get()).kept(0), 6);
        Some(())
    });
    left.await.unwrap();
    // Also after a restart.
    let registry = Registry::new(store.clone());
    assert_eq!(registry.left().await.unwrap()[NAME], 4);
    assert_eq!(registered(&store).await.letters.kept(0), 6);
    assert_eq!(letters(&store).await.len(), 6);
    let left = life.live(async |inside| {
        inside.desk.mend();
        // Three letters of one event: one attempt is for all of them.
        inside.control.redrive(Chosen { offset: Some(0), reason: None }).await.unwrap();
        inside.until_shown(|snapshot| snapshot.letters.and(life.left.get()).kept(0) == 3).await;
        Some(())
    });
    assert_eq!(left.await.unwrap().told.delivered.into_iter().collect::<Vec<_>>(), [(Offset(0), 1)]);
    assert_eq!(registered(&store).await.letters.kept(0), 3);
    let rest: Vec<Offset> = letters(&store).await.into_iter().map(|letter| letter.offset).collect();
    assert_eq!(rest, [Offset(1); 3]);
    registry.forget(NAME).await.unwrap();
    assert!(registry.left().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_replay_goes_on_after_a_restart_and_can_be_cancelled() {
    let (store, clock) = journal(40, "ok").await;
    let life = Life { replay: replay(&clock, 0, 30), ..Life::new(&store, &clock) };
    let first = life.live(async |inside| {
        inside.desk.until(|told| told.delivered.len() >= 10).await;
        Some(())
    });
    let first = first.await.unwrap();
    assert_eq!(first.ended, Some(Ended::Stopped));
    let registry = Registry::new(store.clone());
    let known = registry.list().await.unwrap();
    assert_eq!((known[0].name.as_str(), known[0].replay.clone()), (REPLAY, life.replay.clone()));
    assert_eq!(registry.detach_all_but(&[NAME.to_owned()], clock.now()).await.unwrap(), [], "it goes with its hook");
    let second = life.live(async |_| std::future::pending().await).await.unwrap();
    assert_eq!(first.told.delivered.len() + second.told.delivered.len(), 30);
    let left = life.live(async |inside| {
        inside.desk.silence("a");
        inside.until_shown(|snapshot| snapshot.in_flight > 0).await;
        inside.control.cancel().await.unwrap();
        std::future::pending().await
    });
    assert_eq!(left.await.unwrap().ended, Some(Ended::Done));
    assert_eq!(registry.list().await.unwrap(), []);
}
