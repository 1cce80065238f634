//! The tokens of a GitHub App's installations, shared by all passes of this execution environment.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;

use crate::domain::Fingerprint;

use super::credentials::{Installation, Token};

/// At least so long lies between two renewals of a token that still serves.
pub(super) const BETWEEN_RENEWALS: Duration = Duration::from_secs(30);

/// What a sandbox knows of its installations' tokens.
#[derive(Debug, Default)]
pub(super) struct InstallationTokens(Mutex<HashMap<Fingerprint, Arc<InstallationToken>>>);

/// What it knows of one installation's.
#[derive(Debug, Default)]
pub(super) struct InstallationToken {
    current: Mutex<Option<Issued>>,
    // Held while a token is asked for, so that many callers cause one request.
    pub(super) asking: tokio::sync::Mutex<()>,
}

#[derive(Clone, Debug)]
pub(super) struct Issued {
    pub(super) token: Token,
    /// From then on it is to be renewed, and serves on.
    pub(super) due_at: Timestamp,
    pub(super) expires_at: Timestamp,
}

impl InstallationTokens {
    pub(super) fn of(&self, installation: &Installation) -> Arc<InstallationToken> {
        let mut all = self.0.lock().expect(NOTHING_PANICS);
        Arc::clone(all.entry(installation.account.clone()).or_default())
    }
}

impl InstallationToken {
    /// The token at hand, if it is good now.
    pub(super) fn at_hand(&self, now: Timestamp) -> Option<Issued> {
        self.current.lock().expect(NOTHING_PANICS).clone().filter(|issued| now < issued.expires_at)
    }

    pub(super) fn keep(&self, issued: Issued) {
        *self.current.lock().expect(NOTHING_PANICS) = Some(issued);
    }

    /// It could not be renewed yet.
    pub(super) fn put_off(&self, now: Timestamp) {
        if let Some(issued) = self.current.lock().expect(NOTHING_PANICS).as_mut() {
            issued.due_at = later(now, BETWEEN_RENEWALS);
        }
    }
}

pub(super) fn later(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_add(by).unwrap_or(at)
}

const NOTHING_PANICS: &str = "nothing panics while it holds a token";
