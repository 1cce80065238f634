//! What GitHub is asked with: where it comes from and in which forms.

use std::sync::Arc;

use serde::Deserialize;

use crate::domain::Fingerprint;
use crate::secrets::{CachedSecret, ReadingFailed, Secret, Version};

use super::GitHubError;
use super::app_key::{AppKey, NoKey};
use super::error::{BadCredentials, Unauthorized};

/// The secret that holds what GitHub is asked with: a plain token, `{"token":"…"}`, or a GitHub App,
/// `{"appId":…,"installationId":…,"privateKey":"…"}`.
#[derive(Debug)]
pub struct Credentials(CachedSecret<Reading>);

/// What one version of the secret says, or why it says nothing of use.
pub type Reading = Result<Identity, BadCredentials>;

/// As whom GitHub is asked.
#[derive(Clone, Debug)]
pub enum Identity {
    /// Whoever the token is of.
    Token(Token),
    /// A GitHub App's installation, which has no lasting token.
    Installation(Installation),
}

/// What an `Authorization` header bears.
#[derive(Clone, Debug)]
pub struct Token {
    pub(super) token: Secret,
    /// Whose limits it is subject to.
    pub(super) owner: Fingerprint,
    /// What it means when GitHub refuses it.
    pub(super) refused: Unauthorized,
}

/// Where a GitHub App is installed.
#[derive(Clone, Debug)]
pub struct Installation {
    pub(super) id: u64,
    /// The limits are the installation's: they outlive each of its tokens.
    pub(super) owner: Fingerprint,
    pub(super) key: Arc<AppKey>,
    /// The App has limits of its own.
    pub(super) app: Fingerprint,
}

/// All forms at once, so that half of one is noticed.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Form {
    token: Option<String>,
    app_id: Option<Id>,
    installation_id: Option<Id>,
    private_key: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Id {
    Number(u64),
    Text(String),
}

impl Credentials {
    /// Credentials in that secret, whose versions [`Identity::read`] reads.
    pub fn new(secret: CachedSecret<Reading>) -> Self {
        Self(secret)
    }

    pub(super) async fn prefetch(&self) -> Result<(), ReadingFailed> {
        self.0.prefetch().await.map(drop)
    }

    pub(super) async fn current(&self) -> Result<Arc<Version<Reading>>, GitHubError> {
        Ok(self.0.get().await?)
    }

    /// Another version than the one that GitHub refused, if the secret has changed since.
    pub(super) async fn instead_of(&self, refused: &Version<Reading>) -> Option<Arc<Version<Reading>>> {
        self.0.reread(refused).await
    }
}

impl Identity {
    /// Reads a version of the secret.
    pub fn read(text: &Secret) -> Reading {
        if !text.expose().starts_with('{') {
            return Self::of_token(text.expose());
        }
        let form: Form = serde_json::from_str(text.expose()).map_err(|_| BadCredentials::Form)?;
        let set =
            |text: Option<String>| text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let id = |id: Option<Id>| set(id.map(Id::into_text));
        let (token, app_id, key) = (set(form.token), id(form.app_id), set(form.private_key));
        let installation_id = id(form.installation_id);
        match (token, app_id, installation_id, key) {
            (None, None, None, None) => Err(BadCredentials::Form),
            (Some(token), None, None, None) => Self::of_token(&token),
            (Some(_), ..) => Err(BadCredentials::TokenAndApp),
            (None, Some(app_id), Some(installation_id), Some(key)) => {
                Self::of_app(&app_id, &installation_id, &key)
            }
            (None, app_id, installation_id, key) => {
                let fields = [
                    ("appId", app_id.is_none()),
                    ("installationId", installation_id.is_none()),
                    ("privateKey", key.is_none()),
                ];
                let missing = fields.into_iter().filter(|(_, is_missing)| *is_missing);
                Err(BadCredentials::Lacks(missing.map(|(field, _)| field).collect()))
            }
        }
    }

    fn of_token(token: &str) -> Reading {
        // What cannot stand in a header is no token.
        let is_sendable = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_sendable {
            return Err(BadCredentials::Form);
        }
        Ok(Self::Token(Token {
            token: Secret::new(token),
            owner: Fingerprint::of(token),
            refused: Unauthorized::Token,
        }))
    }

    fn of_app(app_id: &str, installation_id: &str, key: &str) -> Reading {
        let is_an_id = app_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
        if !is_an_id {
            return Err(BadCredentials::AppId);
        }
        let id = installation_id.parse().map_err(|_| BadCredentials::InstallationId)?;
        Ok(Self::Installation(Installation {
            id,
            owner: Fingerprint::of(&format!("installation {id}")),
            key: Arc::new(AppKey::read(app_id, key).map_err(|NoKey| BadCredentials::PrivateKey)?),
            app: Fingerprint::of(&format!("app {app_id}")),
        }))
    }
}

impl Id {
    fn into_text(self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text,
        }
    }
}
