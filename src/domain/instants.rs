//! How instants are written: alike in answers and in stored items.
//!
//! Two forms are read: milliseconds, and what older versions stored, which has no decimals where there are none. No
//! item is sorted or compared by a text of this form: what DynamoDB compares are numbers, and `openUpdatedAt`, which
//! stays as GitHub writes its `updated_at`.

use jiff::Timestamp;

/// RFC 3339 in UTC with exactly three decimals: `2026-11-22T06:00:00.000Z`.
pub fn iso_millis(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// For a field that is an instant: `#[serde(with = "millis")]`.
pub mod millis {
    use jiff::Timestamp;
    use serde::{Deserialize as _, Deserializer, Serializer};

    /// Writes it as [`iso_millis`](super::iso_millis) does.
    pub fn serialize<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::iso_millis(*at))
    }

    /// Reads any instant of RFC 3339.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        Timestamp::deserialize(deserializer)
    }
}

/// For a field that is an instant or nothing: `#[serde(default, with = "optional_millis")]`.
pub mod optional_millis {
    use jiff::Timestamp;
    use serde::{Deserialize as _, Deserializer, Serializer};

    /// Writes it as [`iso_millis`](super::iso_millis) does, or null.
    pub fn serialize<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        match at {
            Some(at) => super::millis::serialize(at, serializer),
            None => serializer.serialize_none(),
        }
    }

    /// Reads any instant of RFC 3339, or null.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
        Option::deserialize(deserializer)
    }
}
