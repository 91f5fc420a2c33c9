//! How long a provider asks to wait, in the forms in which providers say so. What cannot be read was not said.

use mission::limits;
use mission::time::Millis;
use std::time::Duration;

/// No wait that is named is longer than this.
const DAY: f64 = 86_400.0;
/// Nor one until a limit is wholly filled again: calls are served long before that.
const FILLED: f64 = limits::REFUSAL_MOST.0 as f64 / 1_000.0;

/// Headers with a wait, each with how its value is read and the longest that it means. The first that can be read is taken:
/// what is meant for this very call before what is said of a quota.
const HEADERS: [(&str, Form, f64); 10] = [
    ("retry-after-ms", Form::Millis, DAY),
    ("retry-after", Form::Wait, DAY),
    ("x-ratelimit-reset-after", Form::Wait, FILLED),
    ("x-ratelimit-reset-requests", Form::Wait, FILLED),
    ("x-ratelimit-reset-tokens", Form::Wait, FILLED),
    ("anthropic-ratelimit-requests-reset", Form::Wait, FILLED),
    ("anthropic-ratelimit-tokens-reset", Form::Wait, FILLED),
    ("anthropic-ratelimit-unified-reset", Form::Moment, DAY),
    ("x-ratelimit-reset", Form::Moment, FILLED),
    ("ratelimit-reset", Form::Moment, FILLED),
];

#[derive(Clone, Copy)]
enum Form {
    /// A number of milliseconds.
    Millis,
    /// A number of seconds, a length as in `6m0s`, or a date.
    Wait,
    /// The same, where a number that is too large for a wait is a moment.
    Moment,
}

/// The wait that a refusal's headers ask for, at the time `now` since the epoch.
pub(super) fn asked<'a>(header: impl Fn(&str) -> Option<&'a str>, now: Duration) -> Option<Millis> {
    HEADERS.iter().find_map(|(name, form, most)| {
        let value = header(name)?.trim();
        let seconds = match form {
            Form::Millis => number(value)? / 1_000.0,
            Form::Wait => wait(value, now)?,
            Form::Moment => match number(value) {
                // In milliseconds since the epoch, in seconds since it, or from now on.
                Some(n) if n > 1e11 => n / 1_000.0 - now.as_secs_f64(),
                Some(n) if n > 1e8 => n - now.as_secs_f64(),
                _ => wait(value, now)?,
            },
        };
        let bounded = Duration::from_secs_f64(seconds.clamp(0.0, *most));
        Some(super::millis(bounded))
    })
}

fn number(text: &str) -> Option<f64> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    text.parse().ok().filter(|_| plain)
}

/// In seconds.
fn wait(text: &str, now: Duration) -> Option<f64> {
    let date = || Some(date(text)? - now.as_secs_f64());
    number(text).or_else(|| length(text)).or_else(date)
}

/// `1s`, `20ms`, `6m0s`, `1h30m`.
fn length(text: &str) -> Option<f64> {
    let (mut rest, mut sum) = (text, 0.0);
    while !rest.is_empty() {
        let end = rest.find(|c: char| c.is_ascii_alphabetic())?;
        let (n, after) = rest.split_at(end);
        let units = [
            ("ms", 0.001),
            ("s", 1.0),
            ("m", 60.0),
            ("h", 3_600.0),
            ("d", DAY),
        ];
        let unit = units.iter().find(|(name, _)| after.starts_with(name));
        let (name, seconds) = unit?;
        sum += number(n)? * seconds;
        rest = &after[name.len()..];
    }
    (!text.is_empty()).then_some(sum)
}

/// `Wed, 21 Oct 2015 07:28:00 GMT` or `2015-10-21T07:28:00Z`, in seconds since the epoch.
fn date(text: &str) -> Option<f64> {
    let (day, time) = match text.split_once('T') {
        Some((day, time)) if day.len() == 10 && day.is_ascii() => {
            let parts: Vec<&str> = day.split('-').collect();
            let [year, month, day] = parts.as_slice() else {
                return None;
            };
            (
                days(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?)?,
                time,
            )
        }
        _ => {
            let parts: Vec<&str> = text.split_ascii_whitespace().collect();
            let [_, day, month, year, time, _] = parts.as_slice() else {
                return None;
            };
            let months = [
                "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
            ];
            let month = (1..).zip(months).find(|(_, name)| name == month)?.0;
            (days(year.parse().ok()?, month, day.parse().ok()?)?, *time)
        }
    };
    let time: Vec<&str> = time
        .split(&['.', 'Z', '+'][..])
        .next()?
        .split(':')
        .collect();
    let [hours, minutes, seconds] = time.as_slice() else {
        return None;
    };
    let part = |text: &str| text.parse::<u32>().ok().filter(|n| *n <= 60);
    let clock = part(hours)? * 3_600 + part(minutes)? * 60 + part(seconds)?;
    Some(day as f64 * DAY + f64::from(clock))
}

/// The days from the epoch to a day of the calendar.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Years that begin in March have their leap day last.
    let year = if month <= 2 { year - 1 } else { year };
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(365 * year + year / 4 - year / 100 + year / 400 + of_year - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 21 October 2015, 07:28:00.
    const NOW: Duration = Duration::from_secs(1_445_412_480);

    fn read(name: &str, value: &str) -> Option<u64> {
        asked(|asked| (asked == name).then_some(value), NOW).map(|wait| wait.0)
    }

    #[test]
    fn a_wait_is_read_in_every_form_in_which_providers_name_it() {
        for (name, value, millis) in [
            ("retry-after", "7", 7_000),
            ("retry-after", " 1.5 ", 1_500),
            ("retry-after", "Wed, 21 Oct 2015 07:28:30 GMT", 30_000),
            ("retry-after", "2015-10-21T07:29:00.250Z", 60_000),
            ("retry-after", "86400000", 86_400_000),
            ("retry-after-ms", "250", 250),
            ("x-ratelimit-reset-requests", "6m0s", 360_000),
            ("x-ratelimit-reset-tokens", "20ms", 20),
            ("retry-after", "1h30m", 5_400_000),
            // By then a limit is wholly filled again; calls are served before.
            ("x-ratelimit-reset-after", "1h30m", 600_000),
            (
                "anthropic-ratelimit-tokens-reset",
                "2015-10-21T07:28:05Z",
                5_000,
            ),
            ("x-ratelimit-reset", "1445412490", 10_000),
            ("x-ratelimit-reset", "1445412490000", 10_000),
            ("ratelimit-reset", "10", 10_000),
        ] {
            assert_eq!(read(name, value), Some(millis), "{name}: {value}");
        }
    }

    #[test]
    fn nonsense_was_not_said_and_the_past_is_now() {
        for nonsense in [
            "",
            "-5",
            "abc",
            "5x",
            "NaN",
            "inf",
            "1e9",
            "s",
            "Wed, 41 Oct 2015 07:28:30 GMT",
            "é",
        ] {
            assert_eq!(read("retry-after", nonsense), None, "{nonsense}");
        }
        assert_eq!(
            read("retry-after", "Thu, 01 Jan 1970 00:00:00 GMT"),
            Some(0)
        );
    }

    #[test]
    fn what_is_said_of_this_call_goes_before_what_is_said_of_a_quota() {
        let header = |name: &str| match name {
            "retry-after" => Some("2"),
            "x-ratelimit-reset-tokens" => Some("6m0s"),
            _ => None,
        };
        assert_eq!(asked(header, NOW), Some(Millis(2_000)));
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        assert_eq!(days(1970, 1, 1), Some(0));
        assert_eq!(days(2000, 2, 29), Some(11_016));
        assert_eq!(days(2015, 10, 21), Some(16_729));
        assert_eq!(days(2024, 13, 1), None);
    }
}
