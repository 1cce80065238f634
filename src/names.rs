//! Which repositories names refer to, and where issues' pages are. An execution environment keeps what it has read of
//! them, until a pass finds other names.

use std::collections::{HashMap, HashSet};
use std::sync::MutexGuard;

use crate::app::App;
use crate::domain::{ActiveIssue, IssueAddress, KnownNames, RepositoryId, RepositoryName};
use crate::store::StoreError;

/// The repositories with these names, by the name in lower case. `version` is that of the names, which the fleet's state
/// has. A configured name is read once. A name that is not configured may be that of a repository that was renamed, so the
/// first one makes it read all names.
///
/// # Errors
/// [`StoreError`] if the table cannot be read.
pub(crate) async fn ids<'a>(
    app: &App,
    version: &str,
    names: impl Iterator<Item = &'a RepositoryName>,
) -> Result<HashMap<String, RepositoryId>, StoreError> {
    let names: HashSet<&RepositoryName> = names.collect();
    let missing: Vec<&RepositoryName> = {
        let known = known(app);
        names.iter().copied().filter(|name| known.id(name).is_none() && !known.has_all()).collect()
    };
    if missing.iter().any(|name| !is_configured(app, name)) {
        let fleet = app.store.fleet().await?;
        let mut known = known(app);
        for tracked in fleet.repositories.values().filter(|tracked| tracked.untracked.is_none()) {
            known.learn(version, &tracked.name, tracked.id);
        }
        for name in &app.config.repositories {
            if let Some(id) = fleet.names.get(&name.key()).and_then(|known| known.id()) {
                known.learn(version, name, id);
            }
        }
        known.learned_all(version);
    } else if !missing.is_empty() {
        let found = app.store.ids_of(&missing).await?;
        let mut known = known(app);
        for name in missing {
            if let Some(id) = found.get(&name.key()) {
                known.learn(version, name, *id);
            }
        }
    }
    let known = known(app);
    Ok(names.iter().filter_map(|name| Some((name.key(), known.id(name)?))).collect())
}

/// The names that this execution environment has read.
pub(crate) fn known(app: &App) -> MutexGuard<'_, KnownNames> {
    app.known_names.lock().expect("nothing panics while the lock is held")
}

/// Whether `REPOSITORIES` has this name, in any case.
pub(crate) fn is_configured(app: &App, name: &RepositoryName) -> bool {
    app.config.repositories.iter().any(|configured| configured.as_str().eq_ignore_ascii_case(name.as_str()))
}

/// The address of an issue's page; `None` if the execution environment has not read the name of its repository.
pub(crate) fn page(app: &App, issue: ActiveIssue) -> Option<String> {
    let known = known(app);
    let name = known.name(issue.repository)?;
    Some(IssueAddress::page(&app.config.github_server_url, name, issue.number))
}

/// Reads where the pages of these issues are, as far as the execution environment does not know. `version` is that of the
/// names.
///
/// # Errors
/// [`StoreError`] if the table cannot be read.
pub(crate) async fn learn_pages(
    app: &App,
    version: &str,
    issues: impl Iterator<Item = ActiveIssue>,
) -> Result<(), StoreError> {
    known(app).keep(version);
    let unknown = issues.filter(|issue| page(app, *issue).is_none()).map(|issue| issue.repository);
    let unknown: HashSet<RepositoryId> = unknown.collect();
    if unknown.is_empty() {
        return Ok(());
    }
    for tracked in app.store.tracked(&unknown.into_iter().collect::<Vec<_>>()).await? {
        known(app).learn_page(version, &tracked.name, tracked.id);
    }
    Ok(())
}
