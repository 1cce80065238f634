//! The checkpoints of a tracked repository, and its health.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{IssueNumber, ProblemCode, RepositoryId, RepositoryName, ShortPages, millis, optional_millis};

/// The maximum delay after which GitHub shows a change: anything older is settled.
pub const MAX_LISTING_DELAY: Duration = Duration::from_secs(121);

/// A tracked repository: its name, checkpoints and health.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrackedRepository {
    /// GitHub's id.
    pub id: RepositoryId,
    /// Its name when it was last looked up.
    pub name: RepositoryName,
    /// The newest `updated_at` up to which everything has been read and written; `None` before the first issue is read.
    #[serde(default, with = "optional_millis", skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Timestamp>,
    /// The newest `updated_at` that was read and written although it is after GitHub's `Date`, if any. The cursor stays
    /// before it, because changes until then are newer than the cursor and older than this.
    #[serde(default, with = "optional_millis", skip_serializing_if = "Option::is_none")]
    pub ahead: Option<Timestamp>,
    /// Issues updated at this time or earlier changed before the first listing began; `None` once that is settled.
    #[serde(default, with = "optional_millis", skip_serializing_if = "Option::is_none")]
    pub tracked_since: Option<Timestamp>,
    /// The settled watermark: up to it, GitHub can show no late change. Never after the cursor.
    #[serde(default, with = "optional_millis", skip_serializing_if = "Option::is_none")]
    pub settled: Option<Timestamp>,
    /// The progress of an unfinished listing that began at the settled watermark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settling: Option<Settling>,
    /// The query of the page at which the next listing from the cursor, or the backfill, continues; `None` if it
    /// continues by `updated_at`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_page: Option<String>,
    /// The first listing, while it is unfinished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backfill: Option<Backfill>,
    /// Whether the last listing ended before its last page.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut_short: bool,
    /// The number of cached open issues.
    pub open_count: u64,
    /// Whether a write failed or was rejected since the open issues were last counted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recount: bool,
    /// The fence of the last pass that changed, or may have changed, an issue of the repository; 0 if none did.
    #[serde(default, skip_serializing_if = "is_none_yet")]
    pub last_change_fence: u64,
    /// GitHub's `Date` when the last audit, or the backfill, ended.
    #[serde(default, with = "optional_millis", skip_serializing_if = "Option::is_none")]
    pub audited_at: Option<Timestamp>,
    /// Whether an audit is under way. Its progress is in a separate item.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub audit_under_way: bool,
    /// GitHub's number of open issues minus the cached one after the last audit: the difference that it could not
    /// explain.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unexplained: i64,
    /// GitHub's number of open issues, if the last probe found another difference than `unexplained`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<u64>,
    /// The result of the last audit, if it is on hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<AuditOnHold>,
    /// The page length of its REST listings, if longer pages fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short_pages: Option<ShortPages>,
    /// The page length of its GraphQL listings of open issues, if longer pages fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short_open_pages: Option<ShortPages>,
    /// The issues that a listing contained in an unreadable form, at most [`MAX_UNREAD`]. The checkpoints are past
    /// them, so each is requested by itself until it is read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<UnreadIssue>,
    /// Its current failure, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<RepositoryFailure>,
    /// Since when `REPOSITORIES` does not list it; `None` while it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub untracked: Option<Untracked>,
}

/// Since when a repository is no longer tracked, and whether it was replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Untracked {
    /// The time of the first pass that found it missing from the configuration.
    #[serde(with = "millis")]
    pub since: Timestamp,
    /// Whether its configured name now belongs to another repository, so that its return is not expected.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replaced: bool,
}

impl Untracked {
    /// How long a repository may be missing from `REPOSITORIES` before its issues are reported as hidden: during a
    /// deployment, functions with the old and the new configuration run at the same time.
    const GRACE: Duration = Duration::from_secs(3_600);

    /// Whether its return is no longer expected.
    pub fn is_for_good(&self, now: Timestamp) -> bool {
        self.replaced || self.has_lasted(Self::GRACE, now)
    }

    fn has_lasted(&self, time: Duration, now: Timestamp) -> bool {
        Duration::try_from(now.duration_since(self.since)).is_ok_and(|lasted| lasted >= time)
    }
}

/// The progress of an unfinished first listing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Backfill {
    /// GitHub's `Date` when it began; `None` before.
    #[serde(default, with = "optional_millis", skip_serializing_if = "Option::is_none")]
    pub began_at: Option<Timestamp>,
    /// The newest `updated_at` of the open issues read and written so far.
    #[serde(default, with = "optional_millis", skip_serializing_if = "Option::is_none")]
    pub position: Option<Timestamp>,
}

/// The progress of a listing that began at the settled watermark and was cut off: everything updated before `position`
/// is settled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Settling {
    /// The newest `updated_at` read. Unread issues of the same second may exist.
    #[serde(with = "millis")]
    pub position: Timestamp,
    /// The query of the next page, if more issues share that second than fit on a page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_page: Option<String>,
    /// Whether that second has to be read again: a page of it that was reached by page number contained changes, so
    /// another issue may have moved to a page already read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub crowded: bool,
}

/// Where a listing begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListingStart {
    /// It reads issues updated at this time or later; all issues if `None`.
    pub from: Option<Timestamp>,
    /// The query of its first page, if that is not the first one from there.
    pub next_page: Option<String>,
    /// Whether everything before it is settled, so that its pages move the settled watermark.
    pub settles: bool,
    /// The second that has to be read again.
    pub crowded: Option<Timestamp>,
}

/// A written page, as far as it moves the checkpoints.
#[derive(Clone, Debug)]
pub struct PageRead {
    /// The newest `updated_at` on it; `None` if it is empty.
    pub newest: Option<Timestamp>,
    /// The newest `updated_at` on it that is not after GitHub's `Date`.
    pub newest_by_date: Option<Timestamp>,
    /// Whether it is the last page.
    pub is_last: bool,
    /// The query of the next page, if it can be reached only by page number.
    pub next_page: Option<String>,
}

/// The maximum number of unread issues of a repository. With more, GitHub's responses as a whole count as unreadable,
/// and the repository fails.
pub const MAX_UNREAD: usize = 20;

/// An issue that a listing contained in an unreadable form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnreadIssue {
    /// Its number.
    pub number: IssueNumber,
    /// GitHub's `Date` from which it is requested by itself.
    #[serde(with = "millis")]
    pub ask_at: Timestamp,
    /// Whether it was found by the backfill, whose issues are not reported as opened.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_backfill: bool,
    /// Whether GitHub answered 404 for it once. That may be temporary; a second 404 counts.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_missing: bool,
}

/// Why a repository is not in sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryFailure {
    /// The kind of problem.
    pub code: ProblemCode,
    /// The time of the first pass with this problem.
    #[serde(with = "millis")]
    pub since: Timestamp,
}

/// An audit on hold: the missing issues were not requested one by one, and nothing was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditOnHold {
    /// The number of cached open issues that are missing from GitHub's listing.
    pub absent: u64,
    /// The number of cached open issues.
    pub of: u64,
}

/// One second earlier. GitHub's documentation is inconsistent about whether `since` includes its own second.
pub fn second_before(at: Timestamp) -> Timestamp {
    at.checked_sub(Duration::from_secs(1)).unwrap_or(at)
}

/// The time up to which GitHub shows every change at `date`.
fn before_latest_shown(date: Timestamp) -> Timestamp {
    date.checked_sub(MAX_LISTING_DELAY).unwrap_or(date)
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

fn is_none_yet(fence: &u64) -> bool {
    *fence == 0
}

/// The progress of an unfinished audit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditProgress {
    /// GitHub's `Date` when it began.
    #[serde(default, with = "optional_millis", skip_serializing_if = "Option::is_none")]
    pub began_at: Option<Timestamp>,
    /// The newest `updated_at` up to which GitHub's open issues have been compared.
    #[serde(default, with = "optional_millis", skip_serializing_if = "Option::is_none")]
    pub position: Option<Timestamp>,
    /// Whether an operator confirmed the audit: missing issues are removed, however many there are.
    #[serde(default, rename = "believed")]
    pub confirmed: bool,
    /// Whether the comparison is complete, so that only the candidates are left.
    pub compared: bool,
    /// The cached open issues that are missing from GitHub's listing and still have to be requested one by one. After
    /// the comparison it is a queue; issues whose request failed move to its end.
    pub candidates: Vec<IssueNumber>,
}

impl TrackedRepository {
    /// A repository that has not been read yet.
    pub fn new(id: RepositoryId, name: RepositoryName) -> Self {
        Self {
            id,
            name,
            cursor: None,
            ahead: None,
            tracked_since: None,
            settled: None,
            settling: None,
            next_page: None,
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
            untracked: None,
        }
    }

    /// The repository after it is configured again. Listings continue at its checkpoints, unless it was untracked for
    /// `retention`: then it starts as if it had never been tracked. If its issues may have been reported as hidden, an
    /// audit becomes due, which finds those that are still open.
    pub fn tracked_again(mut self, retention: Duration, now: Timestamp) -> Self {
        let Some(untracked) = self.untracked.take() else { return self };
        if untracked.has_lasted(retention, now) {
            // Cached rows of it may still exist.
            return Self { recount: true, ..Self::new(self.id, self.name) };
        }
        if untracked.is_for_good(now) {
            self.audited_at = None;
        }
        self
    }

    /// Whether a listing is due, given the newest `updated_at` that GitHub shows at `date`: an issue is newer than the
    /// cursor, the last listing was cut short, or changes that GitHub may have shown late can be read now.
    pub fn is_listing_due(&self, newest: Option<Timestamp>, date: Timestamp) -> bool {
        let may_settle = || self.cursor.is_some_and(|cursor| cursor <= before_latest_shown(date));
        self.backfill.is_some()
            || self.cut_short
            || self.settling.is_some()
            || newest > self.cursor
            || (!self.has_settled(newest) && may_settle())
    }

    /// Whether GitHub can show no more late changes, given the newest `updated_at` of an issue that it shows. A pull
    /// request moves the cursor, too, but cannot hide a late change: that would be the newest then.
    pub fn has_settled(&self, newest: Option<Timestamp>) -> bool {
        self.backfill.is_none() && !self.cut_short && self.settled >= newest.min(self.cursor)
    }

    /// Whether GitHub was last seen to have another number of open issues than the last audit can explain, or its audit
    /// is on hold.
    pub fn has_drifted(&self) -> bool {
        self.drift.is_some() || self.held.is_some()
    }

    /// Whether GitHub's number of open issues differs from the cached one only by the unexplained difference of the
    /// last audit.
    pub fn agrees_with(&self, open: u64) -> bool {
        self.difference_to(open) == self.unexplained
    }

    /// Stores the difference that an audit could not explain, so that this difference alone triggers no other audit.
    pub fn note_unexplained(&mut self, open: u64) {
        self.unexplained = self.difference_to(open);
        self.drift = None;
    }

    fn difference_to(&self, open: u64) -> i64 {
        open.cast_signed().saturating_sub(self.open_count.cast_signed())
    }

    /// Where the next listing begins. A backfill continues where it was cut off. A listing of changes continues where
    /// the last one from the settled watermark was cut off, or begins at that watermark. If the last listing was cut
    /// off, unread changes come first: the next one begins at the cursor.
    pub fn listing_start(&self) -> ListingStart {
        if let Some(backfill) = self.backfill {
            let next_page = self.next_page.clone();
            return ListingStart { from: backfill.position, next_page, settles: false, crowded: None };
        }
        let place = self.settling.as_ref();
        let settles = !self.cut_short || place.is_some_and(|place| Some(place.position) == self.cursor);
        match place.filter(|_| settles) {
            Some(place) => ListingStart {
                from: Some(place.position),
                next_page: place.next_page.clone(),
                settles,
                crowded: place.crowded.then_some(place.position),
            },
            None if settles => ListingStart { from: self.settled, next_page: None, settles, crowded: None },
            None => {
                ListingStart { from: self.cursor, next_page: self.next_page.clone(), settles, crowded: None }
            }
        }
    }

    /// Moves the checkpoints after a page of changes was written. `first_date` is the `Date` of the listing's first
    /// response. Each page of a listing that settles moves the settled watermark. A listing that is cut off continues
    /// from there, so that even a very long one ends at some time. The watermark stops one second before a `crowded`
    /// second, which has to be read again.
    pub fn take_page(
        &mut self,
        page: &PageRead,
        settles: bool,
        first_date: Timestamp,
        crowded: Option<Timestamp>,
    ) {
        self.cursor = self.cursor.max(page.newest_by_date);
        self.ahead = self.ahead.max(page.newest).filter(|ahead| Some(*ahead) > self.cursor);
        self.cut_short = !page.is_last;
        // The link continues a listing from the cursor, so it is useful only while the cursor is at the page's newest.
        self.next_page = page.next_page.clone().filter(|_| !settles || page.newest == self.cursor);
        if !settles {
            return;
        }
        let limit = before_latest_shown(first_date);
        let limit = crowded.map_or(limit, |crowded| limit.min(second_before(crowded)));
        self.settling = None;
        if page.is_last {
            self.settle_to(self.cursor.map(|cursor| cursor.min(limit)));
            return;
        }
        let Some(position) = page.newest else { return };
        let all_before = second_before(position);
        self.settle_to(Some(all_before.min(limit)));
        if all_before <= limit {
            let next_page = page.next_page.clone();
            self.settling = Some(Settling { position, next_page, crowded: crowded == Some(position) });
        }
    }

    /// Makes the next listing begin at the first page instead of the page where the last listing was cut off.
    pub fn forget_page(&mut self) {
        self.next_page = None;
        if let Some(settling) = &mut self.settling {
            settling.next_page = None;
        }
    }

    /// Begins the first listing at GitHub's `date`, given the `newest` `updated_at` of all issues. Later changes are
    /// newer than the cursor that this sets, so the first listing of changes finds them.
    pub fn begin(&mut self, newest: Option<Timestamp>, date: Timestamp) {
        self.cursor = newest.map(|newest| newest.min(date));
        self.ahead = newest.filter(|newest| *newest > date);
        // Changes in the second of `date` itself may be before or after it.
        self.tracked_since = self.cursor.max(Some(second_before(date)));
        if let Some(backfill) = &mut self.backfill {
            backfill.began_at = Some(date);
        }
    }

    /// Moves the settled watermark after a complete backfill, which began at `began_at`.
    pub fn settle(&mut self, began_at: Timestamp) {
        self.settle_to(self.cursor.map(|cursor| cursor.min(before_latest_shown(began_at))));
    }

    fn settle_to(&mut self, settled: Option<Timestamp>) {
        self.settled = self.settled.max(settled);
        // Anything updated before the watermark is not reported in any case.
        self.tracked_since = self.tracked_since.filter(|since| Some(*since) > self.settled);
    }

    /// Whether GitHub can show no more late changes.
    pub fn is_settled(&self) -> bool {
        self.backfill.is_none() && !self.cut_short && self.settled == self.cursor
    }
}
