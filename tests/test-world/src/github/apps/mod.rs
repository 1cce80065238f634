//! GitHub Apps: where they are installed, and the tokens that they get there.
//!
//! An installation's token is good for an hour; what it may spend is the installation's, whichever token asks.

mod jwt;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::answer::Answer;
use super::render::About;
use super::repository::Repository;
use super::world::World;

pub use jwt::{APP_KEY, APP_KEY_PKCS8, app_jwt};

use jwt::Word;

/// How tokens of installations begin.
const PREFIX: &str = "ghs_";

/// All Apps.
#[derive(Debug, Default)]
pub(super) struct Apps {
    /// The public key of each. `None` if it was revoked.
    keys: BTreeMap<u64, Option<Vec<u8>>>,
    installations: BTreeMap<u64, Installation>,
    issued: Vec<Issued>,
}

#[derive(Debug)]
struct Installation {
    app: u64,
    /// Whose repositories it may read; everybody's without one.
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
    /// Installs the App of this id, whose key is [`APP_KEY`], and which may read issues and metadata.
    pub fn install_app(&mut self, app: u64, installation: u64) {
        self.install(app, installation, None);
    }

    /// Installs it at this owner's: to the installation all other repositories are not there.
    pub fn install_app_at(&mut self, owner: &str, app: u64, installation: u64) {
        self.install(app, installation, Some(owner.to_owned()));
    }

    fn install(&mut self, app: u64, installation: u64, owner: Option<String>) {
        self.apps.keys.entry(app).or_insert_with(|| Some(jwt::public_key()));
        let fresh = Installation { app, owner, is_suspended: false, may_read_issues: true };
        let taken = self.apps.installations.insert(installation, fresh);
        assert!(taken.is_none(), "there is an installation {installation} already");
    }

    /// Ends an installation. Its tokens are refused with 401, and a request for another with 404.
    pub fn uninstall_app(&mut self, installation: u64) {
        self.apps.installations.remove(&installation);
    }

    /// Makes everything that is asked as the installation answer 403.
    pub fn suspend_installation(&mut self, installation: u64) {
        self.installation_mut(installation).is_suspended = true;
    }

    /// Undoes [`World::suspend_installation`].
    pub fn unsuspend_installation(&mut self, installation: u64) {
        self.installation_mut(installation).is_suspended = false;
    }

    /// Takes the permission to read issues from an installation: they answer 403, and GraphQL `FORBIDDEN`.
    pub fn forbid_issues(&mut self, installation: u64) {
        self.installation_mut(installation).may_read_issues = false;
    }

    /// Undoes [`World::forbid_issues`].
    pub fn allow_issues(&mut self, installation: u64) {
        self.installation_mut(installation).may_read_issues = true;
    }

    /// Leaves an installation this number of REST requests and GraphQL points of 5,000 each until `reset`.
    pub fn set_installation_budget(&mut self, installation: u64, remaining: u64, reset: Timestamp) {
        let payer = payer(installation);
        self.budgets.set_of(payer.clone(), 5_000, remaining, reset);
        self.points.set_of(payer, 5_000, remaining, reset);
    }

    /// Deletes an App with its installations: whatever it asks answers 404.
    pub fn delete_app(&mut self, app: u64) {
        self.apps.keys.remove(&app);
        self.apps.installations.retain(|_, installation| installation.app != app);
    }

    /// Revokes an App's key: what it signs is refused with 401. Tokens stay good.
    pub fn revoke_app_key(&mut self, app: u64) {
        self.apps.keys.insert(app, None);
    }

    /// Undoes [`World::revoke_app_key`].
    pub fn restore_app_key(&mut self, app: u64) {
        self.apps.keys.insert(app, Some(jwt::public_key()));
    }

    /// Makes all tokens of installations answer 401, though their time is not over.
    pub fn revoke_installation_tokens(&mut self) {
        let now = self.now();
        self.apps.issued.iter_mut().for_each(|issued| issued.expires_at = now);
    }

    /// All tokens that installations were ever given, the oldest first.
    pub fn installation_tokens(&self) -> Vec<String> {
        self.apps.issued.iter().map(|issued| issued.token.clone()).collect()
    }

    /// Refuses the token of an installation where it is not good. Other tokens are not looked at.
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

    /// Whose budget a token spends: its own, or its installation's.
    pub(super) fn payer(&self, token: Option<&str>) -> String {
        let token = token.unwrap_or_default();
        match self.installation_of(token) {
            Some((id, _)) => payer(id),
            None => token.to_owned(),
        }
    }

    /// Whether whoever has the token is shown this repository at all.
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

    /// Gives an installation a token, if it is its App that asks.
    pub(super) fn issue_token(&mut self, account_owner: Option<&str>, id: u64) -> Result<Answer, Answer> {
        let refused = |message| Answer::error(401, message, &About::InstallationTokens);
        let now = self.now();
        let word = Word::read(account_owner.unwrap_or_default()).map_err(refused)?;
        let app = word.issuer.parse().ok().and_then(|app| self.apps.keys.get_key_value(&app));
        let Some((app, key)) = app else {
            return Err(Answer::error(404, "Integration not found", &About::InstallationTokens));
        };
        word.verify(key.as_deref().unwrap_or_default(), now).map_err(refused)?;
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

    /// The installation of a token that is good now.
    fn installation_of(&self, token: &str) -> Option<(u64, &Installation)> {
        let now = self.now();
        let issued =
            self.apps.issued.iter().find(|issued| issued.token == token && now < issued.expires_at)?;
        self.apps.installations.get(&issued.installation).map(|found| (issued.installation, found))
    }

    fn installation_mut(&mut self, id: u64) -> &mut Installation {
        let found = self.apps.installations.get_mut(&id);
        found.unwrap_or_else(|| panic!("there is no installation {id}: install the App first"))
    }
}

/// By what the budgets of an installation are kept.
fn payer(installation: u64) -> String {
    format!("installation {installation}")
}

/// Whether a token is of an installation, good or not.
pub(super) fn is_of_installation(token: &str) -> bool {
    token.starts_with(PREFIX)
}

fn suspended() -> Answer {
    Answer::error(403, "This installation has been suspended", &About::InstallationTokens)
}

/// What an installation is answered that lacks the permission.
pub(super) fn not_accessible() -> Answer {
    let answer = Answer::error(403, NOT_ACCESSIBLE, &About::Issue);
    answer.with("x-accepted-github-permissions", "issues=read")
}

/// GitHub's words for that.
pub(super) const NOT_ACCESSIBLE: &str = "Resource not accessible by integration";
