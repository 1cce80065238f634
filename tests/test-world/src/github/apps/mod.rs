//! GitHub Apps: their installations and the tokens of those.
//!
//! A token of an installation is valid for an hour. All tokens of an installation share its budget.

mod jwt;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::answer::Answer;
use super::render::About;
use super::repository::Repository;
use super::world::World;

pub use jwt::{APP_KEY, APP_KEY_PKCS8, app_jwt};

use jwt::Unverified;

/// The prefix of installations' tokens.
const PREFIX: &str = "ghs_";

/// All Apps.
#[derive(Debug, Default)]
pub(super) struct Apps {
    /// The public key of each App; `None` if it was revoked.
    keys: BTreeMap<u64, Option<Vec<u8>>>,
    installations: BTreeMap<u64, Installation>,
    issued: Vec<Issued>,
}

#[derive(Debug)]
struct Installation {
    app: u64,
    /// The owner whose repositories it may read; `None`: all.
    owner: Option<String>,
    is_suspended: bool,
    may_read_issues: bool,
}

#[derive(Debug)]
struct Issued {
    token: String,
    installation: u64,
    expires_at: Timestamp,
}

impl Apps {
    pub(super) fn rename_owner(&mut self, login: &str, new_login: &str) {
        let owners = self.installations.values_mut().filter_map(|installation| installation.owner.as_mut());
        owners
            .filter(|owner| owner.eq_ignore_ascii_case(login))
            .for_each(|owner| *owner = new_login.to_owned());
    }
}

impl World {
    /// Installs the App with this id. Its key is [`APP_KEY`], and it may read issues and metadata.
    pub fn install_app(&mut self, app: u64, installation: u64) {
        self.install(app, installation, None);
    }

    /// Installs the App for this owner: the installation does not see the private repositories of others.
    pub fn install_app_at(&mut self, owner: &str, app: u64, installation: u64) {
        self.install(app, installation, Some(owner.to_owned()));
    }

    fn install(&mut self, app: u64, installation: u64, owner: Option<String>) {
        self.apps.keys.entry(app).or_insert_with(|| Some(jwt::public_key()));
        let fresh = Installation { app, owner, is_suspended: false, may_read_issues: true };
        let taken = self.apps.installations.insert(installation, fresh);
        assert!(taken.is_none(), "the installation {installation} exists already");
    }

    /// Ends an installation. Its tokens get 401, and a request for another token gets 404.
    pub fn uninstall_app(&mut self, installation: u64) {
        self.apps.installations.remove(&installation);
    }

    /// Suspends an installation: its requests get 403.
    pub fn suspend_installation(&mut self, installation: u64) {
        self.installation_mut(installation).is_suspended = true;
    }

    /// Reverts [`World::suspend_installation`].
    pub fn unsuspend_installation(&mut self, installation: u64) {
        self.installation_mut(installation).is_suspended = false;
    }

    /// Revokes an installation's permission to read issues: requests for them get 403, and GraphQL's error `FORBIDDEN`.
    pub fn forbid_issues(&mut self, installation: u64) {
        self.installation_mut(installation).may_read_issues = false;
    }

    /// Reverts [`World::forbid_issues`].
    pub fn allow_issues(&mut self, installation: u64) {
        self.installation_mut(installation).may_read_issues = true;
    }

    /// Sets what is left of an installation's 5,000 REST requests and 5,000 GraphQL points until `reset`.
    pub fn set_installation_budget(&mut self, installation: u64, remaining: u64, reset: Timestamp) {
        let payer = payer(installation);
        self.budgets.set_of(payer.clone(), 5_000, remaining, reset);
        self.points.set_of(payer, 5_000, remaining, reset);
    }

    /// Deletes an App with its installations: its requests get 404.
    pub fn delete_app(&mut self, app: u64) {
        self.apps.keys.remove(&app);
        self.apps.installations.retain(|_, installation| installation.app != app);
    }

    /// Revokes an App's key: requests signed with it get 401. Tokens stay valid.
    pub fn revoke_app_key(&mut self, app: u64) {
        self.apps.keys.insert(app, None);
    }

    /// Reverts [`World::revoke_app_key`].
    pub fn restore_app_key(&mut self, app: u64) {
        self.apps.keys.insert(app, Some(jwt::public_key()));
    }

    /// Revokes all tokens of installations before they expire: they get 401.
    pub fn revoke_installation_tokens(&mut self) {
        let now = self.now();
        self.apps.issued.iter_mut().for_each(|issued| issued.expires_at = now);
    }

    /// All tokens issued to installations, the oldest first.
    pub fn installation_tokens(&self) -> Vec<String> {
        self.apps.issued.iter().map(|issued| issued.token.clone()).collect()
    }

    /// Checks the token of an installation. Other tokens are not checked.
    ///
    /// # Errors
    ///
    /// GitHub's answer if the token is invalid or the installation is suspended.
    pub(super) fn admit_installation(&self, token: &str) -> Result<(), Answer> {
        if !is_of_installation(token) {
            return Ok(());
        }
        match self.installation_of(token) {
            None => Err(Answer::error(401, "Bad credentials", &About::Anything)),
            Some((_, installation)) if installation.is_suspended => Err(suspended()),
            Some(_) => Ok(()),
        }
    }

    /// The key of the budget that a token spends: the token itself, or its installation.
    pub(super) fn payer(&self, token: Option<&str>) -> String {
        let token = token.unwrap_or_default();
        match self.installation_of(token) {
            Some((id, _)) => payer(id),
            None => token.to_owned(),
        }
    }

    /// Whether this repository is visible with the token.
    pub(super) fn shows(&self, token: Option<&str>, repository: &Repository) -> bool {
        let installation = token.and_then(|token| self.installation_of(token));
        let only = installation.and_then(|(_, installation)| installation.owner.as_deref());
        let (owner, _) = repository.full_name.split_once('/').unwrap_or_default();
        let is_theirs = only.is_none_or(|only| only.eq_ignore_ascii_case(owner));
        repository.visible && (repository.public || is_theirs)
    }

    pub(super) fn may_read_issues(&self, token: Option<&str>) -> bool {
        let installation = token.and_then(|token| self.installation_of(token));
        installation.is_none_or(|(_, installation)| installation.may_read_issues)
    }

    /// Issues a token of an installation to its App, which authenticates with `jwt`.
    ///
    /// # Errors
    ///
    /// GitHub's answer to a request that it rejects.
    pub(super) fn issue_token(&mut self, jwt: Option<&str>, id: u64) -> Result<Answer, Answer> {
        let refused = |message| Answer::error(401, message, &About::InstallationTokens);
        let now = self.now();
        let jwt = Unverified::read(jwt.unwrap_or_default()).map_err(refused)?;
        let app = jwt.issuer.parse().ok().and_then(|app| self.apps.keys.get_key_value(&app));
        let Some((app, key)) = app else {
            return Err(Answer::error(404, "Integration not found", &About::InstallationTokens));
        };
        jwt.verify(key.as_deref().unwrap_or_default(), now).map_err(refused)?;
        let installation = self.apps.installations.get(&id).filter(|installation| installation.app == *app);
        let Some(installation) = installation else {
            return Err(Answer::error(404, "Not Found", &About::InstallationTokens));
        };
        if installation.is_suspended {
            return Err(suspended());
        }
        let expires_at = now + SignedDuration::from_hours(1);
        let token = format!("{PREFIX}{id}n{}notAsecretOfAnyone0123456789", self.apps.issued.len() + 1);
        let mut permissions = json!({ "metadata": "read" });
        if installation.may_read_issues {
            permissions["issues"] = json!("read");
        }
        let answer = json!({
            "token": token,
            "expires_at": expires_at,
            "permissions": permissions,
            "repository_selection": "all",
        });
        self.apps.issued.push(Issued { token, installation: id, expires_at });
        Ok(Answer::json(201, &answer))
    }

    /// The installation of a valid token.
    fn installation_of(&self, token: &str) -> Option<(u64, &Installation)> {
        let now = self.now();
        let issued =
            self.apps.issued.iter().find(|issued| issued.token == token && now < issued.expires_at)?;
        self.apps.installations.get(&issued.installation).map(|found| (issued.installation, found))
    }

    fn installation_mut(&mut self, id: u64) -> &mut Installation {
        let found = self.apps.installations.get_mut(&id);
        found.unwrap_or_else(|| panic!("the installation {id} does not exist: install the App first"))
    }
}

/// The key of an installation's budget.
fn payer(installation: u64) -> String {
    format!("installation {installation}")
}

/// Whether a token is an installation's, valid or not.
pub(super) fn is_of_installation(token: &str) -> bool {
    token.starts_with(PREFIX)
}

fn suspended() -> Answer {
    Answer::error(403, "This installation has been suspended", &About::InstallationTokens)
}

/// The answer to an installation without the permission.
pub(super) fn not_accessible() -> Answer {
    let answer = Answer::error(403, NOT_ACCESSIBLE, &About::Issue);
    answer.with("x-accepted-github-permissions", "issues=read")
}

/// GitHub's message for that.
pub(super) const NOT_ACCESSIBLE: &str = "Resource not accessible by integration";
