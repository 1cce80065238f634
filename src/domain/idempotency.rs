//! Requests that may be repeated: a client gives each a key, and however often it sends the same one, there is one beat.
//!
//! The header is the IETF's draft `draft-ietf-httpapi-idempotency-key-header`. Only rules; who keeps what was answered
//! is the store.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::digest::{hex, sha256};
use super::text::seconds_until;

/// How long an answer is kept under its key.
const KEPT_FOR: Duration = Duration::from_secs(24 * 3_600);

/// The longest wait that a repeated request is asked for while the first one runs. Most beats are answered sooner.
const MAX_WAIT: u64 = 2;

/// What a client calls one request: the digest of its `Idempotency-Key`, which itself is kept nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(String);

/// Why a text is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "Idempotency-Key is one text of 1 to {longest} visible ASCII characters but \" , ; and \\, in quotation marks or not",
    longest = IdempotencyKey::MAX_LENGTH
)]
pub struct InvalidIdempotencyKey;

impl IdempotencyKey {
    /// The longest key, in characters.
    pub const MAX_LENGTH: usize = 255;

    /// Reads the header. The draft has the key in quotation marks, many clients leave them out.
    pub fn parse(text: &str) -> Result<Self, InvalidIdempotencyKey> {
        let text = text.trim();
        let key = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
        let is_plain = key.bytes().all(|byte| byte.is_ascii_graphic() && !b"\",;\\".contains(&byte));
        if key.is_empty() || key.len() > Self::MAX_LENGTH || !is_plain {
            return Err(InvalidIdempotencyKey);
        }
        Ok(Self(hex(&sha256(key.as_bytes()))))
    }

    /// Its digest.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A request with a key: the same one has the same key and the same body.
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

/// One attempt at a keyed request: the right to run its beat until then. What a later attempt has written is not
/// overwritten by an earlier one that comes back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// Tells the attempts apart: a UUID of version 7, so later ones are greater.
    #[serde(rename = "attempt")]
    pub id: Uuid,
    /// The AgentRun, the same for all attempts.
    pub run_id: Uuid,
    /// The digest of the body.
    body: String,
    /// When the next attempt may begin, should this one not have answered. A number, so that DynamoDB can compare it.
    #[serde(with = "millisecond::required")]
    until: Timestamp,
    /// From when on nothing is known of the request, in epoch seconds.
    pub expires_at: i64,
}

/// What is kept under a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeptRequest {
    /// The last attempt at it.
    #[serde(flatten)]
    pub attempt: Attempt,
    /// The answer, as it was sent; none while it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
}

/// What becomes of a keyed request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is to be tried so.
    Try(Attempt),
    /// It was answered.
    Answered {
        /// The AgentRun.
        run_id: Uuid,
        /// The answer, as it was sent.
        answer: String,
    },
    /// It gets no answer.
    Refused(KeyRefused),
}

/// Why a request gets no answer under its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyRefused {
    /// The first one is not answered yet.
    #[error(
        "the first request with this Idempotency-Key is still running; send it again in {retry_after_seconds} s"
    )]
    Running {
        /// When to ask again: at least 1.
        retry_after_seconds: u64,
    },
    /// The key is another request's.
    #[error("this Idempotency-Key came with another body before; give each request a key of its own")]
    OtherRequest,
}

impl KeyedRequest {
    /// Decides from what is kept under its key. An attempt, should there be one, is called `id` and ends at `until`.
    pub fn judge(&self, kept: Option<&KeptRequest>, now: Timestamp, id: Uuid, until: Timestamp) -> Verdict {
        let kept = kept.filter(|kept| now.as_second() < kept.attempt.expires_at);
        match kept {
            Some(kept) if kept.attempt.body != self.body => Verdict::Refused(KeyRefused::OtherRequest),
            Some(KeptRequest { attempt, answer: Some(answer) }) => {
                Verdict::Answered { run_id: attempt.run_id, answer: answer.clone() }
            }
            Some(KeptRequest { attempt, .. }) if now < attempt.until => {
                let left = seconds_until(attempt.until, now).unwrap_or(1);
                Verdict::Refused(KeyRefused::Running { retry_after_seconds: left.min(MAX_WAIT) })
            }
            dead => Verdict::Try(Attempt {
                id,
                run_id: dead.map_or(id, |dead| dead.attempt.run_id),
                body: self.body.clone(),
                until,
                expires_at: kept_until(now),
            }),
        }
    }
}

/// Until when an answer given now is kept, in epoch seconds.
pub fn kept_until(now: Timestamp) -> i64 {
    now.as_second().saturating_add_unsigned(KEPT_FOR.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_same_with_and_without_quotation_marks() {
        let key = IdempotencyKey::parse;
        assert_eq!(key("\"8e03978e-40d5\""), key(" 8e03978e-40d5 "));
        assert_ne!(key("a"), key("A"));
        assert!(key(&"x".repeat(255)).is_ok());
        for bad in ["", "\"\"", "\"", "a b", "a,b", "\"a\"; b=1", "a\\b", "ä", "\"a", &"x".repeat(256)] {
            assert_eq!(key(bad), Err(InvalidIdempotencyKey), "{bad}");
        }
    }
}
