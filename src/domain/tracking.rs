//! How far a repository has been read, and what is known of its health.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{IssueNumber, ProblemCode, RepositoryId, RepositoryName, ShortPages, millis, optional_millis};

/// GitHub shows a change at most so late: what is older than this is settled.
pub const LATEST_SHOWN: Duration = Duration::from_secs(121);

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
    /// The newest `updated_at` that was read and written although it lies after GitHub's `Date`; none when none does.
    /// The cursor stays before it: what changes until then is newer than the cursor and older than this.
    #[serde(default, with = "optional_millis", skip_serializing_if = "Option::is_none")]
    pub ahead: Option<Timestamp>,
    /// What was updated then or earlier changed before the first listing began; none once that is settled.
    #[serde(default, with = "optional_millis", skip_serializing_if = "Option::is_none")]
    pub tracked_since: Option<Timestamp>,
    /// The mark, at or before the cursor, behind which GitHub can show nothing late any more.
    #[serde(default, with = "optional_millis", skip_serializing_if = "Option::is_none")]
    pub settled: Option<Timestamp>,
    /// How far beyond the settled watermark an unfinished listing that began there has come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settling: Option<Settling>,
    /// The query of the page with which the next listing from the cursor, or the backfill, continues; none when it
    /// continues by `updated_at`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_page: Option<String>,
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
    /// The fence of the last pass that changed an issue here, or may have; 0 when none did.
    #[serde(default, skip_serializing_if = "is_none_yet")]
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
    /// Since when `REPOSITORIES` does not name it; none while it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub untracked: Option<Untracked>,
}

/// A repository that is not tracked any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Untracked {
    /// The time of the first pass that did not find it configured.
    #[serde(with = "millis")]
    pub since: Timestamp,
    /// Whether its configured name stands for another repository now, so that nobody waits for its return.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replaced: bool,
}

impl Untracked {
    /// How long a repository may be missing from `REPOSITORIES` before its issues are reported as hidden: functions that
    /// are deployed one after the other disagree about it for a while.
    const GRACE: Duration = Duration::from_secs(3_600);

    /// Whether it is not expected back.
    pub fn is_for_good(&self, now: Timestamp) -> bool {
        self.replaced || self.has_lasted(Self::GRACE, now)
    }

    fn has_lasted(&self, time: Duration, now: Timestamp) -> bool {
        Duration::try_from(now.duration_since(self.since)).is_ok_and(|lasted| lasted >= time)
    }
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

/// The progress of a listing that began at the settled watermark and was cut off: all that was updated before
/// `position` is settled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Settling {
    /// The newest `updated_at` read. Issues of that second may be left.
    #[serde(with = "millis")]
    pub position: Timestamp,
    /// The query of the next page, when more issues share that second than fit on a page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_page: Option<String>,
    /// Whether that second has to be read once more: a page of it that was reached by its position brought changes, so
    /// another issue may have slipped onto a page already read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub crowded: bool,
}

/// Where a listing begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListingStart {
    /// It reads what was updated then or later; everything when `None`.
    pub from: Option<Timestamp>,
    /// The query of its first page, when that is not the first one from there.
    pub next_page: Option<String>,
    /// Whether all before it is settled, so that its pages move the settled watermark.
    pub settles: bool,
    /// The second that has to be read once more.
    pub crowded: Option<Timestamp>,
}

/// What the checkpoints need to know of a page that was written.
#[derive(Clone, Debug)]
pub struct PageRead {
    /// The newest `updated_at` on it; none on an empty page.
    pub newest: Option<Timestamp>,
    /// The newest one on it that is not after GitHub's `Date`.
    pub newest_by_date: Option<Timestamp>,
    /// Whether it is the last page.
    pub is_last: bool,
    /// The query of the next page, when only its position leads there.
    pub next_page: Option<String>,
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

fn is_none_yet(fence: &u64) -> bool {
    *fence == 0
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
    /// The cached open issues that GitHub did not list and that are still to be asked for: a queue once all is compared,
    /// with those at its back that were asked for in vain.
    pub candidates: Vec<IssueNumber>,
}

impl TrackedRepository {
    /// A repository that was never read.
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

    /// The repository once it is configured again. Its checkpoints tell what is to be read, unless they are older than
    /// `retention`: then it is read as if it had never been tracked. When its issues may have been reported as hidden,
    /// an audit is due, which finds those that are still open.
    pub fn tracked_again(mut self, retention: Duration, now: Timestamp) -> Self {
        let Some(untracked) = self.untracked.take() else { return self };
        if untracked.has_lasted(retention, now) {
            // Rows of it may be left.
            return Self { recount: true, ..Self::new(self.id, self.name) };
        }
        if untracked.is_for_good(now) {
            self.audited_at = None;
        }
        self
    }

    /// Whether a listing is due, given the newest `updated_at` that GitHub shows at `date`: something is newer than
    /// the cursor, the last listing was cut short, or what may have been shown late is to be read by now.
    pub fn is_listing_due(&self, newest: Option<Timestamp>, date: Timestamp) -> bool {
        let may_settle = || self.cursor.is_some_and(|cursor| cursor <= before_latest_shown(date));
        self.backfill.is_some()
            || self.cut_short
            || self.settling.is_some()
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

    /// Where the next listing begins. A backfill continues where it was cut off. A listing of all changes continues where
    /// the last one from the settled watermark was cut off, or begins at that watermark. When the last listing was cut
    /// off, what nobody has read yet comes first: the next one begins at the cursor.
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

    /// Moves the checkpoints to what a page of changes brought. Of a listing that settles, whose first answer bore
    /// `first_date`, each page moves the settled watermark: what is cut off continues from there, and is finished some
    /// day however long it is. The watermark stops one second before a `crowded` second, which has to be read once more.
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
        // A link leads nowhere newer: of a listing from the cursor it continues at the cursor.
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

    /// Lets the next listing begin at the first page, not at the one where the last listing was cut off.
    pub fn forget_page(&mut self) {
        self.next_page = None;
        if let Some(settling) = &mut self.settling {
            settling.next_page = None;
        }
    }

    /// Begins the first listing at GitHub's `date`, when the `newest` `updated_at` of all was this. What changes from here
    /// on is newer than the cursor, which that makes: the first listing of changes sees it.
    pub fn begin(&mut self, newest: Option<Timestamp>, date: Timestamp) {
        self.cursor = newest.map(|newest| newest.min(date));
        self.ahead = newest.filter(|newest| *newest > date);
        // In the second of `date` itself there may be changes before it and after it.
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
        // What was updated before the watermark is no news in any case.
        self.tracked_since = self.tracked_since.filter(|since| Some(*since) > self.settled);
    }

    /// Whether nothing is left that GitHub might show late.
    pub fn is_settled(&self) -> bool {
        self.backfill.is_none() && !self.cut_short && self.settled == self.cursor
    }
}
