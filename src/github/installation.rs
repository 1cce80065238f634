//! The tokens of a GitHub App's installations, shared by all passes of this execution environment.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;

use crate::domain::Fingerprint;

use super::credentials::{Installation, Token};

/// The shortest time between two renewals of a token that is still valid.
pub(super) const BETWEEN_RENEWALS: Duration = Duration::from_secs(30);

/// The tokens of all installations that this execution environment has.
#[derive(Debug, Default)]
pub(super) struct InstallationTokens(Mutex<HashMap<Fingerprint, Arc<InstallationToken>>>);

/// The token of one installation.
#[derive(Debug, Default)]
pub(super) struct InstallationToken {
    current: Mutex<Option<Issued>>,
    /// Locked while a token is requested, so that many callers cause one request.
    pub(super) requesting: tokio::sync::Mutex<()>,
}

#[derive(Clone, Debug)]
pub(super) struct Issued {
    pub(super) token: Token,
    /// When it should be renewed. It stays usable until it expires.
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
    /// The current token, if it has not expired.
    pub(super) fn unexpired(&self, now: Timestamp) -> Option<Issued> {
        self.current.lock().expect(NOTHING_PANICS).clone().filter(|issued| now < issued.expires_at)
    }

    pub(super) fn keep(&self, issued: Issued) {
        *self.current.lock().expect(NOTHING_PANICS) = Some(issued);
    }

    /// Waits with the next renewal, because this one failed.
    pub(super) fn postpone_renewal(&self, now: Timestamp) {
        if let Some(issued) = self.current.lock().expect(NOTHING_PANICS).as_mut() {
            issued.due_at = later(now, BETWEEN_RENEWALS);
        }
    }
}

pub(super) fn later(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_add(by).unwrap_or(at)
}

const NOTHING_PANICS: &str = "nothing panics while it holds a token";
