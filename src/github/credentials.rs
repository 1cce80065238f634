//! The credentials for GitHub: the secret that holds them, and its forms.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

use crate::domain::{Fingerprint, looks_like, only_value, unwrapped};
use crate::secrets::{CachedSecret, ReadFailed, Secret, Version};

use super::GitHubError;
use super::app_key::AppKey;
use super::error::{BadCredentials, Unauthorized};

/// The secret with the credentials for GitHub: a plain token, `{"token":"…"}`, or a GitHub App,
/// `{"appId":…,"installationId":…,"privateKey":"…"}`, with `"installations":{"acme":…}` in place of the
/// `installationId` where it is installed by several owners.
#[derive(Debug)]
pub struct Credentials(CachedSecret<ParsedCredentials>);

/// The credentials in one version of the secret, or what is wrong with them.
pub type ParsedCredentials = Result<Identity, BadCredentials>;

/// How the service identifies itself to GitHub.
#[derive(Clone, Debug)]
pub enum Identity {
    /// One account for all requests.
    Single(Account),
    /// One account for each owner's repositories, or why there is none, by the owner's login in lower case.
    ByOwner(HashMap<String, Result<Account, BadCredentials>>),
}

/// An account at GitHub: it has limits and budgets of its own.
#[derive(Clone, Debug)]
pub enum Account {
    /// The owner of a token.
    Token(Token),
    /// A GitHub App's installation, which has no lasting token.
    Installation(Installation),
}

/// The token of an `Authorization` header.
#[derive(Clone, Debug)]
pub struct Token {
    pub(super) token: Secret,
    /// Whose limits it is subject to.
    pub(super) account: Fingerprint,
    /// What it means when GitHub refuses it.
    pub(super) refused: Unauthorized,
    /// Until when GitHub may refuse it because not all of its servers know it yet. `None` for a token without expiry.
    pub(super) new_until: Option<Timestamp>,
}

/// Where a GitHub App is installed.
#[derive(Clone, Debug)]
pub struct Installation {
    pub(super) id: u64,
    /// The limits are the installation's: they outlive each of its tokens.
    pub(super) account: Fingerprint,
    pub(super) key: Arc<AppKey>,
    /// The App has limits of its own.
    pub(super) app: Fingerprint,
}

/// The fields of [`Form`]. An object without any of them may contain a form as the value of its only entry.
const FIELDS: [&str; 5] = ["token", "appId", "installationId", "installations", "privateKey"];

/// The fields of all forms, so that an incomplete one is noticed.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Form {
    token: Option<String>,
    app_id: Option<Id>,
    installation_id: Option<Id>,
    installations: Option<Installations>,
    private_key: Option<String>,
}

/// The installations in their order. An owner who is listed twice is here twice.
struct Installations(Vec<(String, Value)>);

/// Where the App is installed.
enum Installed {
    Once(String),
    ByOwner(Installations),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Id {
    Number(u64),
    Text(String),
}

impl Credentials {
    /// Credentials in that secret. [`Identity::read`] parses its versions.
    pub fn new(secret: CachedSecret<ParsedCredentials>) -> Self {
        Self(secret)
    }

    pub(super) async fn prefetch(&self) -> Result<(), ReadFailed> {
        self.0.prefetch().await.map(drop)
    }

    pub(super) async fn current(&self) -> Result<Arc<Version<ParsedCredentials>>, GitHubError> {
        Ok(self.0.get().await?)
    }

    /// Another version than the one that GitHub refused, if the secret has changed since.
    pub(super) async fn newer_than(
        &self,
        refused: &Version<ParsedCredentials>,
    ) -> Option<Arc<Version<ParsedCredentials>>> {
        self.0.reread(refused).await
    }
}

impl Identity {
    /// Parses a version of the secret.
    ///
    /// # Errors
    /// [`BadCredentials`], which names what is wrong and never contains a part of the text.
    pub fn read(text: &Secret) -> ParsedCredentials {
        let text = text.expose();
        let object = serde_json::from_str::<Map<String, Value>>(text).ok();
        let is_known = |object: &&Map<String, Value>| FIELDS.iter().any(|field| object.contains_key(*field));
        match object.as_ref().filter(|object| !is_known(object)).and_then(only_value) {
            Some(only) => Self::read_document(&only),
            None => Self::read_document(text),
        }
    }

    fn read_document(text: &str) -> ParsedCredentials {
        if !text.starts_with('{') {
            return Self::of_token(text);
        }
        let other_form = || BadCredentials::Form(looks_like(text));
        let form: Form = serde_json::from_str(text).map_err(|_| other_form())?;
        let set = |text: Option<String>| text.map(|text| unwrapped(&text)).filter(|text| !text.is_empty());
        let id = |id: Option<Id>| set(id.map(Id::into_text));
        let (token, app_id, key) = (set(form.token), id(form.app_id), set(form.private_key));
        let installed = match (id(form.installation_id), form.installations) {
            (Some(_), Some(_)) => return Err(BadCredentials::OneAndSeveral),
            (Some(id), None) => Some(Installed::Once(id)),
            (None, several) => several.map(Installed::ByOwner),
        };
        match (token, app_id, installed, key) {
            (None, None, None, None) => Err(other_form()),
            (Some(token), None, None, None) => Self::of_token(&token),
            (Some(_), ..) => Err(BadCredentials::TokenAndApp),
            (None, Some(app_id), Some(installed), Some(key)) => Self::of_app(&app_id, installed, &key),
            (None, app_id, installed, key) => {
                let fields = [
                    ("appId", app_id.is_none()),
                    ("installationId or installations", installed.is_none()),
                    ("privateKey", key.is_none()),
                ];
                let missing = fields.into_iter().filter(|(_, is_missing)| *is_missing);
                Err(BadCredentials::Lacks(missing.map(|(field, _)| field).collect()))
            }
        }
    }

    fn of_token(token: &str) -> ParsedCredentials {
        // A token must be valid in a header.
        let form = looks_like(token);
        if form.is_some() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(BadCredentials::Form(form));
        }
        Ok(Self::Single(Account::Token(Token {
            token: Secret::new(token),
            account: Fingerprint::of(token),
            refused: Unauthorized::Token,
            new_until: None,
        })))
    }

    fn of_app(app_id: &str, installed: Installed, key: &str) -> ParsedCredentials {
        let is_an_id = app_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
        if !is_an_id {
            return Err(BadCredentials::AppId);
        }
        let key = Arc::new(AppKey::read(app_id, key).map_err(BadCredentials::PrivateKey)?);
        let installation = |id: u64| {
            Account::Installation(Installation {
                id,
                account: Fingerprint::of(&format!("installation {id}")),
                key: Arc::clone(&key),
                app: Fingerprint::of(&format!("app {app_id}")),
            })
        };
        match installed {
            Installed::Once(id) => {
                let id = id.parse().map_err(|_| BadCredentials::InstallationId)?;
                Ok(Self::Single(installation(id)))
            }
            Installed::ByOwner(Installations(entries)) if entries.is_empty() => Err(BadCredentials::NoOwner),
            Installed::ByOwner(Installations(entries)) => {
                let mut by_owner = HashMap::new();
                for (owner, id) in entries {
                    let owner = owner.trim().to_ascii_lowercase();
                    let account = whole_number(&id).map(installation);
                    let account = account.ok_or_else(|| BadCredentials::InstallationIdOf(owner.clone()));
                    let twice =
                        by_owner.contains_key(&owner).then(|| BadCredentials::TwiceInstalled(owner.clone()));
                    by_owner.insert(owner, twice.map_or(account, Err));
                }
                Ok(Self::ByOwner(by_owner))
            }
        }
    }

    /// The account that requests this owner's repositories.
    pub(super) fn account(&self, owner: &str) -> Result<&Account, BadCredentials> {
        match self {
            Self::Single(account) => Ok(account),
            Self::ByOwner(by_owner) => match by_owner.get(&owner.to_ascii_lowercase()) {
                Some(Ok(account)) => Ok(account),
                Some(Err(bad)) => Err(bad.clone()),
                None => Err(BadCredentials::NotInstalled(owner.to_owned())),
            },
        }
    }
}

impl Account {
    /// Its fingerprint, under which its limits are stored.
    pub(super) fn fingerprint(&self) -> &Fingerprint {
        match self {
            Self::Token(token) => &token.account,
            Self::Installation(installation) => &installation.account,
        }
    }

    /// The account that such a refusal is about: the App with all its installations, or this account alone.
    pub(super) fn refused_account(&self, refused: Unauthorized) -> &Fingerprint {
        match (self, refused) {
            (Self::Installation(installation), Unauthorized::App) => &installation.app,
            _ => self.fingerprint(),
        }
    }

    /// Whether this is that account, or an installation of that App.
    pub(super) fn is_or_belongs_to(&self, other: &Fingerprint) -> bool {
        self.fingerprint() == other || self.refused_account(Unauthorized::App) == other
    }
}

/// A number, or a text with a number.
fn whole_number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| unwrapped(value.as_str()?).parse().ok())
}

// Not a map: it would silently drop the first of two entries for an owner.
impl<'de> Deserialize<'de> for Installations {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Installations;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of owners and installations' ids")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Installations, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Installations(entries))
            }
        }

        deserializer.deserialize_map(Entries)
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
