//! What goes back is shown to the policy first.

use super::*;

impl Bench {
    fn asking() -> Self {
        Bench::narrow(json!({"retry_interval": "5s"})).shown()
    }

    fn shown(mut self) -> Self {
        self.queues.ask_before_return(true);
        self
    }

    fn answered(&mut self, item: u32, verdict: Verdict) -> Vec<Action<u32>> {
        self.step(Event::ReturnAnswered { item, verdict })
    }

    fn is_with_policy(&self, item: u32) -> bool {
        let bench = &self.queues;
        bench.state(&item).is_some_and(|state| matches!(state, State::Scheduled { due, .. } if due <= self.now))
    }
}

/// What is shown, in a line each: the message, why, whether it was tried, how long it waits, and the response.
fn shown(actions: &[Action<u32>]) -> Vec<String> {
    let line = |action: &Action<u32>| {
        let Action::AskBeforeReturn { item, reasons, attempt, response, delay, .. } = action else { return None };
        let response = response.as_deref().map(Response::to_string);
        Some(format!("{item} [{reasons}] {attempt} {delay:?} {}", response.unwrap_or_default()))
    };
    actions.iter().filter_map(line).collect()
}

#[test]
fn a_message_of_a_suspended_queue_is_shown_before_it_fails() {
    let mut bench = Bench::asking();
    bench.step(Event::Suspended { queue: queue(), order: bench.order() });
    let actions = bench.arrive(1);
    let words = "451 4.4.4 KumoMTA internal: scheduled queue is suspended: maintenance";
    assert_eq!(shown(&actions), [format!("1 [ReadyQueueWasSuspended, LoggedTransientFailure] true None {words}")]);
    assert!(logged(&actions).is_empty() && bench.is_with_policy(1));
    let actions = bench.answered(1, Verdict::Stands);
    assert_eq!(logged(&actions), [format!("1 #0 TransientFailure {words}")]);
    assert!(actions.contains(&Action::Save { item: 1, attempts: 1, due: bench.now + secs(5) }));
}

#[test]
fn a_message_whose_ready_queue_is_suspended_is_shown_once() {
    let mut bench = Bench::asking();
    bench.deliver(1..3);
    let mut actions = bench.step(Event::ReadySuspended { queue: path(), order: bench.order() });
    actions.extend(bench.after(0));
    let words = "451 4.4.4 KumoMTA internal: ready queue is suspended: maintenance";
    assert_eq!(shown(&actions), [format!("2 [ReadyQueueWasSuspended, LoggedTransientFailure] true None {words}")]);
}

#[test]
fn a_queue_that_cannot_be_resolved_shows_all_that_wait_for_it() {
    let mut bench = Bench::bare().shown();
    bench.configure(json!({"retry_interval": "5s"}));
    bench.arrive(1);
    bench.arrive(2);
    let lines = shown(&bench.unroutable(451));
    let words = "[FailedToInsertIntoReadyQueue, LoggedTransientFailure] true None 451 KumoMTA internal: failed to \
                 resolve queue";
    assert_eq!(lines, [format!("1 {words}"), format!("2 {words}")]);
    // One that bounces does not go back.
    bench.arrive(3);
    assert_eq!(shown(&bench.unroutable(556)), [""; 0]);
}

#[test]
fn what_was_not_tried_is_shown_without_an_attempt_and_goes_back_without_one() {
    let mut bench = Bench::asking();
    let session = bench.deliver(1..2);
    let lost = bench.step(Event::Closed { session });
    assert_eq!(shown(&lost), ["1 [DispatcherDrop] false None "]);
    assert_eq!(kinds(&bench.answered(1, Verdict::Stands)), ["1 #0 Delayed"]);
    assert_eq!(bench.queues.details(&1).map(|details| details.attempts), Some(0));

    let session = bench.deliver(2..3);
    let given_back = bench.step(Event::Finished { session, outcomes: Vec::new(), fate: Fate::Close });
    assert_eq!(shown(&given_back), ["2 [PeerClosedConnection] false None "]);
}

#[test]
fn a_rate_that_sends_back_says_for_how_long() {
    let limits = PathLimits { max_connection_rate: "1/h".parse().ok(), connection_limit: 1, ..PathLimits::default() };
    let mut bench = Bench::new(json!({}), limits, BatchPolicy::single()).shown();
    let session = bench.deliver(1..2);
    bench.step(Event::Finished { session, outcomes: vec![(1, Outcome::Delivered)], fate: Fate::Broken });
    bench.step(Event::Closed { session });
    let mut actions = bench.arrive(2);
    actions.extend(bench.after(60));
    let [line] = shown(&actions).try_into().expect("one message goes back");
    assert!(line.starts_with("2 [ConnectionRateThrottle] false Some("), "{line}");
}

#[test]
fn a_lost_path_shows_everything_that_waits_for_it() {
    let limits = PathLimits { consecutive_connection_failures: 0, connection_limit: 1, ..PathLimits::default() };
    let mut bench = Bench::new(json!({}), limits, BatchPolicy::single()).shown();
    let session = opened(&bench.arrive(1)).unwrap();
    bench.arrive(2);
    let response = Response::new(400, "nobody is there");
    let lines = shown(&bench.step(Event::SessionFailed { session, response }));
    let words = "[TooManyConnectionFailures, LoggedTransientFailure] true None 400 nobody is there";
    assert_eq!(lines, [format!("1 {words}"), format!("2 {words}")]);
}

#[test]
fn a_full_ready_queue_asks_nobody() {
    let limits = PathLimits { max_ready: 1, connection_limit: 1, ..PathLimits::default() };
    let mut bench = Bench::new(json!({}), limits, BatchPolicy::single()).shown();
    bench.arrive(1);
    let actions = bench.arrive(2);
    assert_eq!((shown(&actions), kinds(&actions)), (vec![], vec!["2 #0 Delayed".to_owned()]));
}

#[test]
fn a_refusal_bounces_behind_the_failure_if_there_was_one() {
    let mut bench = Bench::asking();
    bench.step(Event::Suspended { queue: queue(), order: bench.order() });
    bench.arrive(1);
    let actions = bench.answered(1, Verdict::Refused(Response::new(550, "not again")));
    assert_eq!(kinds(&actions), ["1 #0 TransientFailure", "1 #0 Bounce"]);
    assert_eq!((removed(&actions), bench.queues.len()), (vec![1], 0));

    bench.step(Event::Resumed { queue: queue() });
    let session = bench.deliver(2..3);
    bench.step(Event::Closed { session });
    let actions = bench.answered(2, Verdict::Refused(Response::new(550, "not again")));
    assert_eq!(logged(&actions), ["2 #0 Bounce 550 not again"]);
}

#[test]
fn another_queue_counts_an_attempt_and_is_due_at_once() {
    let mut bench = Bench::asking();
    let session = bench.deliver(1..2);
    bench.step(Event::Closed { session });
    let to = QueueName::new("b.example");
    let actions = bench.answered(1, Verdict::Moved { to: to.clone() });
    assert!(actions.contains(&Action::Save { item: 1, attempts: 1, due: bench.now }), "{actions:?}");
    assert!(actions.contains(&Action::ResolveRoute { queue: to.clone() }));
    assert_eq!(bench.queues.details(&1).map(|details| details.queue), Some(to));
}

#[test]
fn what_is_shown_stays_where_it_is_until_the_answer() {
    let mut bench = Bench::asking();
    let session = bench.deliver(1..2);
    bench.step(Event::Closed { session });
    assert_eq!(bench.after(30), []);
    assert_eq!(
        bench.step(Event::Take { queue: queue(), limit: 10 }),
        [Action::Taken { queue: queue(), items: vec![] }]
    );
    assert!(bench.is_with_policy(1));
    // An answer that comes twice is heard once.
    assert_eq!(kinds(&bench.answered(1, Verdict::Stands)), ["1 #0 Delayed"]);
    assert_eq!(bench.answered(1, Verdict::Refused(Response::new(550, "no"))), []);
}

#[test]
fn a_stop_waits_for_no_answer_and_keeps_the_attempts() {
    let mut bench = Bench::asking();
    bench.step(Event::Suspended { queue: queue(), order: bench.order() });
    bench.arrive(1);
    bench.step(Event::Resumed { queue: queue() });
    let session = bench.deliver(2..3);
    bench.step(Event::Closed { session });
    let due = bench.now + secs(5);
    let actions = bench.step(Event::Stopping);
    assert_eq!(kinds(&actions), ["1 #0 TransientFailure", "2 #0 Delayed"]);
    assert!(actions.contains(&Action::Save { item: 1, attempts: 1, due }), "{actions:?}");
    let end = actions.iter().position(|action| *action == Action::Stopped);
    assert!(actions.iter().rposition(|action| matches!(action, Action::Log { .. })) < end, "{actions:?}");
    // What comes too late changes nothing any more.
    assert_eq!(bench.answered(1, Verdict::Refused(Response::new(550, "not again"))), []);
    assert_eq!(bench.answered(2, Verdict::Stands), []);
    assert_eq!(bench.queues.len(), 2);
}

#[test]
fn an_operator_who_bounces_does_not_wait_for_the_answer() {
    let mut bench = Bench::asking();
    bench.step(Event::Suspended { queue: queue(), order: bench.order() });
    bench.arrive(1);
    let actions = bench.step(Event::Bounced { queue: queue(), order: bench.order(), silent: false });
    assert_eq!(kinds(&actions), ["1 #0 TransientFailure", "1 #0 AdminBounce"]);
    assert_eq!((removed(&actions), bench.answered(1, Verdict::Stands)), (vec![1], vec![]));
    // Nor is what comes back under it shown to anybody.
    assert_eq!(kinds(&bench.arrive(2)), ["2 #0 AdminBounce"]);
}
