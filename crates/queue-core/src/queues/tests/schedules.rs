//! Messages that may be tried in a window of their own only.

use super::*;

/// The bench begins at 22:13:20 UTC on a Tuesday: open from 23:00 to 23:30 of every day.
fn late(more: serde_json::Value) -> Option<Arc<Schedule>> {
    let mut json = json!({"dow": "Mon,Tue,Wed,Thu,Fri,Sat,Sun", "tz": "UTC", "start": "23:00", "end": "23:30"});
    json.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Some(Arc::new(serde_json::from_value(json).unwrap()))
}

const UNTIL_OPEN: u64 = 46 * 60 + 40;

fn arrive(bench: &mut Bench, item: u32, more: serde_json::Value) -> Vec<Action<u32>> {
    let arrival = Arrival { schedule: late(more), ..Arrival::received(item, queue(), bench.now) };
    bench.step(Event::Arrived(arrival))
}

#[test]
fn a_message_that_comes_outside_of_its_window_waits_for_it_and_the_record_says_so() {
    let mut bench = Bench::plain();
    let actions = arrive(&mut bench, 1, json!({}));
    assert_eq!(kinds(&actions), ["1 #0 Delayed"]);
    assert_eq!(bench.due(1), secs(UNTIL_OPEN));
    assert_eq!(opened(&bench.after(UNTIL_OPEN - 1)), None);
    assert!(opened(&bench.after(1)).is_some());
}

#[test]
fn a_message_that_comes_in_its_window_is_tried_at_once() {
    let mut bench = Bench::plain();
    bench.now = bench.now + secs(UNTIL_OPEN);
    assert!(opened(&arrive(&mut bench, 1, json!({}))).is_some());
}

#[test]
fn a_retry_behind_the_end_of_the_window_waits_for_the_next_day() {
    let mut bench = Bench::narrow(json!({"retry_interval": "40m"}));
    bench.now = bench.now + secs(UNTIL_OPEN);
    let session = opened(&arrive(&mut bench, 1, json!({}))).unwrap();
    bench.step(Event::SessionReady { session });
    let actions = bench.transient(session, 1);
    assert_eq!(actions[1], Action::Save { item: 1, attempts: 1, due: bench.now + secs(86_400) });
}

#[test]
fn what_an_operator_moves_or_a_script_sends_to_another_time_keeps_to_the_window() {
    let mut bench = Bench::plain();
    arrive(&mut bench, 1, json!({}));
    let (due, reason) = (Some(bench.now), Reason::AdminRebind);
    bench.step(Event::Moved { item: 1, to: QueueName::new("b.example"), due, reason });
    assert_eq!(bench.due(1), secs(UNTIL_OPEN));
    bench.step(Event::Rescheduled { item: 1, due: bench.now + secs(UNTIL_OPEN + 1800) });
    assert_eq!(bench.due(1), secs(UNTIL_OPEN + 86_400));
}

#[test]
fn a_window_that_opens_behind_the_end_of_the_schedule_expires_the_message() {
    let mut bench = Bench::plain();
    let actions = arrive(&mut bench, 1, json!({"expires": "2023-11-14T22:59:59Z"}));
    assert_eq!(kinds(&actions), ["1 #0 Expiration"]);
    assert_eq!(kinds(&arrive(&mut bench, 2, json!({"expires": "2023-11-14T23:00:01Z"}))), ["2 #0 Delayed"]);
}

#[test]
fn a_message_whose_end_passes_while_it_waits_for_a_route_expires() {
    let mut bench = Bench::bare();
    bench.configure(json!({}));
    let schedule = Some(Schedule::until(bench.now + secs(5)).into());
    bench.step(Event::Arrived(Arrival { schedule, ..Arrival::received(1, queue(), bench.now) }));
    bench.now = bench.now + secs(5);
    let actions = bench.route(PathLimits::default(), BatchPolicy::single());
    assert_eq!(kinds(&actions), ["1 #0 Expiration"]);
}

#[test]
fn a_schedule_that_comes_later_counts_from_the_next_due_time_on() {
    let mut bench = Bench::narrow(json!({"retry_interval": "1m"}));
    let session = bench.deliver(1..2);
    bench.step(Event::ScheduleChanged { item: 1, schedule: late(json!({})) });
    bench.transient(session, 1);
    assert_eq!(bench.due(1), secs(UNTIL_OPEN));
    bench.step(Event::ScheduleChanged { item: 1, schedule: None });
    bench.step(Event::Rescheduled { item: 1, due: bench.now + secs(5) });
    assert_eq!(bench.due(1), secs(5));
}

#[test]
fn what_the_spool_had_keeps_to_its_window_after_a_restart() {
    let mut bench = Bench::plain();
    let schedule = late(json!({}));
    let arrival = Arrival { schedule, ..Arrival::enumerated(1, queue(), bench.now - secs(30)) };
    bench.step(Event::Arrived(arrival));
    assert_eq!(bench.due(1), secs(UNTIL_OPEN));
}
