//! RFC 3339 times in UTC, as log records write them.

use std::time::Duration;

const DAYS_TO_1970: u64 = 719_468;
const DAYS_OF_400_YEARS: u64 = 146_097;

/// Time since the Unix epoch of `2026-11-23T18:26:01.440526026Z`. Nothing for another form, or a time before 1970.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let [year, month, day] = numbers(date, '-')?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, ""));
    let [hour, minute, second] = numbers(time, ':')?;
    let sane = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 61;
    if !sane || fraction.len() > 9 {
        return None;
    }
    let days = days_since_epoch(year, month, day)?;
    let nanoseconds = format!("{fraction:0<9}").parse().ok()?;
    Some(Duration::new(days * 86_400 + hour * 3_600 + minute * 60 + second, nanoseconds))
}

fn numbers(text: &str, separator: char) -> Option<[u64; 3]> {
    let parts: Vec<u64> = text.split(separator).map(str::parse).collect::<Result<_, _>>().ok()?;
    parts.try_into().ok()
}

/// Counts in years that begin in March, so that the leap day is the last of its year and needs no case of its own.
fn days_since_epoch(year: u64, month: u64, day: u64) -> Option<u64> {
    let year = if month > 2 { year } else { year.checked_sub(1)? };
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * DAYS_OF_400_YEARS + day_of_era).checked_sub(DAYS_TO_1970)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments_are_read_to_the_nanosecond() {
        assert_eq!(parse("1970-01-01T00:00:00Z"), Some(Duration::ZERO));
        assert_eq!(parse("2026-11-23T16:12:56.210249664Z"), Some(Duration::new(1_795_450_376, 210_249_664)));
        assert_eq!(parse("2024-02-29T23:59:59.5Z"), Some(Duration::new(1_709_251_199, 500_000_000)));
        assert_eq!(parse("2000-03-01T00:00:00Z"), Some(Duration::from_secs(951_868_800)));
    }

    #[test]
    fn other_forms_are_refused() {
        for text in
            ["", "yesterday", "2026-11-23", "2026-11-23T16:12:56+01:00", "2026-13-01T00:00:00Z", "1969-12-31T00:00:00Z"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
