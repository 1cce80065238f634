//! Safe retries: a client gives a request a key, and sending the same request again causes no second heartbeat.
//!
//! The header follows the IETF draft `draft-ietf-httpapi-idempotency-key-header`. Only rules, no I/O: the store keeps
//! the responses.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::digest::{hex, sha256};
use super::text::seconds_until;

/// How long a response is kept under its key.
const KEPT_FOR: Duration = Duration::from_secs(24 * 3_600);

/// The maximum `Retry-After` while the first request is running, in seconds. Most heartbeats are answered sooner.
const MAX_WAIT: u64 = 2;

/// The digest of a request's `Idempotency-Key`. The key itself is not stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(String);

/// The text is not a valid key. The refusal of a request has the sentence about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidIdempotencyKey;

impl IdempotencyKey {
    /// The maximum length of a key, in characters.
    pub const MAX_LENGTH: usize = 255;

    /// Parses the header. Quotation marks are optional: the draft requires them, but many clients omit them.
    ///
    /// # Errors
    /// [`InvalidIdempotencyKey`] if the key is empty, too long or has other characters.
    pub fn parse(text: &str) -> Result<Self, InvalidIdempotencyKey> {
        let text = text.trim();
        let key = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
        let is_plain = key.bytes().all(|byte| byte.is_ascii_graphic() && !b"\",;\\".contains(&byte));
        if key.is_empty() || key.len() > Self::MAX_LENGTH || !is_plain {
            return Err(InvalidIdempotencyKey);
        }
        Ok(Self(hex(&sha256(key.as_bytes()))))
    }

    /// The SHA-256 of the key as hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A request with a key. Two requests are the same if they have the same key and the same body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyedRequest {
    /// The key.
    pub key: IdempotencyKey,
    /// The digest of the body.
    body: String,
}

impl KeyedRequest {
    /// A request with this key and this body.
    pub fn new(key: IdempotencyKey, body: &[u8]) -> Self {
        Self { key, body: hex(&sha256(body)) }
    }
}

/// One attempt at a keyed request: the right to run its heartbeat until the attempt expires. A stalled earlier attempt
/// cannot overwrite what a later one has written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// The attempt's id: a UUID of version 7, so later attempts have greater ids.
    #[serde(rename = "attempt")]
    pub id: Uuid,
    /// The id of the AgentRun, the same for all attempts.
    pub run_id: Uuid,
    /// The digest of the body.
    body: String,
    /// When the next attempt may begin if this one has no response, in epoch milliseconds: a number, so that DynamoDB
    /// can compare it.
    #[serde(with = "millisecond::required")]
    until: Timestamp,
    /// When the request expires and is forgotten, in epoch seconds.
    pub expires_at: i64,
}

/// The stored request under a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeptRequest {
    /// The last attempt.
    #[serde(flatten)]
    pub attempt: Attempt,
    /// The response as it was sent; `None` while the attempt is running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
}

/// The decision about a keyed request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyDecision {
    /// Run the heartbeat as this attempt.
    Try(Attempt),
    /// Send the stored response again.
    Answered {
        /// The id of the AgentRun.
        run_id: Uuid,
        /// The response as it was sent.
        answer: String,
    },
    /// Refuse the request.
    Refused(KeyRefused),
}

/// Why a keyed request is refused. The refusal of a request has the sentences about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyRefused {
    /// A request with the same key is still running.
    Running {
        /// Seconds until a retry makes sense: at least 1.
        retry_after_seconds: u64,
    },
    /// The key was used for a request with another body.
    OtherRequest,
}

impl KeyedRequest {
    /// Decides about the request, given the stored one under its key. A new attempt gets the id `id` and expires at
    /// `until`.
    pub fn judge(
        &self,
        kept: Option<&KeptRequest>,
        now: Timestamp,
        id: Uuid,
        until: Timestamp,
    ) -> KeyDecision {
        let kept = kept.filter(|kept| now.as_second() < kept.attempt.expires_at);
        match kept {
            Some(kept) if kept.attempt.body != self.body => KeyDecision::Refused(KeyRefused::OtherRequest),
            Some(KeptRequest { attempt, answer: Some(answer) }) => {
                KeyDecision::Answered { run_id: attempt.run_id, answer: answer.clone() }
            }
            Some(KeptRequest { attempt, .. }) if now < attempt.until => {
                let left = seconds_until(attempt.until, now).unwrap_or(1);
                KeyDecision::Refused(KeyRefused::Running { retry_after_seconds: left.min(MAX_WAIT) })
            }
            expired => KeyDecision::Try(Attempt {
                id,
                run_id: expired.map_or(id, |expired| expired.attempt.run_id),
                body: self.body.clone(),
                until,
                expires_at: kept_until(now),
            }),
        }
    }
}

/// Until when a response sent now is kept, in epoch seconds.
pub fn kept_until(now: Timestamp) -> i64 {
    now.as_second().saturating_add_unsigned(KEPT_FOR.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_is_the_same_with_and_without_quotation_marks() {
        let key = IdempotencyKey::parse;
        assert_eq!(key("\"8e03978e-40d5\""), key(" 8e03978e-40d5 "));
        assert_ne!(key("a"), key("A"));
        assert!(key(&"x".repeat(255)).is_ok());
        for bad in ["", "\"\"", "\"", "a b", "a,b", "\"a\"; b=1", "a\\b", "ä", "\"a", &"x".repeat(256)] {
            assert_eq!(key(bad), Err(InvalidIdempotencyKey), "{bad}");
        }
    }
}
