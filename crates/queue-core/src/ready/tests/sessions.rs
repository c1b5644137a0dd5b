//! Who carries them: opened on demand, replaced, closed.

use super::*;

#[test]
fn an_item_opens_a_session_and_is_handed_to_it_when_it_is_connected() {
    let mut bench = Bench::single(limits());
    let actions = bench.fill_raw(0..1);
    let [ReadyAction::Open { session, representative, queue }] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!((representative.as_str(), queue), ("a.example", &bench.path));
    let session = *session;
    assert_eq!(handed(&bench.connect(session)), [(session, vec![0])]);
    assert_eq!(bench.finish(session, Fate::Keep), []);
    // The next one goes to the idle session.
    assert_eq!(handed(&bench.fill_raw(1..2)), [(session, vec![1])]);
}

#[test]
fn sessions_are_opened_on_demand_along_the_curve() {
    let mut bench = Bench::single(limits());
    assert_eq!(bench.fill(0..1).len(), 1);
    assert_eq!(bench.fill(1..10).len(), 6, "ten items want seven sessions");
    assert_eq!(bench.fill(10..64).len(), 18, "64 want 25");
    let mut bench = Bench::new(limits(), BatchPolicy::new(64, 1, Duration::ZERO));
    assert_eq!(bench.fill(0..64).len(), 1, "one batch wants one session");
    let mut bench = Bench::single(PathLimits { aggressive_connection_opening: true, ..limits() });
    assert_eq!(bench.fill(0..10).len(), 10);
}

#[test]
fn the_connection_limit_holds_also_while_sessions_close() {
    let mut bench = Bench::single(PathLimits { connection_limit: 1, ..limits() });
    let session = bench.fill(0..2)[0];
    bench.connect(session);
    let actions = bench.finish(session, Fate::Close);
    assert_eq!((closed(&actions), opened(&actions)), (vec![session], vec![]));
    assert!(bench.status().connection_limited);
    assert_eq!(opened(&bench.step(ReadyEvent::Closed { session })).len(), 1);
}

#[test]
fn a_lower_limit_closes_what_is_too_many() {
    let mut bench = Bench::single(PathLimits { aggressive_connection_opening: true, ..limits() });
    let sessions = bench.fill(0..3);
    for session in &sessions {
        bench.connect(*session);
    }
    bench.finish(sessions[0], Fate::Keep);
    let actions = bench.configure(PathLimits { connection_limit: 1, ..limits() }, BatchPolicy::single());
    assert_eq!(closed(&actions), [sessions[0]]);
    assert_eq!(closed(&bench.finish(sessions[1], Fate::Keep)), [sessions[1]]);
    assert_eq!(closed(&bench.finish(sessions[2], Fate::Keep)), []);
}

#[test]
fn an_idle_session_is_closed_after_the_idle_timeout() {
    let mut bench = Bench::single(limits());
    let session = bench.fill(0..1)[0];
    bench.connect(session);
    bench.finish(session, Fate::Keep);
    assert_eq!(bench.queues.next_wake(), Some(bench.now + secs(5)));
    assert_eq!(closed(&bench.after(4_999)), []);
    assert_eq!(closed(&bench.after(1)), [session]);
    assert_eq!(bench.queues.sessions(), 1, "it counts until it is closed");
    bench.step(ReadyEvent::Closed { session });
    assert_eq!(bench.queues.sessions(), 0);
}

#[test]
fn the_most_recently_used_session_gets_the_next_batch_so_that_the_others_can_go() {
    let mut bench = Bench::single(PathLimits { aggressive_connection_opening: true, ..limits() });
    let sessions = bench.fill(0..2);
    for session in &sessions {
        bench.connect(*session);
    }
    bench.finish(sessions[1], Fate::Keep);
    bench.after(1);
    bench.finish(sessions[0], Fate::Keep);
    bench.after(1);
    assert_eq!(handed(&bench.fill_raw(2..3)), [(sessions[0], vec![2])]);
}

#[test]
fn a_session_is_replaced_after_its_last_permitted_item() {
    let mut bench = Bench::single(PathLimits { max_deliveries_per_connection: 2, connection_limit: 1, ..limits() });
    let session = bench.fill(0..3)[0];
    bench.connect(session);
    assert_eq!(handed(&bench.finish(session, Fate::Keep)), [(session, vec![1])]);
    let actions = bench.finish(session, Fate::Keep);
    assert_eq!((closed(&actions), handed(&actions)), (vec![session], vec![]));
    assert_eq!(opened(&bench.step(ReadyEvent::Closed { session })).len(), 1);
}

#[test]
fn after_an_error_or_a_421_the_session_is_replaced_and_the_next_items_are_untouched() {
    for fate in [Fate::Close, Fate::Broken] {
        let mut bench = Bench::single(PathLimits { connection_limit: 1, ..limits() });
        let session = bench.fill(0..2)[0];
        bench.connect(session);
        let mut actions = bench.finish(session, fate);
        actions.extend(bench.step(ReadyEvent::Closed { session }));
        assert_eq!(returned(&actions), []);
        let next = opened(&actions)[0];
        assert_ne!(next, session);
        assert_eq!(handed(&bench.connect(next)), [(next, vec![1])]);
    }
}

#[test]
fn a_connection_failure_costs_the_batch_that_it_would_have_carried_and_no_other() {
    let mut bench = Bench::new(PathLimits { connection_limit: 1, ..limits() }, BatchPolicy::new(2, 1, secs(0)));
    let session = bench.fill(0..3)[0];
    let actions = bench.fail(session);
    let failed = Reason::LoggedTransientFailure;
    assert_eq!(returned(&actions), [(0, failed, None), (1, failed, None)]);
    assert_eq!(opened(&actions).len(), 1, "item 2 still wants a session");
}

#[test]
fn while_another_session_works_a_connection_failure_costs_nothing_but_a_pause() {
    let mut bench = Bench::single(PathLimits { aggressive_connection_opening: true, ..limits() });
    let sessions = bench.fill(0..2);
    bench.connect(sessions[0]);
    let actions = bench.fail(sessions[1]);
    assert_eq!((returned(&actions), opened(&actions)), (vec![], vec![]));
    assert_eq!(opened(&bench.after(4_999)), []);
    assert_eq!(opened(&bench.after(1)).len(), 1);
}

#[test]
fn too_many_connection_failures_in_a_row_send_everything_back_until_one_succeeds() {
    let mut bench = Bench::single(PathLimits { consecutive_connection_failures: 1, ..limits() });
    let mut session = bench.fill(0..5)[0];
    session = opened(&bench.fail(session)).first().copied().unwrap_or(SessionId(session.0 + 1));
    let reasons: Vec<_> = returned(&bench.fail(session)).into_iter().map(|(item, reason, _)| (item, reason)).collect();
    let many = Reason::TooManyConnectionFailures;
    assert_eq!(reasons, [(1, many), (2, many), (3, many), (4, many)]);
    assert!(many.is_attempt());
    // Still failing: the next one goes back at the first failure. A success forgets.
    for other in 3..=5 {
        bench.step(ReadyEvent::Closed { session: SessionId(other) });
    }
    let next = bench.fill(5..6)[0];
    assert_eq!(returned(&bench.fail(next)), [(5, many, None)]);
    let next = bench.fill(6..7)[0];
    bench.connect(next);
    assert_eq!(bench.status().failures, 0);
}

#[test]
fn the_batch_of_a_session_that_is_lost_comes_back() {
    let mut bench = Bench::new(limits(), BatchPolicy::new(2, 1, secs(0)));
    let session = bench.fill(0..2)[0];
    bench.connect(session);
    let drop = Reason::DispatcherDrop;
    let actions = bench.step(ReadyEvent::Closed { session });
    assert_eq!(returned(&actions), [(0, drop, None), (1, drop, None)]);
    assert_eq!(bench.finish(session, Fate::Keep), [], "a late report is no news");
}

#[test]
fn reports_about_unknown_sessions_change_nothing() {
    let mut bench = Bench::single(limits());
    let session = SessionId(77);
    assert_eq!(bench.connect(session), []);
    assert_eq!(bench.finish(session, Fate::Keep), []);
    assert_eq!(bench.fail(session), []);
    assert_eq!(bench.step(ReadyEvent::Closed { session }), []);
}

fn refuse(bench: &mut Bench, session: SessionId) -> Vec<ReadyAction<u32>> {
    bench.step(ReadyEvent::SessionRefused { session })
}

#[test]
fn a_session_without_a_connection_gets_the_batch_in_front_and_no_other() {
    let mut bench = Bench::single(PathLimits { connection_limit: 1, ..limits() });
    let session = bench.fill(0..2)[0];
    assert_eq!(handed(&refuse(&mut bench, session)), [(session, vec![0])]);
    assert_eq!(bench.status().failures, 1);
    let actions = bench.finish(session, Fate::Broken);
    assert_eq!((closed(&actions), handed(&actions)), (vec![session], vec![]));
    assert_eq!(opened(&bench.step(ReadyEvent::Closed { session })).len(), 1, "for the next one");
}

#[test]
fn a_session_without_a_connection_and_without_a_batch_is_closed_at_once() {
    let mut bench = Bench::single(limits());
    let session = bench.fill(0..1)[0];
    let waiting = bench.queues.take_back(&bench.path.clone(), &QueueName::new("a.example"));
    assert_eq!(waiting, [0]);
    assert_eq!(closed(&refuse(&mut bench, session)), [session]);
}

#[test]
fn where_another_session_works_the_path_is_not_to_blame() {
    let mut bench = Bench::single(PathLimits { aggressive_connection_opening: true, connection_limit: 2, ..limits() });
    let sessions = bench.fill(0..3);
    bench.connect(sessions[0]);
    let actions = refuse(&mut bench, sessions[1]);
    assert_eq!((closed(&actions), handed(&actions), returned(&actions)), (vec![sessions[1]], vec![], vec![]));
    assert_eq!(opened(&bench.step(ReadyEvent::Closed { session: sessions[1] })), [], "not again at once");
    assert_eq!(opened(&bench.after(5_000)).len(), 1);
}

#[test]
fn sessions_without_a_connection_prove_nothing() {
    let mut bench = Bench::single(PathLimits { aggressive_connection_opening: true, connection_limit: 2, ..limits() });
    let sessions = bench.fill(0..2);
    assert_eq!(handed(&refuse(&mut bench, sessions[0])), [(sessions[0], vec![0])]);
    assert_eq!(handed(&refuse(&mut bench, sessions[1])), [(sessions[1], vec![1])]);
}

#[test]
fn one_connection_failure_too_many_sends_everything_back_and_a_connection_begins_anew() {
    let limits = PathLimits { consecutive_connection_failures: 1, connection_limit: 1, ..limits() };
    let mut bench = Bench::single(limits);
    let first = bench.fill(0..4)[0];
    refuse(&mut bench, first);
    bench.finish(first, Fate::Broken);
    let second = opened(&bench.step(ReadyEvent::Closed { session: first }))[0];
    let actions = refuse(&mut bench, second);
    let all: Vec<_> = (1..4).map(|item| (item, Reason::TooManyConnectionFailures, None)).collect();
    assert_eq!((returned(&actions), closed(&actions)), (all, vec![second]));
    bench.step(ReadyEvent::Closed { session: second });
    let third = bench.fill(4..5)[0];
    bench.connect(third);
    assert_eq!(bench.status().failures, 0);
}
