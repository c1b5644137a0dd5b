//! Single words of the domain: names, rates, limits, durations, addresses, times.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::{Debug, Display};
use std::str::FromStr;
use std::time::Duration;
use waybill_queue_core::throttle::Gcra;
use waybill_types::{
    EnvelopeAddress, LimitSpec, MessageId, MinFree, QueueName, ReadyQueueName, Response, Schedule, ThrottleSpec,
    Timestamp, format_duration, parse_duration,
};

pub(crate) const THROTTLE_WORDS: &[&str] =
    &["local:", "/", ",max_burst=", "18446744073709551615", "_", ",", "day", "second", "h", "0"];
pub(crate) const WORDS: &[&str] = &[
    "local:",
    "@",
    "\"",
    "\\",
    "[IPv6:::1]",
    "postmaster",
    "%",
    "days",
    "ns",
    "1e308",
    "18446744073709551615",
    "2026-11-23T16:12:56Z",
    "5.1.1 ",
    r#"{"dow":"Mon","tz":"Europe/Berlin","start":"02:30","end":"24:00"}"#,
    r#""first_attempt":"#,
    r#""expires":"#,
];

/// A name is its parts: composed of them again, it has the same parts.
pub(crate) fn queue_name(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let name = QueueName::new(text);
    assert_eq!(name.as_str(), text);
    let parts = name.parts();
    let again = QueueName::compose(parts.campaign, parts.tenant, parts.domain, parts.routing_domain);
    let got = again.parts();
    assert_eq!(
        (got.campaign, got.tenant, got.domain, got.routing_domain),
        (parts.campaign, parts.tenant, parts.domain.to_lowercase().as_str(), parts.routing_domain),
        "{name:?} became {again:?}"
    );
    let ready = ReadyQueueName::new(text);
    assert!(text.contains(ready.protocol()) && ready.service().ends_with(text));
}

/// A rate prints as it parses, and never lets more pass than it says.
pub(crate) fn throttle_spec(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some(spec) = reads_as_it_prints::<ThrottleSpec>(text) else { return };
    assert!(spec.limit >= 1 && spec.period >= Duration::from_secs(1));
    assert!((1..=spec.limit).contains(&spec.burst()), "{spec:?}");
    assert!(spec.interval() > Duration::ZERO);
    let (now, mut rate) = (Timestamp::from_secs(1_700_000_000), Gcra::new());
    let passed = (0..20).take_while(|_| rate.check(now, &spec).is_ok()).count() as u64;
    assert_eq!(passed, spec.burst().min(20), "{spec:?}");
    if let Err(wait) = rate.check(now, &spec) {
        assert!(wait > Duration::ZERO, "{spec:?}");
        assert!(rate.check(now + wait, &spec).is_ok(), "{spec:?}: not even after the wait that it asked for");
    }
}

/// Everything else that is one word or line.
pub(crate) fn words(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    reads_as_it_prints::<LimitSpec>(text);
    reads_as_it_prints::<MinFree>(text);
    reads_as_it_prints::<MessageId>(text);
    duration(text);
    if let Some(address) = reads_as_it_prints::<EnvelopeAddress>(text) {
        address_holds_together(&address, text);
    }
    response(text);
    if let Some(time) = Timestamp::parse_rfc3339(text) {
        assert_eq!(Timestamp::parse_rfc3339(&time.to_rfc3339()), Some(time));
    }
    if let Ok(found) = serde_json::from_str::<Schedule>(text) {
        schedule(&found, data);
    }
}

fn reads_as_it_prints<T>(text: &str) -> Option<T>
where
    T: FromStr + Display + Debug + PartialEq,
    T::Err: Display,
{
    match text.parse::<T>() {
        Ok(value) => {
            let printed = value.to_string();
            assert_eq!(printed.parse::<T>().ok().as_ref(), Some(&value), "{text:?} prints as {printed:?}");
            Some(value)
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            None
        }
    }
}

fn duration(text: &str) {
    if let Ok(found) = parse_duration(text) {
        let printed = format_duration(found);
        assert_eq!(parse_duration(&printed), Ok(found), "{text:?} prints as {printed:?}");
    }
}

/// What is accepted can stand in a command and in a header of ours.
fn address_holds_together(address: &EnvelopeAddress, text: &str) {
    assert_eq!(address.as_str(), text);
    assert!(!text.chars().any(|c| c.is_ascii_control()), "{text:?}");
    match address.domain() {
        Some(domain) => {
            assert_eq!(format!("{}@{domain}", address.user()), text);
            assert!(!domain.is_empty() && domain.len() <= 255 && address.user().len() <= 64);
        }
        None => assert!(text.is_empty() || text.eq_ignore_ascii_case("postmaster")),
    }
}

fn response(text: &str) {
    for response in [Response::new(550, text), Response::plain(550, text)] {
        assert!(!response.content.contains(['\r', '\n']), "{response:?}");
        let json = serde_json::to_string(&response).expect("a response is JSON");
        assert_eq!(serde_json::from_str::<Response>(&json).expect("and is read again"), response);
    }
}

/// A schedule only ever delays, and a moment that it allows is left alone.
fn schedule(schedule: &Schedule, data: &[u8]) {
    comes_back(schedule);
    let mix =
        data.iter().fold(0xcbf2_9ce4_8422_2325_u64, |mix, byte| (mix ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3));
    for due in [mix.cast_signed(), mix.cast_signed() >> 4, 1_700_000_000_000_000_000, i64::MIN, i64::MAX] {
        let due = Timestamp::from_nanos(due);
        let allowed = schedule.apply(due);
        assert!(allowed >= due, "{schedule:?} at {due}");
        assert_eq!(schedule.apply(allowed), allowed, "{schedule:?} at {due}");
    }
}

fn comes_back<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    let json = serde_json::to_value(value).expect("it is JSON");
    let again: T = serde_json::from_value(json.clone()).unwrap_or_else(|error| panic!("{json}: {error}"));
    assert_eq!(again, *value);
}
