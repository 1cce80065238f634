//! Which issues an agent works on: those that its body declares, or those that its item keeps of earlier heartbeats.

use crate::app::App;
use crate::domain::{ActiveIssue, Declaration, HeartbeatBody, IssueAddress, Member, VerdictReason};
use crate::names;
use crate::store::StoreError;

/// An issue that an agent declares, or has declared.
pub(super) struct Declared {
    /// Its address as declared; `None` if only the agent's item names the issue.
    pub(super) url: Option<String>,
    /// The plain address of its page, if it was declared.
    pub(super) page: Option<String>,
    pub(super) target: Target,
}

/// What a declared address refers to.
#[derive(Clone, Copy)]
pub(super) enum Target {
    /// An issue, tracked at least until recently.
    Issue(ActiveIssue),
    /// Nothing that can be judged. The agent's item does not keep such an address.
    Nothing(VerdictReason),
}

impl Declared {
    pub(super) fn issue(&self) -> Option<ActiveIssue> {
        match self.target {
            Target::Issue(issue) => Some(issue),
            Target::Nothing(_) => None,
        }
    }
}

/// The issues that the body declares, or those that are `known` if it says nothing about them. `version` is that of the
/// repositories' names.
pub(super) async fn declared(
    app: &App,
    body: &HeartbeatBody,
    known: &Declaration,
    version: &str,
) -> Result<Vec<Declared>, StoreError> {
    names::known(app).keep(version);
    let urls = match &body.active_issue_urls {
        Member::Absent => {
            let kept = |(issue, _)| Declared { url: None, page: None, target: Target::Issue(issue) };
            return Ok(known.active_issues.iter().map(kept).collect());
        }
        Member::Null => return Ok(Vec::new()),
        Member::Value(urls) => urls,
    };
    let web = &app.config.github_server_url;
    let addresses: Vec<Option<IssueAddress>> = urls.iter().map(|url| IssueAddress::parse(url, web)).collect();
    let ids = names::ids(app, version, addresses.iter().flatten().map(|address| &address.repository)).await?;
    let target = |address: Option<IssueAddress>| match address {
        None => Target::Nothing(VerdictReason::NotAnIssue),
        Some(IssueAddress { repository, number }) => match ids.get(&repository.key()) {
            Some(id) => Target::Issue(ActiveIssue { repository: *id, number }),
            None if names::is_configured(app, &repository) => Target::Nothing(VerdictReason::NotReady),
            None => Target::Nothing(VerdictReason::Untracked),
        },
    };
    let declared = |(url, address): (&String, Option<IssueAddress>)| {
        let page = address.as_ref().map(|issue| IssueAddress::page(web, &issue.repository, issue.number));
        Declared { url: Some(url.clone()), page, target: target(address) }
    };
    Ok(urls.iter().zip(addresses).map(declared).collect())
}
