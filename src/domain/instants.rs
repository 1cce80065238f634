//! The format of instants, the same in responses and in stored items.
//!
//! Reading accepts two formats: milliseconds, and the format of older versions, which omits zero decimals. No item is
//! sorted or compared by text in this format: DynamoDB compares numbers.

use jiff::Timestamp;

/// RFC 3339 in UTC with exactly three decimals: `2026-11-22T06:00:00.000Z`.
pub fn iso_millis(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// For an instant: `#[serde(with = "millis")]`.
pub mod millis {
    use jiff::Timestamp;
    use serde::{Deserialize as _, Deserializer, Serializer};

    /// Writes the format of [`iso_millis`](super::iso_millis).
    pub fn serialize<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::iso_millis(*at))
    }

    /// Reads any RFC 3339 instant.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        Timestamp::deserialize(deserializer)
    }
}

/// For an optional instant: `#[serde(default, with = "optional_millis")]`.
pub mod optional_millis {
    use jiff::Timestamp;
    use serde::{Deserialize as _, Deserializer, Serializer};

    /// Writes the format of [`iso_millis`](super::iso_millis), or null.
    pub fn serialize<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        match at {
            Some(at) => super::millis::serialize(at, serializer),
            None => serializer.serialize_none(),
        }
    }

    /// Reads any RFC 3339 instant, or null.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
        Option::deserialize(deserializer)
    }
}
