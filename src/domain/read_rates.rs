//! The reads of each token per minute, and their limit.
//!
//! They are counted in the memory of an execution environment, because a read writes nothing to the table. So the limit
//! holds for each execution environment.

use std::collections::HashMap;

use jiff::Timestamp;

use super::{Fingerprint, Minute, RateLimitExceeded};

/// The reads that were admitted in the current minute, by their token. Callers count valid tokens only, and the counts
/// of earlier minutes are dropped, so the length of the secret bounds the memory.
#[derive(Debug, Default)]
pub struct ReadRates {
    /// `None` before the first read.
    minute: Option<Minute>,
    reads: HashMap<Fingerprint, u64>,
}

impl ReadRates {
    /// Counts one more read with a token, arriving at `now`, if it stays within `limit` reads per minute.
    ///
    /// # Errors
    /// [`RateLimitExceeded`] if `limit` reads with this token were admitted in this minute. A refused read is not
    /// counted.
    pub fn admit(&mut self, token: Fingerprint, limit: u64, now: Timestamp) -> Result<(), RateLimitExceeded> {
        let minute = Minute::of(now);
        if self.minute.replace(minute) != Some(minute) {
            self.reads.clear();
        }
        let reads = self.reads.entry(token).or_default();
        minute.check(*reads, limit, now)?;
        *reads += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("an instant")
    }

    #[test]
    fn each_token_has_its_own_limit_until_the_minute_ends() {
        let mut rates = ReadRates::default();
        let mut read = |token, now| {
            let admitted = rates.admit(Fingerprint::of(token), 2, at(now));
            (admitted.map_err(|why| (why.limit, why.retry_after_seconds)), rates.reads.len())
        };
        assert_eq!(read("a", "2026-11-22T06:00:10Z"), (Ok(()), 1));
        assert_eq!(read("a", "2026-11-22T06:00:11Z"), (Ok(()), 1));
        assert_eq!(read("a", "2026-11-22T06:00:12.5Z"), (Err((2, 48)), 1));
        assert_eq!(read("b", "2026-11-22T06:00:59.999Z"), (Ok(()), 2));
        assert_eq!(read("a", "2026-11-22T06:00:59.999Z"), (Err((2, 1)), 2));
        assert_eq!(read("a", "2026-11-22T06:01:00Z"), (Ok(()), 1), "the last minute is dropped");
        assert_eq!(read("a", "2026-11-22T06:01:00Z"), (Ok(()), 1));
        assert_eq!(read("a", "2026-11-22T06:01:00Z"), (Err((2, 60)), 1));
    }
}
