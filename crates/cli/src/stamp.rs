//! Times as they stand in names and in the service log: short, in UTC, and later ones sort later.

use std::time::{SystemTime, UNIX_EPOCH};

/// The time now.
pub(crate) fn now() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    of(now.unwrap_or_default().as_millis())
}

/// A time since 1970.
fn of(ms: u128) -> String {
    let (days, ms) = (ms / 86_400_000, ms % 86_400_000);
    let (hour, minute) = (ms / 3_600_000, ms / 60_000 % 60);
    // Years that begin in March end with their leap day; 400 of them have 146,097 days, and 1970 began on day 719,468.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + u128::from(month <= 2);
    let second = ms / 1000 % 60;
    let ms = ms % 1000;
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}.{ms:03}Z")
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_stamp_is_the_time_of_day_in_utc() {
        for (ms, stamp) in [
            (0, "19700101T000000.000Z"),
            (951_827_696_789, "20000229T123456.789Z"),
            (1_709_251_199_001, "20240229T235959.001Z"),
            (4_107_542_400_000, "21000301T000000.000Z"),
        ] {
            assert_eq!(super::of(ms), stamp);
        }
    }
}
