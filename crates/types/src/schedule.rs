//! When a message may be delivered: a window of the week, a first attempt, an end.
//!
//! A window is meant in the wall-clock time of its zone. Where clocks change, a time that does not exist is the first
//! moment after the gap, and one that comes twice opens a window at its first and closes it at its second coming: a
//! change of clocks makes no window shorter than it reads.

use crate::Timestamp;
use chrono::{Datelike, Duration, MappedLocalTime, NaiveDate, NaiveDateTime, NaiveTime, TimeZone, Timelike, Weekday};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

/// Days that are searched for a window. More than two weeks: the one window of a week may be swallowed by a gap.
const REACH: usize = 32;
/// No zone ever lost more than a day at once.
const LONGEST_GAP: i64 = 2 * 24 * 60;

/// When a message may be delivered (contract sections 2.13 and 6.3).
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Schedule {
    window: Option<Window>,
    first_attempt: Option<Timestamp>,
    expires: Option<Timestamp>,
}

impl Schedule {
    /// One that only ends.
    pub fn until(expires: Timestamp) -> Self {
        Schedule { expires: Some(expires), ..Schedule::default() }
    }

    /// Whether it says nothing at all.
    pub fn is_empty(&self) -> bool {
        *self == Schedule::default()
    }

    /// From when on there are no attempts; replaces the age that a queue allows.
    pub fn expires(&self) -> Option<Timestamp> {
        self.expires
    }

    /// The first moment from `due` on that it allows. Never earlier than `due`, and applying it again changes nothing.
    pub fn apply(&self, due: Timestamp) -> Timestamp {
        let due = self.first_attempt.map_or(due, |first| due.max(first));
        self.window.as_ref().map_or(due, |window| window.next(due))
    }
}

/// A part of some days of the week.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Window {
    /// Monday is the first.
    days: [bool; 7],
    tz: Tz,
    start: NaiveTime,
    /// Not after `start`: on the day after.
    end: NaiveTime,
}

impl Window {
    fn next(&self, due: Timestamp) -> Timestamp {
        let today = due.to_utc().with_timezone(&self.tz).date_naive();
        // From the day before: its window may reach past midnight.
        for day in today.pred_opt().unwrap_or(today).iter_days().take(REACH) {
            match self.on(day) {
                Some((open, close)) if open < close && due < close => return due.max(open),
                _ => {}
            }
        }
        due
    }

    /// When it opens and closes on a day.
    fn on(&self, day: NaiveDate) -> Option<(Timestamp, Timestamp)> {
        if !self.days[day.weekday().num_days_from_monday() as usize] {
            return None;
        }
        let last = if self.end <= self.start { day.succ_opt()? } else { day };
        Some((self.moment(day.and_time(self.start), false)?, self.moment(last.and_time(self.end), true)?))
    }

    /// A wall-clock time as a moment; of one that comes twice the second with `late`.
    fn moment(&self, local: NaiveDateTime, late: bool) -> Option<Timestamp> {
        let moment = match self.tz.from_local_datetime(&local) {
            MappedLocalTime::Single(moment) => moment,
            MappedLocalTime::Ambiguous(first, second) => {
                if late {
                    second
                } else {
                    first
                }
            }
            // Gaps end at full minutes.
            MappedLocalTime::None => {
                let minute = local.with_second(0)?;
                let later = (1..=LONGEST_GAP).map(|minutes| minute + Duration::minutes(minutes));
                later.into_iter().find_map(|local| self.tz.from_local_datetime(&local).earliest())?
            }
        };
        Some(Timestamp::from_utc(moment.to_utc()))
    }
}

/// As scripts, headers and the spool write it.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table of dow, tz, start, end, first_attempt, expires")]
struct Written {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dow: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tz: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    start: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    end: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    first_attempt: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
}

impl TryFrom<Written> for Schedule {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let window = match (&written.dow, &written.tz, &written.start, &written.end) {
            (None, None, None, None) => None,
            (Some(dow), Some(tz), Some(start), Some(end)) => Some(Window {
                days: days(dow)?,
                tz: tz.parse().map_err(|_| format!("tz: '{tz}' is no time zone such as 'America/New_York'"))?,
                start: time("start", start)?,
                end: time("end", end)?,
            }),
            (dow, tz, start, end) => {
                let parts = [("dow", dow), ("tz", tz), ("start", start), ("end", end)];
                let missing = parts.iter().filter(|(_, part)| part.is_none()).map(|(name, _)| format!("'{name}'"));
                let missing = missing.collect::<Vec<_>>().join(", ");
                return Err(format!("dow, tz, start and end go together, and {missing} is missing"));
            }
        };
        let moment = |name: &str, text: &Option<String>| match text {
            None => Ok(None),
            Some(text) => Timestamp::parse_rfc3339(text)
                .map(Some)
                .ok_or_else(|| format!("{name}: '{text}' is no time such as '2026-01-31T23:59:59Z'")),
        };
        let first_attempt = moment("first_attempt", &written.first_attempt)?;
        Ok(Schedule { window, first_attempt, expires: moment("expires", &written.expires)? })
    }
}

impl From<Schedule> for Written {
    fn from(schedule: Schedule) -> Self {
        const DAYS: [Weekday; 7] =
            [Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri, Weekday::Sat, Weekday::Sun];
        let mut written = Written {
            first_attempt: schedule.first_attempt.map(Timestamp::to_rfc3339),
            expires: schedule.expires.map(Timestamp::to_rfc3339),
            ..Written::default()
        };
        if let Some(window) = schedule.window {
            let days = DAYS.iter().zip(window.days).filter(|(_, open)| *open).map(|(day, _)| day.to_string());
            written.dow = Some(days.collect::<Vec<_>>().join(","));
            written.tz = Some(window.tz.name().to_owned());
            written.start = Some(window.start.to_string());
            written.end = Some(window.end.to_string());
        }
        written
    }
}

fn days(text: &str) -> Result<[bool; 7], String> {
    let mut days = [false; 7];
    for word in text.split(',').map(str::trim) {
        let day: Weekday = word.parse().map_err(|_| format!("dow: '{word}' is no day of the week such as 'Mon'"))?;
        days[day.num_days_from_monday() as usize] = true;
    }
    Ok(days)
}

/// `17:00:00`, `17:00`, and `24:00` for the end of a day.
fn time(name: &str, text: &str) -> Result<NaiveTime, String> {
    if matches!(text, "24:00" | "24:00:00") {
        return Ok(NaiveTime::MIN);
    }
    let time = NaiveTime::parse_from_str(text, "%H:%M:%S").or_else(|_| NaiveTime::parse_from_str(text, "%H:%M"));
    // A leap second is none here.
    time.ok()
        .filter(|time| time.nanosecond() < 1_000_000_000)
        .ok_or_else(|| format!("{name}: '{text}' is no time of the day such as '17:00:00'"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    fn schedule(json: serde_json::Value) -> Schedule {
        serde_json::from_value(json).unwrap()
    }

    fn window(dow: &str, tz: &str, start: &str, end: &str) -> Schedule {
        schedule(serde_json::json!({"dow": dow, "tz": tz, "start": start, "end": end}))
    }

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).unwrap()
    }

    #[test]
    fn a_due_time_moves_into_the_next_window_and_stays_inside_one() {
        let evening = window("Mon,Wed", "America/Phoenix", "17:00:00", "20:00:00");
        for (due, expected) in [
            // Monday, 2 March 2026; Phoenix is seven hours behind all year.
            ("2026-03-02T23:59:59Z", "2026-03-03T00:00:00Z"),
            ("2026-03-03T00:00:00Z", "2026-03-03T00:00:00Z"),
            ("2026-03-03T02:59:59.5Z", "2026-03-03T02:59:59.500Z"),
            ("2026-03-03T03:00:00Z", "2026-03-05T00:00:00Z"),
            ("2026-03-05T03:00:00Z", "2026-03-10T00:00:00Z"),
        ] {
            assert_eq!(evening.apply(at(due)), at(expected), "{due}");
        }
    }

    #[test]
    fn a_window_that_ends_before_it_starts_ends_on_the_next_day() {
        let night = window("Fri", "UTC", "22:00", "06:00");
        assert_eq!(night.apply(at("2026-03-06T12:00:00Z")), at("2026-03-06T22:00:00Z"));
        assert_eq!(night.apply(at("2026-03-07T05:00:00Z")), at("2026-03-07T05:00:00Z"));
        assert_eq!(night.apply(at("2026-03-07T06:00:00Z")), at("2026-03-13T22:00:00Z"));
        let all_day = window("Sat", "UTC", "00:00", "24:00");
        assert_eq!(all_day.apply(at("2026-03-07T23:59:59Z")), at("2026-03-07T23:59:59Z"));
        assert_eq!(all_day.apply(at("2026-03-08T00:00:00Z")), at("2026-03-14T00:00:00Z"));
    }

    #[test]
    fn windows_follow_the_clocks_of_their_zone_when_these_change() {
        // Berlin: to summer time on 29 March 2026, 02:00 to 03:00; back on 25 October, 03:00 to 02:00.
        for (start, end, due, expected) in [
            ("09:00", "10:00", "2026-03-28T12:00:00Z", "2026-03-29T07:00:00Z"),
            ("09:00", "10:00", "2026-10-24T12:00:00Z", "2026-10-25T08:00:00Z"),
            // 02:30 does not exist: 03:00 instead.
            ("02:30", "04:00", "2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z"),
            // Nothing is left of it: the day after.
            ("02:10", "02:50", "2026-03-29T00:00:00Z", "2026-03-30T00:10:00Z"),
            // 02:30 comes twice: open from the first, through the second.
            ("02:30", "02:40", "2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z"),
            ("02:30", "02:40", "2026-10-25T01:39:00Z", "2026-10-25T01:39:00Z"),
            ("02:30", "02:40", "2026-10-25T01:40:00Z", "2026-10-26T01:30:00Z"),
        ] {
            let daily = window("Mon,Tue,Wed,Thu,Fri,Sat,Sun", "Europe/Berlin", start, end);
            assert_eq!(daily.apply(at(due)), at(expected), "{start} to {end} from {due}");
        }
        // Samoa had no 30 December 2011, which was a Friday.
        let friday = window("Fri", "Pacific/Apia", "12:00", "13:00");
        assert_eq!(friday.apply(at("2011-12-29T12:00:00Z")), at("2012-01-05T22:00:00Z"));
    }

    /// The contract read naively: the minutes pass one by one until the clock on the wall shows a time in the window.
    fn naively(window: &Window, due: Timestamp) -> Timestamp {
        let open = |moment: Timestamp| {
            let local = moment.to_utc().with_timezone(&window.tz).naive_local();
            let opens = |day: NaiveDate| window.days[day.weekday().num_days_from_monday() as usize];
            let (time, day) = (local.time(), local.date());
            if window.start < window.end {
                opens(day) && time >= window.start && time < window.end
            } else {
                (opens(day) && time >= window.start) || (opens(day.pred_opt().unwrap()) && time < window.end)
            }
        };
        let minute = std::time::Duration::from_secs(60);
        let mut moment = due;
        while !open(moment) {
            moment = moment + minute;
        }
        moment
    }

    #[test]
    fn random_windows_open_when_the_clock_on_the_wall_says_so() {
        let zones = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "America/Sao_Paulo"];
        // Around the changes of clocks of 2026, in whole minutes.
        let changes = ["2026-03-08T07:00:00Z", "2026-03-29T01:00:00Z", "2026-04-04T15:00:00Z", "2026-10-25T01:00:00Z"];
        for seed in 0..600 {
            let mut random = StdRng::seed_from_u64(seed);
            let mut days = [false; 7];
            (0..random.random_range(1..4)).for_each(|_| days[random.random_range(0..7)] = true);
            // Away from the hours that come twice or not at all: what these mean is said above.
            let mut time = || NaiveTime::from_hms_opt([0, 4, 9, 17, 23][random.random_range(0..5)], 30, 0).unwrap();
            let (start, end) = (time(), time());
            let tz = zones[random.random_range(0..zones.len())].parse().unwrap();
            let window = Window { days, tz, start, end };
            let minutes = random.random_range(0..4 * 24 * 60);
            let due = at(changes[random.random_range(0..changes.len())]) - std::time::Duration::from_secs(minutes * 60);
            assert_eq!(window.next(due), naively(&window, due), "seed {seed}: {window:?} from {due}");
            assert_eq!(window.next(window.next(due)), window.next(due), "seed {seed}");
        }
    }

    #[test]
    fn the_first_attempt_waits_and_then_the_window_counts() {
        let both = schedule(serde_json::json!({
            "dow": "Mon", "tz": "UTC", "start": "08:00", "end": "09:00", "first_attempt": "2026-03-03T00:00:00Z"
        }));
        assert_eq!(both.apply(at("2026-03-02T08:30:00Z")), at("2026-03-09T08:00:00Z"));
        assert_eq!(both.expires(), None);
        assert!(schedule(serde_json::json!({})).is_empty());
        assert_eq!(Schedule::until(Timestamp::EPOCH).apply(Timestamp::MAX), Timestamp::MAX);
    }

    #[test]
    fn a_schedule_comes_back_as_it_was_written() {
        let json = serde_json::json!({
            "dow": "Mon,Sun", "tz": "Europe/Berlin", "start": "17:00:00", "end": "20:00:30",
            "first_attempt": "2026-03-03T00:00:00Z", "expires": "2026-03-04T00:00:00.500Z"
        });
        let schedule = schedule(json.clone());
        assert_eq!(serde_json::to_value(&schedule).unwrap(), json);
        assert_eq!(schedule.expires(), Some(at("2026-03-04T00:00:00.500Z")));
    }

    #[test]
    fn complaints_name_the_field_and_what_is_accepted() {
        for (json, expected) in [
            (r#"{"dow":"Mon","tz":"UTC"}"#, "dow, tz, start and end go together, and 'start', 'end' is missing"),
            (
                r#"{"dow":"Mon,Mo","tz":"UTC","start":"1:00","end":"2:00"}"#,
                "dow: 'Mo' is no day of the week such as 'Mon'",
            ),
            (
                r#"{"dow":"Mon","tz":"Mars/Utopia","start":"1:00","end":"2:00"}"#,
                "tz: 'Mars/Utopia' is no time zone such as 'America/New_York'",
            ),
            (
                r#"{"dow":"Mon","tz":"UTC","start":"25:00","end":"2:00"}"#,
                "start: '25:00' is no time of the day such as '17:00:00'",
            ),
            (r#"{"expires":"soon"}"#, "expires: 'soon' is no time such as '2026-01-31T23:59:59Z'"),
            (
                r#"{"days":"Mon"}"#,
                "unknown field `days`, expected one of `dow`, `tz`, `start`, `end`, `first_attempt`, `expires` at line 1 column 7",
            ),
        ] {
            assert_eq!(serde_json::from_str::<Schedule>(json).unwrap_err().to_string(), expected);
        }
    }
}
