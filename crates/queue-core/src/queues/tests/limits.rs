//! Rates, sizes, pauses, stops, and how much one step does.

use super::*;

#[test]
fn a_full_ready_queue_sends_the_message_back_for_less_than_a_minute() {
    let limits = PathLimits { max_ready: 1, connection_limit: 1, ..PathLimits::default() };
    let mut bench = Bench::new(json!({}), limits, BatchPolicy::single());
    bench.arrive(1);
    let actions = bench.arrive(2);
    let wait = bench.due(2);
    assert!(wait < secs(60));
    let (at, wait) = (bench.now + wait, waybill_types::format_duration(wait));
    assert_eq!(logged(&actions), [format!("2 #0 Delayed 400 Context: ReadyQueueWasFull. Next due in {wait} at {at}")]);
    assert_eq!(removed(&actions), [0; 0]);
    assert_eq!(bench.queues.details(&2).unwrap().attempts, 0);
}

#[test]
fn a_ready_queue_that_shrinks_sends_its_youngest_messages_back() {
    let mut bench = Bench::narrow(json!({}));
    bench.arrive(1);
    bench.arrive(2);
    let limits = PathLimits { max_ready: 1, connection_limit: 1, ..PathLimits::default() };
    let actions = bench.route(limits, BatchPolicy::single());
    assert!(logged(&actions)[0].starts_with("2 #0 Delayed 400 Context: MaxReadyWasReducedByConfigUpdate."));
    assert!(bench.is_ready(1));
}

#[test]
fn a_queues_rate_holds_messages_in_order_and_tells_each_once() {
    let mut bench = Bench::narrow(json!({"max_message_rate": "1/m"}));
    bench.arrive(1);
    let mut logs = logged(&bench.arrive(2));
    logs.extend(logged(&bench.arrive(3)));
    let (one, two) = (bench.now + secs(60), bench.now + secs(120));
    let context = "Delayed 400 Context: MessageRateThrottle. Next due in";
    assert_eq!(logs, [format!("2 #0 {context} 1m at {one}"), format!("3 #0 {context} 2m at {two}")]);
    assert_eq!(bench.after(59), []);
    assert_eq!(logged(&bench.after(1)), [""; 0]);
    assert!(bench.is_ready(2) && !bench.is_ready(3));
    bench.after(60);
    assert!(bench.is_ready(3));
    assert_eq!(bench.queues.details(&3).unwrap().attempts, 0);
}

#[test]
fn a_message_that_left_the_line_and_comes_back_stands_behind() {
    let mut bench = Bench::narrow(json!({"max_message_rate": "1/m"}));
    for item in 1..4 {
        bench.arrive(item);
    }
    let due = bench.now + secs(30);
    bench.step(Event::Rescheduled { item: 2, due });
    bench.after(30);
    bench.after(30);
    assert!(bench.is_ready(3) && !bench.is_ready(2));
    bench.after(60);
    assert!(bench.is_ready(2));
}

#[test]
fn a_message_does_not_take_the_place_of_one_that_is_gone() {
    let mut bench = Bench::narrow(json!({"max_message_rate": "1/m"}));
    for item in 1..4 {
        bench.arrive(item);
    }
    bench.step(Event::Dropped { item: 2 });
    // What is kept of it is where the other was.
    assert_eq!(kinds(&bench.arrive(4)), ["4 #0 Delayed"]);
    bench.after(60);
    assert!(bench.is_ready(3) && !bench.is_ready(4));
}

#[test]
fn a_message_that_a_rate_held_too_long_expires_without_using_the_rate() {
    let mut bench = Bench::narrow(json!({"max_message_rate": "1/h", "max_age": "30m"}));
    for item in 1..4 {
        bench.arrive(item);
    }
    bench.now = bench.now + secs(3590);
    let actions = bench.arrive(4);
    assert_eq!(kinds(&actions), ["2 #0 Expiration", "3 #0 Expiration", "4 #0 Delayed"]);
    bench.after(10);
    assert!(bench.is_ready(4));
}

#[test]
fn a_faster_rate_applies_at_once() {
    let mut bench = Bench::narrow(json!({"max_message_rate": "1/h"}));
    bench.arrive(1);
    bench.arrive(2);
    bench.configure(json!({"max_message_rate": "100/s"}));
    bench.after(1);
    assert!(bench.is_ready(2));
}

#[test]
fn a_rate_that_is_spent_costs_no_room_in_the_ready_queue() {
    let limits = PathLimits { max_ready: 2, connection_limit: 1, ..PathLimits::default() };
    let mut bench = Bench::new(json!({"max_message_rate": "1/m"}), limits, BatchPolicy::single());
    bench.arrive(1);
    bench.arrive(2);
    bench.arrive(3);
    let status = bench.queues.ready_status(&path(), bench.now).unwrap();
    assert_eq!((status.ready, status.reserved), (1, 0));
}

#[test]
fn a_path_rate_that_is_spent_for_long_sends_messages_back_with_its_reason() {
    let limits = PathLimits { max_message_rate: Some("1/m".parse().unwrap()), ..PathLimits::default() };
    let mut bench = Bench::new(json!({}), limits, BatchPolicy::single());
    let session = bench.deliver(1..2);
    let actions = bench.arrive(2);
    let at = bench.now + secs(60);
    assert_eq!(logged(&actions), [format!("2 #0 Delayed 400 Context: MessageRateThrottle. Next due in 1m at {at}")]);
    bench.finish(session, 1, Outcome::Delivered);
    let actions = bench.after(60);
    assert_eq!(handed(&actions).len() + usize::from(opened(&actions).is_some()), 1);
}

#[test]
fn a_source_that_was_chosen_often_enough_is_passed_over_for_another() {
    let mut bench = Bench::bare();
    let way = |name: &str, rate: &str| {
        let source_selection_rate = Some(rate.parse().unwrap());
        let limits = PathLimits { source_selection_rate, connection_limit: 1, ..PathLimits::default() };
        (Choice { ready_queue: ReadyQueueName::new(name), limits, batch: BatchPolicy::single() }, 1)
    };
    bench.configure(json!({}));
    let route = Route::weighted([way("ip-1", "1/m"), way("ip-2", "2/m")]).unwrap();
    bench.step(Event::RouteResolved { queue: queue(), route: Ok(Arc::new(route)) });
    for item in 1..4 {
        assert_eq!(logged(&bench.arrive(item)), [""; 0]);
    }
    let ready = |bench: &Bench, name| bench.queues.ready_status(&ReadyQueueName::new(name), bench.now).unwrap().ready;
    assert_eq!((ready(&bench, "ip-1"), ready(&bench, "ip-2")), (1, 2));
    // The next turn of all is the second source's, in half a minute; who comes later stands behind.
    let mut logs = logged(&bench.arrive(4));
    logs.extend(logged(&bench.arrive(5)));
    let (first, second) = (bench.now + secs(30), bench.now + secs(60));
    let context = "Delayed 400 Context: MessageRateThrottle. Next due in";
    assert_eq!(logs, [format!("4 #0 {context} 30s at {first}"), format!("5 #0 {context} 1m at {second}")]);
    assert_eq!(logged(&bench.after(29)), [""; 0]);
    bench.after(1);
    assert_eq!((ready(&bench, "ip-1"), ready(&bench, "ip-2")), (1, 3));
    bench.after(30);
    assert_eq!(ready(&bench, "ip-1") + ready(&bench, "ip-2"), 5);
}

#[test]
fn a_selection_rate_with_a_name_is_shared_by_the_queues_in_turn() {
    let mut bench = Bench::bare();
    let rate = ("ip-1".into(), "1/m".parse().unwrap());
    let limits = PathLimits { additional_source_selection_rates: [rate].into(), ..PathLimits::default() };
    let names: Vec<String> = (0..3).map(|n| format!("{n}.example")).collect();
    for name in &names {
        let ready_queue = ReadyQueueName::new(format!("ip-1->{name}@test"));
        let choice = Choice { ready_queue, limits: limits.clone(), batch: BatchPolicy::single() };
        bench.step(Event::ConfigChanged { queue: QueueName::new(name.as_str()), config: Arc::default() });
        let route = Ok(Arc::new(Route::single(choice)));
        bench.step(Event::RouteResolved { queue: QueueName::new(name.as_str()), route });
    }
    for (item, name) in (0..3).zip(&names) {
        bench.arrive_in(item, name);
    }
    let ready = |bench: &Bench| {
        (0..3).filter(|item| !matches!(bench.queues.state(item), Some(State::Scheduled { .. }))).count()
    };
    let mut counts = vec![ready(&bench)];
    for _ in 0..2 {
        bench.after(59);
        counts.push(ready(&bench));
        bench.after(1);
        counts.push(ready(&bench));
    }
    assert_eq!(counts, [1, 1, 2, 2, 3]);
}

#[test]
fn a_faster_selection_rate_applies_at_once() {
    let mut bench = Bench::bare();
    bench.configure(json!({}));
    let limits =
        |rate: &str| PathLimits { source_selection_rate: Some(rate.parse().unwrap()), ..PathLimits::default() };
    bench.route(limits("1/h"), BatchPolicy::single());
    bench.arrive(1);
    bench.arrive(2);
    assert!(bench.is_ready(1) && !bench.is_ready(2));
    bench.route(limits("1/h"), BatchPolicy::single());
    assert!(!bench.is_ready(2), "asked again, the same");
    bench.route(limits("100/s"), BatchPolicy::single());
    bench.after(1);
    assert!(bench.is_ready(2));
}

#[test]
fn one_step_touches_at_most_a_thousand_messages_and_asks_to_go_on() {
    let limits = PathLimits { max_ready: 10_000, ..PathLimits::default() };
    let mut bench = Bench::new(json!({}), limits, BatchPolicy::single());
    for item in 0..2500 {
        let arrival = Arrival { due: Some(bench.now + secs(5)), ..Arrival::received(item, queue(), bench.now) };
        bench.step(Event::Arrived(arrival));
    }
    bench.now = bench.now + secs(5);
    let mut ready = Vec::new();
    loop {
        let mut actions = Vec::new();
        bench.queues.step(bench.now, Event::Tick, &mut actions);
        ready.push(bench.queues.ready_status(&path(), bench.now).unwrap().ready);
        if !actions.contains(&Action::WakeAt(bench.now)) {
            break;
        }
    }
    assert_eq!(ready, [1000, 2000, 2500]);
}

#[test]
fn while_the_store_is_not_well_nothing_moves_and_nothing_is_lost() {
    let mut bench = Bench::plain();
    let session = opened(&bench.arrive(1)).unwrap();
    bench.step(Event::Paused);
    assert_eq!(bench.step(Event::SessionReady { session }), []);
    assert_eq!(bench.arrive(2), []);
    let actions = bench.step(Event::Unpaused);
    assert_eq!(handed(&actions), [1]);
    assert!(bench.is_ready(2));
}

#[test]
fn a_stop_ends_without_sessions_and_keeps_what_was_not_delivered() {
    let mut bench = Bench::narrow(json!({}));
    let session = bench.deliver(1..3);
    assert_eq!(bench.step(Event::Stopping), []);
    assert_eq!(bench.arrive(3), [], "it is stored, and found again at the next start");
    let actions = bench.finish(session, 1, Outcome::Delivered);
    assert_eq!(kinds(&actions), ["1 #0 Delivery"]);
    assert!(actions.contains(&Action::Close { session }));
    assert_eq!(bench.step(Event::Closed { session }), [Action::Stopped]);
    assert_eq!((bench.queues.len(), bench.queues.sessions()), (2, 0));
    assert_eq!(bench.after(7200), [], "nothing becomes ready any more");
}

#[test]
fn the_next_wake_up_is_the_earliest_wish_of_all() {
    let mut bench = Bench::plain();
    let mut wake = |event| {
        let mut actions = Vec::new();
        bench.queues.step(bench.now, event, &mut actions);
        actions.retain(|action| matches!(action, Action::WakeAt(_)));
        actions
    };
    let now = Timestamp::from_secs(1_700_000_000);
    let later = |item, seconds| {
        Event::Arrived(Arrival { due: Some(now + secs(seconds)), ..Arrival::received(item, queue(), now) })
    };
    assert_eq!(wake(later(1, 100)), [Action::WakeAt(now + secs(100))]);
    assert_eq!(wake(later(2, 200)), []);
    assert_eq!(wake(later(3, 50)), [Action::WakeAt(now + secs(50))]);
    assert_eq!(wake(Event::Dropped { item: 3 }), [Action::WakeAt(now + secs(100))]);
}

#[test]
#[ignore = "takes seconds; run it with --release and look at the number"]
fn a_million_messages_in_a_thousand_queues_cost_less_than_300_bytes_each() {
    let resident = || {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
    };
    const COUNT: usize = 1_000_000;
    let names: Vec<QueueName> = (0..1000).map(|n| QueueName::new(format!("tenant@domain{n}.example"))).collect();
    let now = Timestamp::from_secs(1_700_000_000);
    let mut queues = Queues::<waybill_types::MessageId>::new(1);
    let mint = waybill_types::IdMint::random();
    let (before, mut actions) = (resident(), Vec::new());
    for n in 0..COUNT {
        let arrival = Arrival {
            due: Some(now + Duration::from_millis((n as u64 * 7919) % 100_000 + 1)),
            ..Arrival::received(mint.message(now), names[n % 1000].clone(), now)
        };
        queues.step(now, Event::Arrived(arrival), &mut actions);
        actions.clear();
    }
    let each = (resident() - before) / COUNT;
    println!("{each} bytes a message");
    assert!(each < 300 && queues.len() == COUNT);
}
