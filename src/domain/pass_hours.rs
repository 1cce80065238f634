//! How the passes of the last 24 hours ended, hour by hour: a compact text in the fleet's state.
//!
//! A pass that changes nothing leaves no record, so each pass counts itself here, in the write that it makes anyway. The
//! text is the newest hour, four digits, and then four digits for each hour, the newest first: two for `passes × 3 +
//! status`, two for the age. All are base 36, so 24 hours take 100 bytes. Hours without a pass at the end are left out.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Status;

/// How many hours are kept.
const KEPT: usize = 24;

const RADIX: usize = 36;

/// The number of digits of the newest hour, and of each hour's part.
const DIGITS: u32 = 4;

/// The most that two digits can say.
const MAX: usize = RADIX.pow(2) - 1;

const STATUSES: [Status; 3] = [Status::Ok, Status::Warning, Status::Error];

/// The passes of the last 24 hours. A text that cannot be read counts as empty: the hours start again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct PassHours {
    /// The newest hour, counted from 1970.
    newest: usize,
    /// From the newest on, at most [`KEPT`].
    hours: Vec<Counted>,
}

/// The passes that ended in one hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PassHour {
    /// When it began.
    pub start: Timestamp,
    /// How many passes ended in it; 431 may be more.
    pub passes: usize,
    /// The worst of their statuses.
    pub worst: Status,
    /// The greatest age that the copy reached before one of them ended, in whole minutes; 1,294 may be more. `None` if
    /// the copy was not complete before any of them.
    pub max_age: Option<Duration>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counted {
    passes: usize,
    /// The index of the worst status.
    worst: usize,
    /// The age in minutes and one more; 0 if it is unknown.
    age: usize,
}

impl Counted {
    const MAX_PASSES: usize = (MAX + 1) / STATUSES.len() - 1;

    fn add(&mut self, status: Status, age: Option<Duration>) {
        self.passes = (self.passes + 1).min(Self::MAX_PASSES);
        self.worst = self.worst.max(STATUSES.iter().position(|one| *one == status).unwrap_or_default());
        let minutes = age.map(|age| usize::try_from(age.as_secs() / 60).unwrap_or(MAX));
        self.age = self.age.max(minutes.map_or(0, |minutes| minutes.saturating_add(1).min(MAX)));
    }

    fn number(self) -> usize {
        (self.passes * STATUSES.len() + self.worst) * (MAX + 1) + self.age
    }

    fn of(number: usize) -> Self {
        let (first, age) = (number / (MAX + 1), number % (MAX + 1));
        Self { passes: first / STATUSES.len(), worst: first % STATUSES.len(), age }
    }
}

impl PassHours {
    /// These hours and a pass that ended then. `age` is how old the copy was just before.
    ///
    /// A pass that ends before the newest hour, by another clock, counts for its own hour. If that is longer ago than is
    /// kept, one of the clocks is wrong, and the hours start again.
    pub fn with(mut self, ended_at: Timestamp, status: Status, age: Option<Duration>) -> Self {
        let hour = usize::try_from(ended_at.as_second() / 3_600).unwrap_or_default();
        let ago = self.newest.saturating_sub(hour);
        if self.hours.is_empty() || ago >= KEPT {
            self = Self { newest: hour, hours: Vec::new() };
        }
        if hour > self.newest {
            let later = (hour - self.newest).min(KEPT);
            self.hours.splice(..0, std::iter::repeat_n(Counted::default(), later));
            self.newest = hour;
        }
        let index = self.newest - hour;
        self.hours.resize(self.hours.len().max(index + 1), Counted::default());
        self.hours[index].add(status, age);
        self.hours.truncate(KEPT);
        let last = self.hours.iter().rposition(|hour| hour.passes > 0);
        self.hours.truncate(last.map_or(0, |last| last + 1));
        self
    }

    /// Whether nothing is counted.
    pub fn is_empty(&self) -> bool {
        self.hours.is_empty()
    }

    /// The hours in which a pass ended, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = PassHour> {
        let numbered = self.hours.iter().enumerate().rev().filter(|(_, hour)| hour.passes > 0);
        numbered.filter_map(|(ago, hour)| {
            let second = i64::try_from(self.newest.checked_sub(ago)? * 3_600).ok()?;
            Some(PassHour {
                start: Timestamp::from_second(second).ok()?,
                passes: hour.passes,
                worst: STATUSES[hour.worst],
                max_age: hour.age.checked_sub(1).map(|minutes| Duration::from_secs(minutes as u64 * 60)),
            })
        })
    }
}

/// A number below 36⁴ in four digits.
fn push(text: &mut String, number: usize) {
    for power in (0..DIGITS).rev() {
        let digit = number / RADIX.pow(power) % RADIX;
        text.push(char::from(b"0123456789abcdefghijklmnopqrstuvwxyz"[digit]));
    }
}

impl From<PassHours> for String {
    fn from(of: PassHours) -> Self {
        let mut text = Self::new();
        push(&mut text, of.newest);
        of.hours.iter().for_each(|hour| push(&mut text, hour.number()));
        text
    }
}

impl From<String> for PassHours {
    fn from(text: String) -> Self {
        let parts = text.as_bytes().chunks(DIGITS as usize).map(|part| {
            let part = std::str::from_utf8(part).ok().filter(|part| part.len() == DIGITS as usize)?;
            let is_plain = part.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase());
            usize::from_str_radix(part, RADIX as u32).ok().filter(|_| is_plain)
        });
        match parts.collect::<Option<Vec<usize>>>().as_deref() {
            Some([newest, hours @ ..]) if hours.len() <= KEPT => {
                Self { newest: *newest, hours: hours.iter().copied().map(Counted::of).collect() }
            }
            _ => Self::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("an instant")
    }

    fn minutes(minutes: u64) -> Option<Duration> {
        Some(Duration::from_secs(minutes * 60))
    }

    fn words(hours: &PassHours) -> Vec<String> {
        let word = |hour: PassHour| {
            let age = hour.max_age.map(|age| age.as_secs());
            format!("{:.0} {} {} {age:?}", hour.start, hour.passes, hour.worst.as_str())
        };
        hours.iter().map(word).collect()
    }

    fn read_again(hours: &PassHours) -> PassHours {
        let text = serde_json::to_string(hours).expect("a text");
        serde_json::from_str(&text).expect("hours")
    }

    #[test]
    fn hours_count_passes_and_keep_the_worst_status_and_the_greatest_age() {
        let hours = PassHours::default()
            .with(at("2026-11-22T06:00:00Z"), Status::Ok, None)
            .with(at("2026-11-22T06:59:59Z"), Status::Error, minutes(59))
            .with(at("2026-11-22T08:00:00Z"), Status::Warning, Some(Duration::from_secs(119)))
            .with(at("2026-11-22T08:20:00Z"), Status::Ok, minutes(0));
        assert_eq!(
            words(&hours),
            ["2026-11-22T06:00:00Z 2 error Some(3540)", "2026-11-22T08:00:00Z 2 warning Some(60)"]
        );
        assert_eq!(read_again(&hours), hours);
    }

    #[test]
    fn hours_older_than_a_day_are_forgotten() {
        let mut hours = PassHours::default();
        for hour in 0..60 {
            let at = at("2026-11-22T06:30:00Z") + jiff::SignedDuration::from_hours(hour);
            hours = read_again(&hours.with(at, Status::Ok, minutes(5)));
        }
        let words = words(&hours);
        assert_eq!((words.len(), words[0].as_str()), (24, "2026-11-23T18:00:00Z 1 ok Some(300)"));
        assert_eq!(String::from(hours.clone()).len(), 100);
        let later = hours.with(at("2027-01-01T00:00:00Z"), Status::Ok, None);
        assert_eq!(String::from(later).len(), 8);
    }

    #[test]
    fn numbers_that_are_too_large_are_clipped() {
        let mut hours = PassHours::default();
        for _ in 0..500 {
            hours = read_again(&hours.with(at("2026-11-22T06:30:00Z"), Status::Error, Some(Duration::MAX)));
        }
        assert_eq!(words(&hours), ["2026-11-22T06:00:00Z 431 error Some(77640)"]);
    }

    #[test]
    fn pass_of_an_earlier_hour_counts_for_that_hour_or_starts_again() {
        let now = PassHours::default().with(at("2026-11-22T06:30:00Z"), Status::Ok, minutes(1));
        let before = now.clone().with(at("2026-11-22T04:30:00Z"), Status::Error, minutes(2));
        assert_eq!(
            words(&before),
            ["2026-11-22T04:00:00Z 1 error Some(120)", "2026-11-22T06:00:00Z 1 ok Some(60)"]
        );
        let long_before = now.with(at("2026-11-20T04:30:00Z"), Status::Ok, None);
        assert_eq!(words(&long_before), ["2026-11-20T04:00:00Z 1 ok None"]);
    }

    #[test]
    fn unreadable_text_starts_again() {
        let good = String::from(PassHours::default().with(at("2026-11-22T06:30:00Z"), Status::Ok, None));
        for text in ["", "x", "aaaa aaa", "AORU0301", "+123", "zzzzé", &format!("{good}0"), &good.repeat(20)]
        {
            assert_eq!(PassHours::from(text.to_owned()), PassHours::default(), "{text}");
        }
        for text in ["0000zzzzzzzz", "zzzz00000000", "zzzzzzzz"] {
            let hours = PassHours::from(text.to_owned());
            let _ = words(&hours);
            let again = hours.with(at("2026-11-22T06:30:00Z"), Status::Ok, None);
            assert_eq!(words(&again).last().expect("an hour"), "2026-11-22T06:00:00Z 1 ok None", "{text}");
        }
    }
}
