//! How instants and counts are written in answers.

use jiff::Timestamp;

/// RFC 3339 in UTC with exactly three decimals, as every answer shows its instants: `2026-11-22T06:00:00.000Z`.
pub fn iso_millis(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// `1 issue`, `2 issues`.
pub fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}
