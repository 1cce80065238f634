//! Keeps a crash (a panic) of one part from taking the beat with it.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;

/// A part crashed. The panic's own message is in the log, where nobody but the operator reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it crashed; the log of this run has the details, and the next pass tries again")]
pub struct Panicked;

/// Runs a part to its end or its panic.
pub async fn guard<T>(part: impl Future<Output = T>) -> Result<T, Panicked> {
    AssertUnwindSafe(part).catch_unwind().await.map_err(|panic| {
        let message = panic
            .downcast_ref::<&str>()
            .map(|message| (*message).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_default();
        tracing::error!(panic = message, "A part of the pass crashed.");
        Panicked
    })
}

#[cfg(test)]
mod tests {
    use super::{Panicked, guard};

    #[tokio::test]
    async fn a_crash_is_an_answer_like_any_other() {
        assert_eq!(guard(async { 7 }).await, Ok(7));
        let crash = guard(async { panic!("as a test may") }).await;
        assert_eq!(crash, Err::<(), _>(Panicked));
    }
}
