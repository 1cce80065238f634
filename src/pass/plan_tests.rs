//! Properties of the plan's rules, for any rows and any responses of GitHub.

use std::collections::HashMap;

use jiff::Timestamp;
use proptest::prelude::*;

use crate::domain::{
    CachedIssue, Change, ChangeMarker, Gone, Issue, IssueNumber, IssueState, Observation, PullRequest,
    Removal,
};

use super::{Source, Write, converted, is_too_soon, is_well_after, missing, observed, page, removed};

type Rows = HashMap<IssueNumber, CachedIssue>;

/// Few issues, instants and fences, so that they coincide often.
const ISSUES: u64 = 4;
const INSTANTS: i64 = 12;
const FENCES: u64 = 6;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).expect("an instant")
}

/// Instants half a minute apart, some far enough apart that GitHub shows nothing late any more.
fn instant() -> impl Strategy<Value = Timestamp> {
    (0..INSTANTS).prop_map(|instant| at(30 * instant))
}

fn issue() -> impl Strategy<Value = Issue> {
    let reasons = prop::sample::select(vec![None, Some("completed"), Some("reopened")]);
    let closed = (any::<bool>(), reasons, prop::option::of(instant()));
    (1..=ISSUES, 0..3_u8, 0..2_u8, closed, instant()).prop_map(
        |(number, title, label, (is_open, reason, closed_at), updated_at)| {
            digested(Issue {
                number: IssueNumber(number),
                title: format!("title {title}"),
                url: format!("https://github.com/acme/api/issues/{number}"),
                state: if is_open { IssueState::Open } else { IssueState::Closed },
                state_reason: reason.map(str::to_owned),
                labels: vec![format!("label {label}")],
                assignees: Vec::new(),
                author: None,
                created_at: at(0),
                updated_at,
                closed_at: closed_at.filter(|_| !is_open),
                digest: String::new(),
            })
        },
    )
}

fn digested(issue: Issue) -> Issue {
    Issue { digest: issue.digest_with(""), ..issue }
}

/// Anything that GitHub may show, including late and stale responses.
fn observation() -> impl Strategy<Value = Observation> {
    (issue(), instant()).prop_map(|(issue, read_at)| Observation { issue, read_at })
}

fn observations() -> impl Strategy<Value = Vec<Observation>> {
    prop::collection::vec(observation(), 0..8)
}

fn source() -> impl Strategy<Value = Source> {
    prop_oneof![
        Just(Source::Backfill),
        (prop::array::uniform4(prop::option::of(instant())), prop::option::of(1..FENCES)).prop_map(
            |([cursor, ahead, settled, tracked_since], reported_fence)| {
                Source::Delta { cursor, ahead, settled, tracked_since, reported_fence }
            }
        ),
        prop::option::of(instant()).prop_map(Source::Audit),
    ]
}

fn gone() -> impl Strategy<Value = Gone> {
    let removal = prop::sample::select(vec![
        Removal::Moved { to: None },
        Removal::Deleted,
        Removal::Converted,
        Removal::Hidden,
    ]);
    (removal, instant()).prop_map(|(removal, proved_at)| Gone { removal, proved_at })
}

/// Any row that passes may have left: perhaps missing or gone, perhaps changed under some fence.
fn row() -> impl Strategy<Value = CachedIssue> {
    let change_marker = prop_oneof![
        Just(ChangeMarker::default()),
        (1..FENCES).prop_map(|fence| ChangeMarker::default().with(Change::Opened, fence)),
        (1..FENCES, 0..3_u64).prop_map(|(fence, later)| {
            ChangeMarker::default().with(Change::Closed, fence).with(Change::Edited, fence + later)
        }),
    ];
    let absence = (prop::option::of(instant()), prop::option::of(gone()));
    (observation(), change_marker, absence).prop_map(|(seen, change_marker, (missing_since, gone))| {
        CachedIssue {
            change_marker,
            // Either a first 404 is noted, or the issue is known to be gone.
            missing_since: missing_since.filter(|_| gone.is_none()),
            gone,
            ..CachedIssue::showing(&seen, None)
        }
    })
}

fn rows() -> impl Strategy<Value = Rows> {
    prop::collection::vec(row(), 0..4)
        .prop_map(|rows| rows.into_iter().map(|row| (row.number, row)).collect())
}

/// Writes a plan like the table does: each row over exactly the revision it was planned on.
fn write(rows: &mut Rows, writes: Vec<Write>) {
    for write in writes {
        let before = rows.insert(write.row.number, write.row.clone());
        let planned_on = before.as_ref().map_or(0, |row| row.revision);
        assert_eq!(write.row.revision, planned_on + 1);
        assert_eq!(write.was_open, before.is_some_and(|row| row.is_open()));
    }
}

fn read(rows: &mut Rows, seen: &[Observation], source: Source, fence: u64) {
    let writes = page(rows, seen, source, fence);
    write(rows, writes);
}

/// The rows without the service's own bookkeeping.
fn shown(rows: &Rows) -> HashMap<IssueNumber, CachedIssue> {
    let without_bookkeeping = |row: &CachedIssue| CachedIssue {
        change_marker: ChangeMarker::default(),
        revision: 0,
        read_at: at(0),
        ..row.clone()
    };
    rows.iter().map(|(number, row)| (*number, without_bookkeeping(row))).collect()
}

/// The observations of some issues' versions, and the last version of each issue. Each version is read at least once
/// while it is the newest, and perhaps once more up to two minutes later, from a part of GitHub that lags. Several
/// versions may share a second of `updated_at`; then the reads of one end before those of the next begin. No two
/// contents are the same.
fn history() -> impl Strategy<Value = (Vec<Observation>, HashMap<IssueNumber, Issue>)> {
    let version = (issue(), 0..2_i64, 1..3_i64, any::<bool>());
    prop::collection::vec(version, 1..10).prop_map(|versions| {
        let mut seen = Vec::new();
        let mut late: HashMap<(IssueNumber, Timestamp), Option<Observation>> = HashMap::new();
        let mut last: HashMap<IssueNumber, Issue> = HashMap::new();
        for (turn, (issue, later, reads, is_read_late)) in (0..).zip(versions) {
            let before = last.get(&issue.number).map_or(at(0), |issue| issue.updated_at);
            let issue = digested(Issue {
                title: format!("version {turn}"),
                updated_at: before + std::time::Duration::from_secs(later.unsigned_abs()),
                ..issue
            });
            let read = |second| Observation { issue: issue.clone(), read_at: at(second) };
            seen.extend((0..reads).map(|n| read(100 + 10 * turn + n)));
            late.insert((issue.number, issue.updated_at), is_read_late.then(|| read(220 - turn)));
            last.insert(issue.number, issue);
        }
        seen.extend(late.into_values().flatten());
        (seen, last)
    })
}

proptest! {
    // A failing case is printed with its seed; no file of it is written into the tree.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn applying_a_plan_twice_is_applying_it_once(
        mut rows in rows(), seen in observations(), source in source(), fence in 1..FENCES + 3,
    ) {
        read(&mut rows, &seen, source, fence);
        prop_assert_eq!(page(&rows, &seen, source, fence), []);
    }

    #[test]
    fn applying_a_removal_twice_is_applying_it_once(row in row(), gone in gone(), fence in 1..FENCES + 3) {
        if let Some(first) = removed(&row, &gone, fence) {
            prop_assert_eq!(removed(&first.row, &gone, fence), None);
        }
        if let Some(first) = missing(&row, gone.proved_at) {
            prop_assert_eq!(missing(&first.row, gone.proved_at), None);
        }
    }

    #[test]
    fn any_order_of_pages_gives_the_same_rows(
        ((seen, last), order) in history().prop_flat_map(|history| {
            let all: Vec<usize> = (0..history.0.len()).collect();
            (Just(history), Just(all).prop_shuffle())
        }),
        length in 1..4_usize,
        source in source(),
    ) {
        let mut rows = Rows::new();
        for page in order.chunks(length) {
            let page: Vec<Observation> = page.iter().map(|n| seen[*n].clone()).collect();
            read(&mut rows, &page, source, 1);
        }
        let expected = last.into_values().map(|issue| {
            let seen = Observation { issue, read_at: at(0) };
            (seen.issue.number, CachedIssue::showing(&seen, None))
        });
        prop_assert_eq!(shown(&rows), shown(&expected.collect()));
    }

    #[test]
    fn an_audit_after_a_restore_gives_the_restored_versions(
        ((seen, _), order) in history().prop_flat_map(|history| {
            let all: Vec<usize> = (0..history.0.len()).collect();
            (Just(history), Just(all).prop_shuffle())
        }),
        older in 0..100_i64,
        source in source(),
        repeated in 0..3_usize,
    ) {
        let mut rows = Rows::new();
        for n in order {
            read(&mut rows, &[seen[n].clone()], source, 1);
        }
        // All reads end at second 220, and GitHub shows nothing for more than 121 s.
        let restored: Vec<Observation> = rows.values().map(|row| {
            let issue = seen.iter().find(|seen| seen.issue.number == row.number).expect("it was read");
            let updated_at = row.updated_at - std::time::Duration::from_secs(older.unsigned_abs());
            let digest = format!("of the restored {}", issue.issue.digest);
            let issue = Issue { title: "restored".to_owned(), updated_at, digest, ..issue.issue.clone() };
            Observation { issue, read_at: at(342) }
        }).collect();
        for _ in 0..=repeated {
            read(&mut rows, &restored, Source::Audit(None), 2);
        }
        prop_assert!(rows.values().all(|row| row.title == "restored"));
        // The writes that an earlier pass had under way change nothing any more.
        read(&mut rows, &seen, source, 1);
        prop_assert!(rows.values().all(|row| row.title == "restored"));
    }

    #[test]
    fn a_page_removes_nothing_without_a_proof(
        mut rows in rows(), seen in observations(), source in source(), fence in 1..FENCES + 3,
    ) {
        let before = rows.clone();
        read(&mut rows, &seen, source, fence);
        for (number, old) in before {
            let new = &rows[&number];
            prop_assert!(new.gone.is_none() || new.gone == old.gone, "a tombstone stays or is lifted");
            let says_closed = |seen: &Observation| {
                seen.issue.number == number && seen.issue.state == IssueState::Closed
            };
            prop_assert!(!old.is_open() || new.is_open() || seen.iter().any(says_closed));
        }
    }

    #[test]
    fn a_first_404_removes_nothing(row in row(), seen_at in instant()) {
        if let Some(write) = missing(&row, seen_at) {
            let unmarked = CachedIssue { missing_since: None, revision: row.revision, ..write.row };
            prop_assert_eq!(unmarked, row);
            prop_assert!(!write.is_reported);
        }
    }

    #[test]
    fn a_removal_needs_an_open_row_read_before_the_proof(
        row in row(), gone in gone(), fence in 1..FENCES + 3,
    ) {
        if let Some(write) = removed(&row, &gone, fence) {
            prop_assert!(row.is_open() && row.read_at <= gone.proved_at);
            prop_assert_eq!(write.open_difference(), -1);
            prop_assert_eq!(write.row.gone.as_ref(), Some(&gone));
        }
    }

    #[test]
    fn a_tombstone_yields_only_to_a_read_after_its_proof(
        row in row(), gone in gone(), seen in observation(), source in source(),
    ) {
        let row = CachedIssue { gone: Some(gone.clone()), number: seen.issue.number, ..row };
        let fence = FENCES + 2;
        match observed(Some(&row), &seen, source, fence) {
            Some(write) if write.row.gone.is_none() => prop_assert!(seen.read_at > gone.proved_at),
            Some(write) => prop_assert_eq!(write.row.gone.as_ref(), Some(&gone)),
            None => prop_assert!(seen.read_at <= gone.proved_at),
        }
        prop_assert_eq!(removed(&row, &gone, fence), None);
    }

    #[test]
    fn fences_never_go_back_on_a_row(
        row in row(), seen in observation(), gone in gone(), source in source(), fence in 1..FENCES + 3,
    ) {
        let seen = Observation { issue: Issue { number: row.number, ..seen.issue }, ..seen };
        let writes = [
            observed(Some(&row), &seen, source, fence),
            removed(&row, &gone, fence),
            missing(&row, gone.proved_at),
        ];
        for Write { row: next, .. } in writes.into_iter().flatten() {
            prop_assert!(next.change_marker.fence >= row.change_marker.fence);
            prop_assert!(next.change_marker.kind_fence >= row.change_marker.kind_fence);
            prop_assert!(next.change_marker.kind_fence <= next.change_marker.fence);
        }
    }

    #[test]
    fn versions_never_go_back_on_a_row_that_is_there(
        row in row(), seen in observation(), source in source(), fence in 1..FENCES + 3,
    ) {
        let row = CachedIssue { gone: None, number: seen.issue.number, ..row };
        let is_restored = matches!(source, Source::Audit(_)) && is_well_after(&row, &seen);
        let is_from_the_future = row.updated_at > row.read_at;
        if let Some(write) = observed(Some(&row), &seen, source, fence) {
            prop_assert!(write.row.updated_at >= row.updated_at || is_restored || is_from_the_future);
            prop_assert!(write.row.updated_at > row.updated_at || write.row.read_at >= row.read_at);
        }
        prop_assert!(!is_too_soon(&row, &seen) || !is_restored);
    }

    #[test]
    fn an_audit_that_reads_well_after_a_row_leaves_it_as_github_shows_it(
        row in row(), seen in observation(), cursor in prop::option::of(instant()),
    ) {
        let row = CachedIssue { gone: None, number: seen.issue.number, ..row };
        let mut rows = Rows::from([(row.number, row.clone())]);
        read(&mut rows, std::slice::from_ref(&seen), Source::Audit(cursor), FENCES + 2);
        let now = &rows[&row.number];
        prop_assert!(!is_well_after(&row, &seen) || now.digest == seen.issue.digest);
        prop_assert!(!is_well_after(&row, &seen) || now.updated_at == seen.issue.updated_at);
    }

    #[test]
    fn a_pull_request_removes_the_open_issue_of_its_number_once(
        row in row(), (updated_at, read_at) in (instant(), instant()), source in source(), fence in 1..FENCES + 3,
    ) {
        let seen = PullRequest { number: row.number, updated_at, read_at };
        if let Some(write) = converted(&row, &seen, source, fence) {
            prop_assert_eq!(write.row.gone.as_ref().map(|gone| &gone.removal), Some(&Removal::Converted));
            prop_assert!(write.is_reported && write.row.change_marker.fence == Some(fence));
            prop_assert_eq!(write.open_difference(), -i64::from(row.is_open()));
            prop_assert_eq!(converted(&write.row, &seen, source, fence), None);
        }
    }

    #[test]
    fn a_changed_row_is_reported_unless_a_backfill_read_it(
        mut rows in rows(), seen in observations(), source in source(), fence in 1..FENCES + 3,
    ) {
        let before = rows.clone();
        let writes = page(&rows, &seen, source, fence);
        write(&mut rows, writes.clone());
        for write in writes {
            let stamp_before = before.get(&write.row.number).map(|row| row.change_marker).unwrap_or_default();
            let has_changed = write.row.change_marker != stamp_before;
            prop_assert!(!has_changed || write.is_reported);
            prop_assert!(!write.is_reported || write.row.change_marker.fence == Some(fence));
            prop_assert!(source != Source::Backfill || !write.is_reported);
        }
    }
}
