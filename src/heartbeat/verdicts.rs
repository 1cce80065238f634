//! What the agent should do about each issue that it works on.
//!
//! While nothing changes in the fleet, an issue with the verdict go needs no read: the agent's item names the version of
//! the copy that its verdicts were made from. For every other issue each heartbeat reads the row, until the agent no longer
//! declares the issue.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use jiff::Timestamp;

use crate::app::App;
use crate::domain::{
    ActiveIssue, ActiveIssues, CachedIssue, Declaration, Fingerprint, Hold, IssueAddress, IssueVerdict,
    JudgedIssues, MAX_ACTIVE_ISSUES, RepositoryId, Standing, Status, TrackedRepository, Verdict,
    VerdictReason,
};
use crate::names;
use crate::store::{LastPass, StoreError};

use super::contract::ActiveIssueVerdict;
use super::declared::{self, Declared, Target};
use super::request::Heartbeat;
use super::served::Served;

/// How long after what GitHub showed it first a pass may end: longer than a pass may take, and than clocks may differ.
const PASS_TIME: Duration = Duration::from_secs(90);

/// If the last pass deferred more repositories than this, a heartbeat does not look them up: all count as deferred.
const MAX_DEFERRED: usize = 50;

/// The verdicts about an agent's active issues.
#[derive(Debug, Default)]
pub(super) struct Verdicts {
    /// In the order of the declaration.
    pub(super) issues: Vec<ActiveIssueVerdict>,
    /// The pages of the kept issues to stop, each once: what the AgentRun keeps.
    pub(super) stop_pages: Vec<String>,
    /// What the agent's item keeps of them; `None` if it keeps what it has.
    pub(super) judged: Option<JudgedIssues>,
}

/// Judges the issues that the agent declares or has declared. Reads nothing for an agent without any.
///
/// # Errors
/// [`StoreError`] if the table cannot be read. Then there is no verdict: none is made up.
pub(super) async fn judge(
    app: &App,
    heartbeat: &Heartbeat<'_>,
    served: &Served,
    hold: Option<&Hold>,
) -> Result<Verdicts, StoreError> {
    let sender = heartbeat.origin.sender().filter(|_| !matches!(served, Served::TableUnavailable));
    let Some(sender) = sender else { return Ok(Verdicts::default()) };
    let before = heartbeat.known.as_ref().map(|known| known.declaration.clone()).unwrap_or_default();
    let login = before.after(sender.body, None, heartbeat.started_at).login;
    let copy = Copy { app, served, login: login.as_deref() };
    let declared = declared::declared(app, sender.body, &before, copy.names()).await?;
    let facts = Facts::read(&copy, &before, &declared).await?;
    let (mut verdicts, mut issues) = (Vec::with_capacity(declared.len()), ActiveIssues::default());
    let mut stop_pages = Vec::new();
    for Declared { url, page, target } in declared {
        let (verdict, url, seen_at) = match target {
            Target::Nothing(reason) => (IssueVerdict::of(reason), url, None),
            Target::Issue(issue) => {
                let (verdict, seen_at) = facts.judge(&copy, issue);
                let page = page.or_else(|| facts.page(&copy, issue));
                let url = url.or_else(|| page.clone());
                let is_new = issues.verdict(issue).is_none();
                if issues.add(issue, verdict.verdict()) {
                    let is_stop = verdict.verdict() == Verdict::Stop || hold.is_some();
                    stop_pages.extend(page.filter(|_| is_new && is_stop));
                    (verdict, url, seen_at)
                } else {
                    (IssueVerdict::of(VerdictReason::TooMany), url, None)
                }
            }
        };
        let is_held = hold.is_some() && verdict.verdict() != Verdict::Stop;
        let verdict = if is_held { IssueVerdict::of(VerdictReason::Held) } else { verdict };
        verdicts.extend(url.map(|url| ActiveIssueVerdict::of(url, verdict, seen_at)));
    }
    let judged = Some(JudgedIssues { issues, version: copy.version() });
    Ok(Verdicts { issues: verdicts, stop_pages, judged })
}

/// The copy of the issues, as this heartbeat found it.
struct Copy<'a> {
    app: &'a App,
    served: &'a Served,
    /// The agent's login at GitHub.
    login: Option<&'a str>,
}

impl Copy<'_> {
    fn last_pass(&self) -> Option<&LastPass> {
        self.served.last_pass()
    }

    /// The version of the repositories' names.
    fn names(&self) -> &str {
        self.last_pass().map_or("", |last_pass| &last_pass.named)
    }

    fn fresh_at(&self) -> Option<Timestamp> {
        self.last_pass().and_then(|last_pass| last_pass.fresh_at)
    }

    /// Changes whenever a verdict may change that lets the agent go on; `None` before the first pass has ended.
    fn version(&self) -> Option<String> {
        let last_pass = self.last_pass()?;
        let fences = [last_pass.last_change_fence, last_pass.search_all_fence, last_pass.retired_fence];
        let mut excluded: Vec<&String> = self.app.config.excluded_labels.iter().collect();
        excluded.sort_unstable();
        let version = Fingerprint::of(&format!("{fences:?} {excluded:?} {:?}", self.login));
        // It is compared with the version of the agent's previous heartbeat alone: 48 bits are plenty.
        Some(version.as_str()[..12].to_owned())
    }

    /// Whether the last pass left every repository that is kept in sync, and is not too long ago.
    fn is_current(&self) -> bool {
        let is_in_sync = |last_pass: &LastPass| {
            let latest_end = last_pass.fresh_at.and_then(|fresh_at| fresh_at.checked_add(PASS_TIME).ok());
            last_pass.status == Status::Ok
                && !last_pass.has_untracked
                && latest_end.is_some_and(|latest| last_pass.at <= latest)
        };
        !self.served.is_stale() && self.last_pass().is_some_and(is_in_sync)
    }
}

/// What the verdicts depend on, as far as it had to be read.
struct Facts {
    /// The issues with the verdict go in the previous heartbeat whose rows have not changed since.
    unchanged: HashSet<ActiveIssue>,
    rows: HashMap<ActiveIssue, CachedIssue>,
    /// How the repositories stand; `None` if all of them are in sync and every row is there.
    repositories: Option<Repositories>,
}

/// How repositories stand, if not all of them are in sync.
struct Repositories {
    tracked: HashMap<RepositoryId, TrackedRepository>,
    /// Those that the last pass left to the next one; `None` if it is not known which.
    deferred: Option<HashSet<RepositoryId>>,
}

impl Facts {
    async fn read(copy: &Copy<'_>, before: &Declaration, declared: &[Declared]) -> Result<Self, StoreError> {
        let store = &copy.app.store;
        let is_same_copy = before.judged_by.is_some() && before.judged_by == copy.version();
        let (mut unchanged, mut unknown) = (HashSet::new(), Vec::new());
        for (issue, url) in declared.iter().filter_map(|declared| Some((declared.issue()?, &declared.url))) {
            let is_seen = unchanged.contains(&issue) || unknown.contains(&issue);
            if is_seen || unchanged.len() + unknown.len() >= MAX_ACTIVE_ISSUES {
                continue;
            }
            let went_on = before.active_issues.verdict(issue) == Some(Verdict::Go);
            if is_same_copy && went_on && (url.is_some() || names::page(copy.app, issue).is_some()) {
                unchanged.insert(issue);
            } else {
                unknown.push(issue);
            }
        }
        let rows = if unknown.is_empty() { HashMap::new() } else { store.active_rows(&unknown).await? };
        for (issue, row) in &rows {
            if let Some(page) = IssueAddress::parse(&row.url, &copy.app.config.github_server_url) {
                names::known(copy.app).learn_page(copy.names(), &page.repository, issue.repository);
            }
        }
        let issues: Vec<ActiveIssue> = unchanged.iter().chain(&unknown).copied().collect();
        let is_enough = issues.is_empty() || (copy.is_current() && rows.len() == unknown.len());
        let repositories = if is_enough { None } else { Some(Repositories::read(copy, &issues).await?) };
        Ok(Self { unchanged, rows, repositories })
    }

    /// The verdict, and up to when GitHub's changes are known in it.
    fn judge(&self, copy: &Copy<'_>, issue: ActiveIssue) -> (IssueVerdict, Option<Timestamp>) {
        let standing = self.standing(copy, issue);
        if self.unchanged.contains(&issue) {
            let reason = IssueVerdict::about_open(standing);
            let seen_at = copy.fresh_at().filter(|_| reason == VerdictReason::Open);
            return (IssueVerdict::of(reason), seen_at);
        }
        let row = self.rows.get(&issue);
        let verdict = IssueVerdict::about(row, standing, copy.login, &copy.app.config.excluded_labels);
        let read_at = row.map(|row| row.read_at);
        (verdict, if standing.is_current { read_at.max(copy.fresh_at()) } else { read_at })
    }

    fn standing(&self, copy: &Copy<'_>, issue: ActiveIssue) -> Standing {
        let Some(repositories) = &self.repositories else {
            return Standing { is_tracked: true, is_ready: true, is_current: true, is_unreadable: false };
        };
        let Some(tracked) = repositories.tracked.get(&issue.repository) else {
            return Standing { is_tracked: true, is_ready: false, is_current: false, is_unreadable: false };
        };
        let is_tracked = tracked.untracked.is_none();
        let is_in_sync = is_tracked
            && tracked.failure.is_none()
            && tracked.backfill.is_none()
            && !tracked.cut_short
            && !tracked.has_drifted()
            && !repositories.is_deferred(tracked.id);
        Standing {
            is_tracked,
            is_ready: tracked.backfill.is_none(),
            is_current: is_in_sync && !copy.served.is_stale(),
            is_unreadable: tracked.unread.iter().any(|unread| unread.number == issue.number),
        }
    }

    /// The address of an issue's page.
    fn page(&self, copy: &Copy<'_>, issue: ActiveIssue) -> Option<String> {
        let of_row = || self.rows.get(&issue).map(|row| row.url.clone());
        let of_repository = || {
            let tracked = self.repositories.as_ref()?.tracked.get(&issue.repository)?;
            Some(IssueAddress::page(&copy.app.config.github_server_url, &tracked.name, issue.number))
        };
        of_row().or_else(|| names::page(copy.app, issue)).or_else(of_repository)
    }
}

impl Repositories {
    async fn read(copy: &Copy<'_>, issues: &[ActiveIssue]) -> Result<Self, StoreError> {
        let store = &copy.app.store;
        let ids: HashSet<RepositoryId> = issues.iter().map(|issue| issue.repository).collect();
        let tracked = store.tracked(&ids.into_iter().collect::<Vec<_>>()).await?;
        Ok(Self {
            tracked: tracked.into_iter().map(|tracked| (tracked.id, tracked)).collect(),
            deferred: deferred(copy).await?,
        })
    }

    fn is_deferred(&self, id: RepositoryId) -> bool {
        self.deferred.as_ref().is_none_or(|deferred| deferred.contains(&id))
    }
}

/// The repositories that the last pass left to the next one; `None` if they are too many to look up, or not recorded.
async fn deferred(copy: &Copy<'_>) -> Result<Option<HashSet<RepositoryId>>, StoreError> {
    let Some(last_pass) = copy.last_pass().filter(|_| !copy.is_current()) else {
        return Ok(Some(HashSet::new()));
    };
    let Some(record) = copy.app.store.pass(last_pass.pass_id).await? else {
        // A pass that deferred nothing and met no problem leaves no record.
        return Ok((last_pass.status == Status::Ok).then(HashSet::new));
    };
    if record.deferred.len() > MAX_DEFERRED {
        return Ok(None);
    }
    let ids = names::ids(copy.app, copy.names(), record.deferred.iter()).await?;
    Ok(Some(ids.into_values().collect()))
}
