//! How a step of a pass can fail. Whatever one repository meets, a crash (a panic) included, the others go on.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;

use crate::github::GitHubError;
use crate::store::StoreError;

use super::problems::PANICKED;

/// Why a step was not finished.
#[derive(Clone, Debug)]
pub(super) enum StepError {
    GitHub(GitHubError),
    Store(StoreError),
    /// It can wait until GitHub's budget allows it.
    PutOff,
    Panicked,
}

impl From<GitHubError> for StepError {
    fn from(error: GitHubError) -> Self {
        Self::GitHub(error)
    }
}

impl From<StoreError> for StepError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Panicked> for StepError {
    fn from(_: Panicked) -> Self {
        Self::Panicked
    }
}

/// A part crashed. The panic's own message is in the log, where nobody but the operator reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{PANICKED}")]
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

/// Runs a step to its end, its failure or its panic.
pub(super) async fn guard_step<T, E: Into<StepError>>(
    step: impl Future<Output = Result<T, E>>,
) -> Result<T, StepError> {
    guard(step).await?.map_err(Into::into)
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
