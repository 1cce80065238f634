//! How far a repository has been read, and what is known of its health.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{IssueNumber, ProblemCode, RepositoryId, RepositoryName, ShortPages, millis, optional_millis};

/// GitHub shows a change at most so late: what is older than this is settled.
const LATEST_SHOWN: Duration = Duration::from_secs(121);

/// A tracked repository: its name, its marks and its health.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrackedRepository {
    /// GitHub's id.
    pub id: RepositoryId,
    /// Its name when it was last looked up.
    pub name: RepositoryName,
    /// The newest `updated_at` up to which everything has been read and written; none while nothing was ever
    /// seen in it.
    #[serde(default, with = "optional_millis", skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Timestamp>,
    /// The mark, at or before the cursor, behind which GitHub can show nothing late any more.
    #[serde(default, with = "optional_millis", skip_serializing_if = "Option::is_none")]
    pub settled: Option<Timestamp>,
    /// The first listing while it is not finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backfill: Option<Backfill>,
    /// Whether the last listing ended before its last page.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut_short: bool,
    /// How many cached issues are open.
    pub open_count: u64,
    /// Whether a write failed or was refused since the open issues were last counted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recount: bool,
    /// The fence of the last pass that changed an issue here, or may have.
    #[serde(default)]
    pub last_change_fence: u64,
    /// GitHub's `Date` when the last audit ended, or the backfill did.
    #[serde(default, with = "optional_millis", skip_serializing_if = "Option::is_none")]
    pub audited_at: Option<Timestamp>,
    /// Whether an audit is under way, with its progress in an item of its own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub audit_under_way: bool,
    /// GitHub's number of open issues less the cached one, as the last audit left it: what it could not explain.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unexplained: i64,
    /// GitHub's number of open issues when the last probe found another difference than that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<u64>,
    /// What the last audit found, when it was too much to be believed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<HeldAudit>,
    /// The pages of its listings by the REST API, where long ones fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short_pages: Option<ShortPages>,
    /// The pages of its open issues by the GraphQL API, where long ones fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short_open_pages: Option<ShortPages>,
    /// The issues that a listing showed in a form that cannot be read, at most [`MAX_UNREAD`]. The checkpoints have
    /// passed them, so each is asked for by itself until it is read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<UnreadIssue>,
    /// What is wrong with it, and since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<RepositoryFailure>,
}

/// A first listing under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Backfill {
    /// GitHub's `Date` when it began; none before.
    #[serde(default, with = "optional_millis", skip_serializing_if = "Option::is_none")]
    pub began_at: Option<Timestamp>,
    /// The newest `updated_at` of an open issue read and written so far.
    #[serde(default, with = "optional_millis", skip_serializing_if = "Option::is_none")]
    pub position: Option<Timestamp>,
}

/// How many issues of a repository may be unread. With more, it is GitHub's answers that cannot be read, and the
/// repository fails.
pub const MAX_UNREAD: usize = 20;

/// An issue that a listing showed in a form that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnreadIssue {
    /// Its number.
    pub number: IssueNumber,
    /// GitHub's `Date` from which it is asked for by itself.
    #[serde(with = "millis")]
    pub ask_at: Timestamp,
    /// Whether the first listing met it, whose issues are not reported as opened.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_backfill: bool,
    /// Whether GitHub answered 404 for it. That may pass; another one is believed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_missing: bool,
}

/// Why a repository is not in step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryFailure {
    /// The kind of problem.
    pub code: ProblemCode,
    /// The first pass's time that met it.
    #[serde(with = "millis")]
    pub since: Timestamp,
}

/// An audit that was held: nothing was asked for, and nothing removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldAudit {
    /// How many cached open issues GitHub did not list.
    pub absent: u64,
    /// How many there were.
    pub of: u64,
}

/// One second before: whether GitHub's `since` includes its own second, its texts tell differently.
pub fn second_before(at: Timestamp) -> Timestamp {
    at.checked_sub(Duration::from_secs(1)).unwrap_or(at)
}

/// Up to here GitHub shows everything at `date`.
fn before_latest_shown(date: Timestamp) -> Timestamp {
    date.checked_sub(LATEST_SHOWN).unwrap_or(date)
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// What a pass leaves of an audit that it could not finish.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditProgress {
    /// GitHub's `Date` when it began.
    #[serde(default, with = "optional_millis", skip_serializing_if = "Option::is_none")]
    pub began_at: Option<Timestamp>,
    /// The newest `updated_at` up to which GitHub's open issues have been compared.
    #[serde(default, with = "optional_millis", skip_serializing_if = "Option::is_none")]
    pub position: Option<Timestamp>,
    /// Whether an operator said that whatever is absent is to be believed.
    #[serde(default)]
    pub believed: bool,
    /// Whether the comparison reached its end, so that only asking is left.
    pub compared: bool,
    /// The cached open issues that GitHub did not list and that are still to be asked for; ascending once all is
    /// compared.
    pub candidates: Vec<IssueNumber>,
}

impl TrackedRepository {
    /// A repository that was never read.
    pub fn new(id: RepositoryId, name: RepositoryName) -> Self {
        Self {
            id,
            name,
            cursor: None,
            settled: None,
            backfill: Some(Backfill::default()),
            cut_short: false,
            open_count: 0,
            recount: false,
            last_change_fence: 0,
            audited_at: None,
            audit_under_way: false,
            unexplained: 0,
            drift: None,
            held: None,
            short_pages: None,
            short_open_pages: None,
            unread: Vec::new(),
            failure: None,
        }
    }

    /// Whether a listing is due, given the newest `updated_at` that GitHub shows at `date`: something is newer than
    /// the cursor, the last listing was cut short, or what may have been shown late is to be read by now.
    pub fn is_listing_due(&self, newest: Option<Timestamp>, date: Timestamp) -> bool {
        let may_settle = || self.cursor.is_some_and(|cursor| cursor <= before_latest_shown(date));
        self.backfill.is_some()
            || self.cut_short
            || newest > self.cursor
            || (!self.has_settled(newest) && may_settle())
    }

    /// Whether nothing is left that GitHub might show late, given the newest `updated_at` of an issue that it shows: a
    /// pull request, which moves the cursor as well, leaves nothing. What is shown late is the newest then.
    pub fn has_settled(&self, newest: Option<Timestamp>) -> bool {
        self.backfill.is_none() && !self.cut_short && self.settled >= newest.min(self.cursor)
    }

    /// Whether GitHub's number of open issues differs from the cached one by exactly what the last audit left.
    pub fn agrees_with(&self, open: u64) -> bool {
        self.difference_to(open) == self.unexplained
    }

    /// Notes the difference that an audit leaves, so that it alone causes no other.
    pub fn note_unexplained(&mut self, open: u64) {
        self.unexplained = self.difference_to(open);
        self.drift = None;
    }

    fn difference_to(&self, open: u64) -> i64 {
        open.cast_signed().saturating_sub(self.open_count.cast_signed())
    }

    /// From where the next listing reads: the settled mark, or the cursor after a listing that was cut short.
    pub fn listing_start(&self) -> Option<Timestamp> {
        if self.cut_short { self.cursor } else { self.settled }
    }

    /// Moves the cursor forward to what a page brought; never back.
    pub fn advance(&mut self, newest: Option<Timestamp>) {
        self.cursor = self.cursor.max(newest);
    }

    /// Moves the settled mark after a complete listing from it, whose first answer bore `first_date`, but not past a
    /// second that is to be read once more.
    pub fn settle(&mut self, first_date: Timestamp, crowded: Option<Timestamp>) {
        let shown_by_then = before_latest_shown(first_date);
        let settled = self.cursor.map(|cursor| cursor.min(shown_by_then).min(crowded.unwrap_or(cursor)));
        self.settled = self.settled.max(settled);
    }

    /// Whether nothing is left that GitHub might show late.
    pub fn is_settled(&self) -> bool {
        self.backfill.is_none() && !self.cut_short && self.settled == self.cursor
    }
}
