//! One complete item of each kind whose type allows it: every optional field is present. A new field must be written
//! here before the tests compile.

use agent_heartbeat::domain::{
    AccountLimits, AgentRun, Api, AuditOnHold, AuditProgress, Backfill, Backoff, Budget, CachedIssue, Change,
    ChangeMarker, Fingerprint, Gone, IssueNumber, IssueState, PassHours, ProbeMemory, ProblemCode,
    QueryLimit, Removal, RepositoryFailure, RepositoryId, RepositoryName, RunType, Settling, ShortPages,
    Status, TrackedRepository, UnreadIssue, Untracked, WorkStatus,
};
use agent_heartbeat::store::{ConfiguredName, LastPass, NameTarget, PassRecord, RecentChanges};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::support::app::START;

fn at() -> Timestamp {
    START.parse().expect("an instant")
}

fn value(of: impl Serialize) -> Value {
    serde_json::to_value(of).expect("JSON")
}

pub fn issue() -> Value {
    value(CachedIssue {
        number: IssueNumber(1),
        title: "A title".to_owned(),
        url: "https://github.com/acme/api/issues/1".to_owned(),
        state: IssueState::Closed,
        state_reason: Some("completed".to_owned()),
        status: Some(WorkStatus::Done),
        labels: Vec::new(),
        assignees: Vec::new(),
        author: Some("octocat".to_owned()),
        created_at: at(),
        updated_at: at(),
        closed_at: Some(at()),
        digest: String::new(),
        read_at: at(),
        gone: Some(Gone { removal: Removal::Moved { to: Some("elsewhere".to_owned()) }, proved_at: at() }),
        moved_to: Some("elsewhere".to_owned()),
        missing_since: Some(at()),
        change_marker: ChangeMarker { fence: Some(1), kind: Some(Change::Closed), kind_fence: Some(1) },
        revision: 1,
    })
}

pub fn run() -> Value {
    value(AgentRun {
        run_id: Uuid::nil(),
        agent_name: "alpha".to_owned(),
        run_type: RunType::Heartbeat,
        status: Some(Status::Ok),
        started_at: at(),
        finished_at: Some(at()),
        summary: String::new(),
        warnings: Vec::new(),
        errors: Vec::new(),
        touched_issue_urls: Vec::new(),
        stop_issue_urls: vec![String::new()],
        touched_count: 0,
        pass_id: Some(Uuid::nil()),
        coalesced: false,
    })
}

fn repository() -> Value {
    value(TrackedRepository {
        id: RepositoryId(1),
        name: RepositoryName::parse("acme/api").expect("a name"),
        cursor: Some(at()),
        ahead: Some(at()),
        tracked_since: Some(at()),
        settled: Some(at()),
        settling: Some(Settling { position: at(), next_page: Some(String::new()), crowded: true }),
        next_page: Some(String::new()),
        backfill: Some(Backfill { began_at: Some(at()), position: Some(at()) }),
        cut_short: true,
        open_count: 1,
        recount: true,
        last_change_fence: 1,
        audited_at: Some(at()),
        audit_under_way: true,
        unexplained: 1,
        drift: Some(1),
        held: Some(AuditOnHold { absent: 1, of: 1 }),
        short_pages: Some(ShortPages { length: 1, since: at(), wait: 60 }),
        short_open_pages: Some(ShortPages { length: 1, since: at(), wait: 60 }),
        unread: vec![UnreadIssue {
            number: IssueNumber(1),
            ask_at: at(),
            in_backfill: true,
            is_missing: true,
        }],
        failure: Some(RepositoryFailure { code: ProblemCode::RepositoryNotFound, since: at() }),
        untracked: Some(Untracked { since: at(), replaced: true }),
    })
}

fn backoff() -> Backoff {
    Backoff { until: at(), times: 1 }
}

fn ended() -> Value {
    let mut limits = AccountLimits::of(&Fingerprint::of("a token"));
    limits.throttle(at());
    for api in [Api::Rest, Api::GraphQl] {
        limits.note(api, Budget { limit: 1, remaining: 0, resets_at: at() });
    }
    value(LastPass {
        pass_id: Uuid::nil(),
        fence: 1,
        at: at(),
        status: Status::Ok,
        fresh_at: Some(at()),
        freshness_seconds: 30,
        last_change_fence: 1,
        recent: RecentChanges::after(1).with([RepositoryId(1)], 2, 1),
        search_all_fence: 1,
        counts_lag: true,
        retired_fence: 1,
        listed: String::new(),
        has_untracked: true,
        named: String::new(),
        problems_from: Some(Uuid::nil()),
        hours: PassHours::default().with(at(), Status::Ok, None),
        limits: vec![limits],
        probe: ProbeMemory::new(vec![QueryLimit { account: None, size: 1, backoff: backoff() }], true),
    })
}

/// All of them, and each nested one by itself.
pub fn all() -> Vec<Value> {
    let audit = AuditProgress {
        began_at: Some(at()),
        position: Some(at()),
        confirmed: true,
        compared: true,
        candidates: vec![IssueNumber(1)],
    };
    let name = ConfiguredName {
        target: NameTarget::Missing { why: ProblemCode::RepositoryNotFound, since: Some(at()) },
        by_rest: Some(backoff()),
    };
    let pass = PassRecord {
        pass_id: Uuid::nil(),
        fence: 1,
        started_at: at(),
        ended_at: at(),
        status: Status::Ok,
        summary: String::new(),
        problems: Vec::new(),
        touched: 0,
        deferred: Vec::new(),
        github_requests: 1,
    };
    vec![issue(), run(), repository(), ended(), value(audit), value(name), value(pass)]
}
