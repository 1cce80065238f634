//! How a step of a pass can fail. A failure of one repository, a panic included, does not stop the others.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;

use crate::github::GitHubError;
use crate::store::StoreError;

use super::problems::PANICKED;

/// Why a step did not finish.
#[derive(Clone, Debug)]
pub(super) enum StepError {
    GitHub(GitHubError),
    Store(StoreError),
    /// It waits until GitHub's budget resets.
    BudgetLow,
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

/// A part of the service panicked. The panic's own message is in the log, where only the operator reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{PANICKED}")]
pub struct Panicked;

/// Runs a part of the service, and catches its panic.
///
/// # Errors
/// [`Panicked`] if it panics.
pub async fn guard<T>(part: impl Future<Output = T>) -> Result<T, Panicked> {
    AssertUnwindSafe(part).catch_unwind().await.map_err(|panic| {
        let message = panic
            .downcast_ref::<&str>()
            .map(|message| (*message).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_default();
        tracing::error!(panic = message, "A part of the service panicked: {message}");
        Panicked
    })
}

/// Runs a step, and turns its panic into an error like any other.
pub(super) async fn guard_step<T, E: Into<StepError>>(
    step: impl Future<Output = Result<T, E>>,
) -> Result<T, StepError> {
    guard(step).await?.map_err(Into::into)
}

#[cfg(test)]
mod tests {
    use super::{Panicked, guard};

    #[tokio::test]
    async fn a_panic_is_an_error_like_any_other() {
        assert_eq!(guard(async { 7 }).await, Ok(7));
        let panicked = guard(async { panic!("as a test may") }).await;
        assert_eq!(panicked, Err::<(), _>(Panicked));
    }
}
