use std::sync::Mutex;
use std::time::Duration;

use super::*;
use crate::testing::{ask, ask_in, lua};

#[test]
fn a_time_has_its_parts_as_fields() {
    let code = "local t = kumo.time.with_ymd_hms(2000, 1, 2, 3, 4, 5) \
                return table.concat({ tostring(t), t.year, t.month, t.day, t.hour, t.minute, t.second, \
                t.unix_timestamp, t.unix_timestamp_millis, t.rfc2822, t.rfc3339, t:format '%H:%M' }, ' | ')";
    assert_eq!(
        ask(code),
        "2000-01-02 03:04:05 UTC | 2000 | 1 | 2 | 3 | 4 | 5 | 946782245 | 946782245000 | \
         Sun, 2 Jan 2000 03:04:05 +0000 | 2000-01-02T03:04:05+00:00 | 03:04"
    );
    assert_eq!(
        ask("return kumo.time.with_ymd_hms(2001, 2, 29, 0, 0, 0)"),
        "!! 2001-02-29 00:00:00 is not a date and time"
    );
}

#[test]
fn times_are_parsed_and_compared() {
    let code = "local a = kumo.time.parse_rfc3339 '2000-01-02T05:04:05+02:00' \
                local b = kumo.time.parse_rfc2822 'Sun, 2 Jan 2000 03:04:05 +0000' \
                return a == b and a == kumo.time.from_unix_timestamp(946782245) and a ~= kumo.time.now()";
    assert_eq!(ask(code), "true");
    assert_eq!(ask("return kumo.time.from_unix_timestamp(1.5).unix_timestamp_millis"), "1500");
    assert_eq!(ask("return kumo.time.from_unix_timestamp(-1).rfc3339"), "1969-12-31T23:59:59+00:00");
    assert!(ask("return kumo.time.parse_rfc3339 'x'").starts_with("!! \"x\" is not an RFC 3339 time: "));
    assert!(ask("return kumo.time.parse_rfc2822 'x'").starts_with("!! \"x\" is not an RFC 2822 time: "));
}

#[test]
fn arithmetic_gives_times_and_deltas_and_stays_in_range() {
    let setup = "local t, d = kumo.time.from_unix_timestamp(100), kumo.time.parse_duration '90s' ";
    assert_eq!(ask(&format!("{setup} return (t + d).unix_timestamp")), "190");
    assert_eq!(ask(&format!("{setup} return (t - d).unix_timestamp")), "10");
    assert_eq!(ask(&format!("{setup} return ((t + d) - t) == d")), "true");
    assert_eq!(ask(&format!("{setup} return (d - (d + d)).human")), "-1m 30s");
    assert_eq!(ask(&format!("{setup} return t + t")), "!! expected a TimeDelta");
    assert_eq!(
        ask("return kumo.time.from_unix_timestamp(1e300)"),
        "!! invalid value: floating point `1e300`, expected a duration"
    );
    let huge = format!("{setup} return t + kumo.time.parse_duration(9e15)");
    assert_eq!(ask(&huge), "!! the result is outside the range of dates");
}

#[test]
fn a_delta_has_its_size_in_every_unit() {
    assert_eq!(ask("return kumo.time.parse_duration('1m 30s').seconds"), "90.0");
    let code = "local d = kumo.time.parse_duration(-1.5) \
                return table.concat({ d.seconds, d.milliseconds, d.microseconds, d.nanoseconds, tostring(d) }, ' | ')";
    assert_eq!(ask(code), "-1.5 | -1500 | -1500000 | -1500000000 | -1s 500ms");
    assert_eq!(ask("return kumo.time.parse_duration('5 mins').human"), "5m");
    assert_eq!(ask("return kumo.time.parse_duration 'soon'"), "!! invalid value: string \"soon\", expected a duration");
}

#[test]
fn a_format_that_makes_no_sense_never_panics() {
    for format in ["%", "%Q", "%!", "%:", "100%"] {
        let _ = ask(&format!("return kumo.time.now():format '{format}'"));
    }
}

#[test]
fn the_clock_can_be_replaced() {
    let lua = lua();
    lua.set_app_data(NowHook(Arc::new(|| DateTime::from_timestamp_nanos(10_000_000_000))));
    assert_eq!(ask_in(&lua, "return kumo.time.now().unix_timestamp"), "10");
    assert_eq!(ask_in(&lua, "return kumo.time.from_unix_timestamp(4).elapsed.seconds"), "6.0");
}

#[test]
fn a_timer_reports_once_by_done_or_by_leaving_its_scope() {
    let lua = lua();
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = Arc::clone(&seen);
    lua.set_app_data(TimerHook(Arc::new(move |label: &str, _: Duration| log.lock().unwrap().push(label.to_owned()))));
    let code = "do local t <close> = kumo.time.start_timer 'closed' end \
                do local t <close> = kumo.time.start_timer 'both' t:done() end \
                local t = kumo.time.start_timer 'done' \
                return t:done() >= 0 and t:done() >= 0";
    assert_eq!(ask_in(&lua, code), "true");
    assert_eq!(*seen.lock().unwrap(), ["closed", "both", "done"]);
}

#[tokio::test(start_paused = true)]
async fn sleeping_takes_the_time_asked_for() {
    let lua = lua();
    let before = tokio::time::Instant::now();
    lua.load("kumo.time.sleep(1.5) kumo.time.sleep '2s'").exec_async().await.unwrap();
    assert_eq!(before.elapsed(), Duration::from_millis(3500));
}
