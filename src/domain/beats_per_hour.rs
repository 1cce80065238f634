//! How many heartbeats of an agent were answered in each of 24 hours, as one short text.

use jiff::Timestamp;
use serde::de::{Deserializer, IgnoredAny};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::millis;

/// How many hours are counted.
const HOURS: usize = 24;

/// The highest digit in base 36. It means this many heartbeats, or more.
const MAX_COUNT: u8 = 35;

const SECONDS: i64 = 3_600;

/// The heartbeats of an agent that were answered in each of 24 hours.
///
/// Its text takes at most 31 bytes: the last hour in base 36, a dot, and one base-36 digit an hour, the oldest first. An
/// hour is a number of hours since 1970-01-01T00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BeatsPerHour {
    last: i64,
    counts: [u8; HOURS],
}

/// The heartbeats that were answered in each of 24 hours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeartbeatsPerHour {
    /// When the last of the hours began.
    #[serde(with = "millis")]
    pub last_hour: Timestamp,
    /// How many heartbeats were answered in each hour, the oldest first; 35 means 35 or more. The count is approximate:
    /// of heartbeats at the same time some may be missing.
    #[schema(min_items = 24, max_items = 24)]
    pub counts: Vec<u8>,
}

impl BeatsPerHour {
    /// Reads [`Self::to_text`]; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let (last, digits) = text.split_once('.')?;
        let last = i64::from_str_radix(last, 36).ok()?;
        let counts: Vec<u8> =
            digits.chars().map(|digit| digit.to_digit(36)?.try_into().ok()).collect::<Option<_>>()?;
        let beats = Self { last, counts: counts.try_into().ok()? };
        (beats.last_hour().is_some() && beats.to_text() == text).then_some(beats)
    }

    /// These counts after one more heartbeat, which was answered at `at`.
    ///
    /// It counts in its own hour, also if that is an earlier one than the last. An hour before all of them means that the
    /// clock went back, now or after it was ahead: then counting starts again.
    #[must_use]
    pub fn counting(known: Option<Self>, at: Timestamp) -> Self {
        let hour = at.as_second().max(0) / SECONDS;
        let none = Self { last: hour, counts: [0; HOURS] };
        let mut beats = known.unwrap_or(none).up_to(hour);
        if beats.place(hour).is_none() {
            beats = none;
        }
        if let Some(count) = beats.place(hour).and_then(|place| beats.counts.get_mut(place)) {
            *count = (*count + 1).min(MAX_COUNT);
        }
        beats
    }

    /// The text that is stored.
    pub fn to_text(self) -> String {
        let digits = self.counts.iter().map(|count| digit(u32::from(*count)));
        base_36(self.last.unsigned_abs()).chars().chain(['.']).chain(digits).collect()
    }

    /// What a client sees of it.
    pub fn view(self) -> Option<HeartbeatsPerHour> {
        Some(HeartbeatsPerHour { last_hour: self.last_hour()?, counts: self.counts.to_vec() })
    }

    /// Reads what is stored: `None` for anything that is no text of ours, so that counting starts again and the agent's
    /// item can still be read.
    ///
    /// # Errors
    /// Those of the deserializer.
    pub fn stored<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Stored {
            Text(String),
            Other(IgnoredAny),
        }
        Ok(match Stored::deserialize(deserializer)? {
            Stored::Text(text) => Self::parse(&text),
            Stored::Other(_) => None,
        })
    }

    fn last_hour(self) -> Option<Timestamp> {
        Timestamp::from_second(self.last.checked_mul(SECONDS)?).ok()
    }

    /// The counts up to this hour, if it is a later one: older hours are dropped, and the new ones have none.
    fn up_to(self, hour: i64) -> Self {
        let Some(passed) = usize::try_from(hour - self.last).ok().filter(|passed| *passed > 0) else {
            return self;
        };
        let mut counts = [0; HOURS];
        for (new, old) in counts.iter_mut().zip(self.counts.iter().skip(passed)) {
            *new = *old;
        }
        Self { last: hour, counts }
    }

    /// The place of an hour; `None` if it is not one of these.
    fn place(self, hour: i64) -> Option<usize> {
        let ago = usize::try_from(self.last - hour).ok()?;
        (HOURS - 1).checked_sub(ago)
    }
}

fn digit(value: u32) -> char {
    char::from_digit(value, 36).unwrap_or('0')
}

fn base_36(mut value: u64) -> String {
    let mut digits = Vec::new();
    loop {
        digits.push(digit((value % 36) as u32));
        value /= 36;
        if value == 0 {
            return digits.iter().rev().collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_795_327_200 + second).expect("a time")
    }

    fn counted(seconds: impl IntoIterator<Item = i64>) -> BeatsPerHour {
        let counted = seconds.into_iter().fold(None, |known, second| {
            let beats = BeatsPerHour::counting(known, at(second)).to_text();
            Some(BeatsPerHour::parse(&beats).expect("its own text"))
        });
        counted.expect("a heartbeat")
    }

    #[test]
    fn heartbeats_count_in_their_hours_and_the_oldest_hour_goes() {
        assert_eq!(counted([0]).to_text(), "aosu.000000000000000000000001");
        assert_eq!(counted([0, 3_599, 3_600]).to_text(), "aosv.000000000000000000000021");
        assert_eq!(counted([0, 3_600, 3_599]).to_text(), "aosv.000000000000000000000021", "a slower one");
        assert_eq!(counted([0, 23 * 3_600]).to_text(), "aoth.100000000000000000000001");
        assert_eq!(counted([0, 24 * 3_600]).to_text(), "aoti.000000000000000000000001");
        assert_eq!(counted([0, 0, 240 * 3_600]).counts[..], counted([0]).counts[..]);
    }

    #[test]
    fn digit_ends_at_35() {
        assert_eq!(counted(vec![0; 35]).to_text(), "aosu.00000000000000000000000z");
        assert_eq!(counted(vec![0; 99]).to_text(), "aosu.00000000000000000000000z");
    }

    #[test]
    fn clock_that_went_back_by_a_day_starts_again() {
        assert_eq!(counted([0, -23 * 3_600]).to_text(), "aosu.100000000000000000000001");
        assert_eq!(counted([0, -24 * 3_600]).to_text(), "aos6.000000000000000000000001");
        let ahead = BeatsPerHour::counting(None, Timestamp::MAX);
        assert_eq!(BeatsPerHour::parse(&ahead.to_text()), Some(ahead));
        assert_eq!(ahead.to_text().len(), 31);
        assert_eq!(BeatsPerHour::counting(Some(ahead), at(0)), counted([0]));
    }

    #[test]
    fn view_has_the_start_of_the_last_hour() {
        let view = counted([1, 3_601, 3_602]).view().expect("a view");
        assert_eq!(view.last_hour, at(3_600));
        assert_eq!((view.counts.len(), &view.counts[22..]), (24, &[1, 2][..]));
    }

    #[test]
    fn stored_value_that_is_no_text_of_ours_is_none() {
        let digits = "0".repeat(24);
        let wrong = [
            json!(""),
            json!(digits),
            json!(format!(".{digits}")),
            json!(format!("0aoso.{digits}")),
            json!(format!("AOSO.{digits}")),
            json!(format!("+aoso.{digits}")),
            json!(format!("-aoso.{digits}")),
            json!(format!("zzzzzzzz.{digits}")),
            json!(format!("aoso.{digits}0")),
            json!("aoso.000"),
            json!(7),
            json!(null),
            json!({"a": [1]}),
        ];
        for value in wrong {
            assert_eq!(BeatsPerHour::stored(&value).expect("no error"), None, "{value}");
        }
        let right = counted([0, 1]);
        assert_eq!(BeatsPerHour::stored(&json!(right.to_text())).expect("no error"), Some(right));
    }

    proptest! {
        #[test]
        fn counts_are_those_of_each_hour(hours in prop::collection::vec(0_i64..40, 1..200)) {
            // Out of order by less than half a day.
            let mut hours = hours;
            hours.sort_by_key(|hour| hour / 12);
            let beats = counted(hours.iter().map(|hour| hour * 3_600));
            let mut expected = HashMap::<i64, u8>::new();
            hours.iter().for_each(|hour| *expected.entry(*hour).or_default() += 1);
            let last = hours.iter().max().expect("an hour");
            for (place, count) in beats.counts.iter().enumerate() {
                let hour = last - 23 + place as i64;
                prop_assert_eq!(*count, expected.get(&hour).copied().unwrap_or(0).min(MAX_COUNT));
            }
        }

        #[test]
        fn any_text_is_read_or_starts_again(text in any::<String>(), second in any::<i32>()) {
            let beats = BeatsPerHour::counting(BeatsPerHour::parse(&text), at(second.into()));
            prop_assert_eq!(beats.counts[23], 1);
        }

        #[test]
        fn text_of_any_time_is_short_and_read_again(seconds in prop::collection::vec(any::<i32>(), 1..20)) {
            prop_assert!(counted(seconds.into_iter().map(i64::from)).to_text().len() <= 31);
        }
    }
}
