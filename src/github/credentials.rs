//! The token for GitHub: where it comes from and in which forms.

use std::sync::Arc;

use serde::Deserialize;

use crate::domain::Fingerprint;
use crate::secrets::{CachedSecret, ReadingFailed, Secret, Version};

use super::GitHubError;

/// The secret that holds what GitHub is asked with: the plain token, or `{"token":"…"}`.
#[derive(Debug)]
pub struct Credentials(CachedSecret<Identity>);

/// What one version of the secret says, or why it says nothing of use.
pub type Identity = Result<Token, GitHubError>;

/// A token.
#[derive(Clone, Debug)]
pub struct Token {
    pub(super) token: Secret,
    /// Whose limits it shares.
    pub(super) owner: Fingerprint,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenForm {
    token: String,
}

impl Credentials {
    /// Credentials in that secret, which [`read`] parses.
    pub fn new(secret: CachedSecret<Identity>) -> Self {
        Self(secret)
    }

    pub(super) async fn prefetch(&self) -> Result<(), ReadingFailed> {
        self.0.prefetch().await.map(drop)
    }

    pub(super) async fn current(&self) -> Result<Arc<Version<Identity>>, GitHubError> {
        Ok(self.0.get().await?)
    }

    /// Another version than the one whose token GitHub refused, if the secret has changed since.
    pub(super) async fn instead_of(&self, refused: &Version<Identity>) -> Option<Arc<Version<Identity>>> {
        self.0.reread(refused).await
    }
}

/// Reads a version of the secret.
pub fn read(text: &Secret) -> Identity {
    let token = if text.expose().starts_with('{') {
        let form: TokenForm = serde_json::from_str(text.expose()).map_err(|_| GitHubError::BadCredentials)?;
        Secret::new(form.token.trim())
    } else {
        text.clone()
    };
    // What cannot stand in a header is no token.
    let is_sendable = !token.expose().is_empty() && token.expose().bytes().all(|b| b.is_ascii_graphic());
    let owner = Fingerprint::of(token.expose());
    if is_sendable { Ok(Token { token, owner }) } else { Err(GitHubError::BadCredentials) }
}
