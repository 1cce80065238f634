//! Renders the state as GitHub's JSON: issues, repositories, users, errors.
//!
//! Every field that GitHub's OpenAPI description requires is there. URLs of the API point to this server, URLs of the
//! web site to [`World::web`]. HTTP is elsewhere.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::budget::Budget;
use super::issue::{Issue, State};
use super::repository::Repository;
use super::world::{World, owner_of};

const DOCUMENTATION: &str = "https://docs.github.com";

/// Which page of GitHub's documentation an error points to.
pub(super) enum About {
    Anything,
    Repository,
    Listing,
    Issue,
    Redirects,
    RateLimits,
    GraphQl,
    InstallationTokens,
}

pub(super) fn html_url(world: &World, repository: &Repository, issue: &Issue) -> String {
    let kind = if issue.is_pull_request { "pull" } else { "issues" };
    format!("{}/{}/{kind}/{}", world.web, repository.full_name, issue.number)
}

pub(super) fn issue(world: &World, api: &str, repository: &Repository, issue: &Issue) -> Value {
    let repository_url = format!("{api}/repos/{}", repository.full_name);
    let url = format!("{repository_url}/issues/{}", issue.number);
    let html_url = html_url(world, repository, issue);
    let labels: Vec<Value> =
        issue.labels.iter().map(|name| label(&repository_url, name, repository.labels[name])).collect();
    let assignees: Vec<Value> = issue.assignees.iter().map(|login| user(world, api, login)).collect();
    let mut rendered = json!({
        "url": url,
        "repository_url": repository_url,
        "labels_url": format!("{url}/labels{{/name}}"),
        "comments_url": format!("{url}/comments"),
        "events_url": format!("{url}/events"),
        "timeline_url": format!("{url}/timeline"),
        "html_url": html_url,
        "id": issue.id,
        "node_id": format!("I_{}", issue.id),
        "number": issue.number,
        "title": issue.title,
        "body": issue.body,
        "user": issue.user.as_ref().map(|login| user(world, api, login)),
        "labels": labels,
        "state": match issue.state { State::Open => "open", State::Closed => "closed" },
        "state_reason": issue.state_reason,
        "locked": issue.locked,
        "active_lock_reason": null,
        "assignee": assignees.first(),
        "assignees": assignees,
        "milestone": null,
        "comments": issue.comments,
        "created_at": issue.created_at,
        "updated_at": issue.updated_at,
        "closed_at": issue.closed_at,
        "closed_by": null,
        "author_association": "MEMBER",
        "type": null,
        "performed_via_github_app": null,
        "reactions": {
            "url": format!("{url}/reactions"), "total_count": 0, "+1": 0, "-1": 0, "laugh": 0,
            "hooray": 0, "confused": 0, "heart": 0, "rocket": 0, "eyes": 0,
        },
        "sub_issues_summary": { "total": 0, "completed": 0, "percent_completed": 0 },
        "issue_dependencies_summary": {
            "blocked_by": 0, "total_blocked_by": 0, "blocking": 0, "total_blocking": 0,
        },
    });
    if issue.is_pull_request {
        rendered["draft"] = json!(false);
        rendered["pull_request"] = json!({
            "url": format!("{repository_url}/pulls/{}", issue.number),
            "html_url": html_url,
            "diff_url": format!("{html_url}.diff"),
            "patch_url": format!("{html_url}.patch"),
            "merged_at": null,
        });
    }
    rendered
}

fn label(repository_url: &str, name: &str, id: u64) -> Value {
    json!({
        "id": id,
        "node_id": format!("LA_{id}"),
        "url": format!("{repository_url}/labels/{}", name.replace(' ', "%20")),
        "name": name,
        "color": "ededed",
        "default": false,
        "description": null,
    })
}

fn user(world: &World, api: &str, login: &str) -> Value {
    let id = world.user_ids[login];
    let url = format!("{api}/users/{login}");
    json!({
        "login": login,
        "id": id,
        "node_id": format!("U_{id}"),
        "avatar_url": format!("https://avatars.githubusercontent.com/u/{id}?v=4"),
        "gravatar_id": "",
        "url": url,
        "html_url": format!("{}/{login}", world.web),
        "followers_url": format!("{url}/followers"),
        "following_url": format!("{url}/following{{/other_user}}"),
        "gists_url": format!("{url}/gists{{/gist_id}}"),
        "starred_url": format!("{url}/starred{{/owner}}{{/repo}}"),
        "subscriptions_url": format!("{url}/subscriptions"),
        "organizations_url": format!("{url}/orgs"),
        "repos_url": format!("{url}/repos"),
        "events_url": format!("{url}/events{{/privacy}}"),
        "received_events_url": format!("{url}/received_events"),
        "type": "User",
        "user_view_type": "public",
        "site_admin": false,
    })
}

/// Fields of a repository and the ends of their URLs, which begin with `{repository_url}`.
const REPOSITORY_ADDRESSES: &[(&str, &str)] = &[
    ("url", ""),
    ("archive_url", "/{archive_format}{/ref}"),
    ("assignees_url", "/assignees{/user}"),
    ("blobs_url", "/git/blobs{/sha}"),
    ("branches_url", "/branches{/branch}"),
    ("collaborators_url", "/collaborators{/collaborator}"),
    ("comments_url", "/comments{/number}"),
    ("commits_url", "/commits{/sha}"),
    ("compare_url", "/compare/{base}...{head}"),
    ("contents_url", "/contents/{+path}"),
    ("contributors_url", "/contributors"),
    ("deployments_url", "/deployments"),
    ("downloads_url", "/downloads"),
    ("events_url", "/events"),
    ("forks_url", "/forks"),
    ("git_commits_url", "/git/commits{/sha}"),
    ("git_refs_url", "/git/refs{/sha}"),
    ("git_tags_url", "/git/tags{/sha}"),
    ("hooks_url", "/hooks"),
    ("issue_comment_url", "/issues/comments{/number}"),
    ("issue_events_url", "/issues/events{/number}"),
    ("issues_url", "/issues{/number}"),
    ("keys_url", "/keys{/key_id}"),
    ("labels_url", "/labels{/name}"),
    ("languages_url", "/languages"),
    ("merges_url", "/merges"),
    ("milestones_url", "/milestones{/number}"),
    ("notifications_url", "/notifications{?since,all,participating}"),
    ("pulls_url", "/pulls{/number}"),
    ("releases_url", "/releases{/id}"),
    ("stargazers_url", "/stargazers"),
    ("statuses_url", "/statuses/{sha}"),
    ("subscribers_url", "/subscribers"),
    ("subscription_url", "/subscription"),
    ("tags_url", "/tags"),
    ("teams_url", "/teams"),
    ("trees_url", "/git/trees{/sha}"),
];

const ZERO_COUNTERS: &[&str] = &[
    "forks",
    "forks_count",
    "network_count",
    "size",
    "stargazers_count",
    "subscribers_count",
    "watchers",
    "watchers_count",
];

pub(super) fn repository(world: &World, api: &str, repository: &Repository) -> Value {
    let full_name = &repository.full_name;
    let (owner, name) = (owner_of(full_name), full_name.rsplit('/').next());
    let open_issues = repository.open_count(world.now());
    let web = &world.web;
    let mut rendered = json!({
        "id": repository.id,
        "node_id": format!("R_{}", repository.id),
        "name": name,
        "full_name": full_name,
        "owner": user(world, api, owner),
        "private": false,
        "visibility": "public",
        "description": null,
        "homepage": null,
        "fork": false,
        "created_at": repository.created_at,
        "updated_at": repository.created_at,
        "pushed_at": repository.created_at,
        "default_branch": "main",
        "language": null,
        "license": null,
        "topics": [],
        "archived": repository.archived,
        "disabled": repository.disabled,
        "has_issues": repository.has_issues,
        "open_issues_count": open_issues,
        "open_issues": open_issues,
        "html_url": format!("{web}/{full_name}"),
        "clone_url": format!("{web}/{full_name}.git"),
        "git_url": format!("git://github.com/{full_name}.git"),
        "ssh_url": format!("git@github.com:{full_name}.git"),
        "svn_url": format!("{web}/{full_name}"),
        "mirror_url": null,
    });
    rendered["permissions"] =
        json!({ "admin": false, "maintain": false, "push": false, "triage": false, "pull": true });
    for (field, value) in [
        ("allow_forking", true),
        ("has_discussions", false),
        ("has_downloads", true),
        ("has_pages", false),
        ("has_projects", true),
        ("has_wiki", true),
        ("is_template", false),
        ("web_commit_signoff_required", false),
    ] {
        rendered[field] = json!(value);
    }
    for field in ZERO_COUNTERS {
        rendered[field] = json!(0);
    }
    for (field, address) in REPOSITORY_ADDRESSES {
        rendered[field] = json!(format!("{api}/repos/{full_name}{address}"));
    }
    rendered
}

/// The answer of `/rate_limit`.
pub(super) fn rate_limit(requests: &Budget, points: &Budget) -> Value {
    let rate = |budget: &Budget, resource: &str| {
        json!({
            "limit": budget.limit,
            "remaining": budget.remaining,
            "used": budget.used(),
            "reset": budget.reset.as_second(),
            "resource": resource,
        })
    };
    let core = rate(requests, "core");
    json!({
        "resources": { "core": core, "search": rate(requests, "search"), "graphql": rate(points, "graphql") },
        "rate": core,
    })
}

pub(super) fn error(status: u16, message: &str, about: &About) -> Value {
    json!({ "message": message, "documentation_url": about.url(), "status": status.to_string() })
}

pub(super) fn moved(status: u16, url: &str) -> Value {
    // GitHub uses this message for temporary redirects (307) too.
    let mut rendered = error(status, "Moved Permanently", &About::Redirects);
    rendered["url"] = json!(url);
    rendered
}

pub(super) fn validation_failed(field: &str) -> Value {
    let mut rendered = error(422, "Validation Failed", &About::Listing);
    rendered["errors"] = json!([{ "resource": "Issue", "code": "invalid", "field": field }]);
    rendered
}

/// A time as in the header `Date`: `Tue, 10 Oct 2017 16:00:00 GMT`.
pub(super) fn http_date(time: Timestamp) -> String {
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

impl About {
    fn url(&self) -> String {
        let page = match self {
            Self::Anything => "/rest",
            Self::Repository => "/rest/repos/repos#get-a-repository",
            Self::Listing => "/rest/issues/issues#list-repository-issues",
            Self::Issue => "/rest/issues/issues#get-an-issue",
            Self::Redirects => {
                "/rest/using-the-rest-api/best-practices-for-using-the-rest-api#follow-redirects"
            }
            Self::RateLimits => "/rest/using-the-rest-api/rate-limits-for-the-rest-api",
            Self::GraphQl => "/graphql",
            Self::InstallationTokens => "/rest/apps/apps#create-an-installation-access-token-for-an-app",
        };
        format!("{DOCUMENTATION}{page}")
    }
}
