//! The format of counts and durations in responses.

use jiff::Timestamp;

/// `1 issue`, `2 issues`.
pub fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// Seconds until an instant, rounded up; `None` if it has passed.
pub fn seconds_until(at: Timestamp, now: Timestamp) -> Option<u64> {
    let millis = at.duration_since(now).as_millis();
    u64::try_from(millis).ok().filter(|millis| *millis > 0).map(|millis| millis.div_ceil(1_000))
}
