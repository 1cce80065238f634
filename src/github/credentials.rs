//! The token for GitHub: where it comes from and in which forms.

use serde::Deserialize;

use crate::secrets::{CachedSecret, ReadingFailed, Secret};

use super::GitHubError;

/// The secret that holds GitHub's token: the plain token, or `{"token":"…"}`.
#[derive(Debug)]
pub struct Credentials(CachedSecret);

/// A token, with the secret text it was taken from.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) token: Secret,
    text: Secret,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenForm {
    token: String,
}

impl Credentials {
    /// Credentials in that secret.
    pub fn new(secret: CachedSecret) -> Self {
        Self(secret)
    }

    pub(super) async fn prefetch(&self) -> Result<(), ReadingFailed> {
        self.0.prefetch().await
    }

    pub(super) async fn token(&self) -> Result<Token, GitHubError> {
        parse(self.0.get().await?)
    }

    /// Another token than the one GitHub refused, if the secret has changed since.
    pub(super) async fn token_instead_of(&self, refused: &Token) -> Option<Token> {
        parse(self.0.reread(&refused.text).await?).ok()
    }
}

fn parse(text: Secret) -> Result<Token, GitHubError> {
    let token = if text.expose().starts_with('{') {
        let form: TokenForm = serde_json::from_str(text.expose()).map_err(|_| GitHubError::BadCredentials)?;
        Secret::new(form.token.trim())
    } else {
        text.clone()
    };
    // What cannot stand in a header is no token.
    let is_sendable = !token.expose().is_empty() && token.expose().bytes().all(|b| b.is_ascii_graphic());
    if is_sendable { Ok(Token { token, text }) } else { Err(GitHubError::BadCredentials) }
}
