//! The pages of open issues and of rows that lists show, and what the index of open issues costs.

use std::collections::BTreeSet;

use agent_heartbeat::domain::{CachedIssue, IssueNumber, IssueState, RepositoryId, WorkStatus};
use agent_heartbeat::store::ListedIssue;
use jiff::SignedDuration;
use test_world::dynamodb::Exchange;
use test_world::github::{Fault, World};

use crate::support::app::{TestApp, open_largest};
use crate::support::audits::{API, audit, audited_page, settled, tracking};

fn id_of(app: &TestApp) -> RepositoryId {
    RepositoryId(app.world.github.arrange(|github| github.repository_id(API)))
}

/// Opens an issue of usual size: two labels, one assignee.
fn open_usual(github: &mut World, at_minutes_ago: i64) {
    let at = github.now() - SignedDuration::from_mins(at_minutes_ago);
    let number = github.open_issue_at(API, "An issue with a title of usual length", at);
    github.edit_issue(API, number, |issue| {
        issue.labels = ["bug", "status/backlog"].map(str::to_owned).into();
        issue.assignees = vec!["octavia".to_owned()];
        issue.updated_at = at;
    });
}

/// A service that has read this many open issues of usual size.
async fn with_usual_issues(count: i64) -> TestApp {
    let app = tracking(&[API]).start().await;
    app.world.github.arrange(|github| (1..=count).rev().for_each(|n| open_usual(github, n)));
    app.agent("alpha").beat().await;
    app.pass_time(150);
    app.agent("alpha").beat().await;
    app
}

/// All pages of the open issues. Calls `between` after each one.
async fn open_pages(app: &TestApp, limit: u16, mut between: impl AsyncFnMut(u64)) -> Vec<u64> {
    let mut seen: Vec<u64> = Vec::new();
    loop {
        let after = seen.last().copied().map(IssueNumber);
        let page = app.app.store.open_page(id_of(app), after, limit).await.expect("a page");
        assert!(page.issues.len() <= limit.into(), "{page:#?}");
        seen.extend(page.issues.iter().map(|issue| issue.number.0));
        if page.is_end {
            return seen;
        }
        between(*seen.last().expect("a page before the end has entries")).await;
    }
}

#[tokio::test]
async fn paging_by_number_neither_repeats_nor_skips_while_passes_write() {
    let app = settled(120).await;
    let (mut edited, mut closed) = (BTreeSet::new(), BTreeSet::new());
    let seen = open_pages(&app, 7, async |last| {
        // One edit behind the reader and one before it, a closed and a new issue, all written by a pass.
        let changes = [last - 3, last + 5].into_iter().filter(|number| *number <= 120);
        app.world.github.arrange(|github| {
            for number in changes {
                github.comment(API, number);
                edited.insert(number);
            }
            if last + 11 <= 120 {
                github.close_issue(API, last + 11);
                closed.insert(last + 11);
            }
            github.open_issue(API, "New");
        });
        app.outlive_freshness();
        app.agent("alpha").beat().await;
    })
    .await;
    assert!(seen.windows(2).all(|pair| pair[0] < pair[1]), "each once, ascending: {seen:?}");
    assert!(edited.len() > 12 && closed.len() > 10, "{edited:?} {closed:?}");
    assert!(closed.iter().all(|number| !seen.contains(number)), "they were closed before their page");
    let missed = (1..=120).filter(|number| !closed.contains(number) && !seen.contains(number));
    assert_eq!(missed.collect::<Vec<_>>(), [0; 0]);
    assert!(seen.iter().any(|number| *number > 121), "new ones come last");
}

#[tokio::test]
async fn entry_of_an_open_issue_has_what_a_list_shows() {
    let app = with_usual_issues(2).await;
    app.world.github.arrange(|github| {
        github.edit_issue(API, 2, |issue| {
            issue.user = None;
            issue.labels = Vec::new();
            issue.assignees = Vec::new();
        });
    });
    app.outlive_freshness();
    app.agent("alpha").beat().await;
    let page = app.app.store.open_page(id_of(&app), None, 10).await.expect("a page");
    assert!(page.is_end);
    let expected = |number: u64| {
        app.world.github.arrange(|github| {
            let issue = github.issue(API, number);
            ListedIssue {
                number: IssueNumber(number),
                title: issue.title.clone(),
                status: issue.labels.contains(&"status/backlog".to_owned()).then_some(WorkStatus::Backlog),
                labels: issue.labels.clone(),
                assignees: issue.assignees.clone(),
                author: issue.user.clone(),
                created_at: issue.created_at,
                updated_at: issue.updated_at,
            }
        })
    };
    assert_eq!(page.issues, [expected(1), expected(2)]);
    assert_eq!(page.issues[0].author.as_deref(), Some("octavia"));
}

#[tokio::test]
async fn rows_are_paged_by_number_in_every_state() {
    let app = settled(250).await;
    app.world.github.arrange(|github| github.close_issue(API, 4));
    for _ in 0..2 {
        app.pass_time(150);
        app.agent("alpha").beat().await;
    }
    app.world.github.arrange(|github| github.delete_issue(API, 5));
    audit(&app).await;
    // The progress of an unfinished audit is in the same partition.
    app.world.github.fault(audited_page(3), Fault::Status(500).times(3));
    audit(&app).await;
    assert_eq!(app.items("REPO#", "AUDIT").len(), 1);
    let (store, id) = (&app.app.store, id_of(&app));
    let mut rows: Vec<CachedIssue> = Vec::new();
    loop {
        let page = store.issue_page(id, rows.last().map(|row| row.number), 60).await.expect("a page");
        assert!(page.issues.len() <= 60 && page.read_units > 0.0, "{page:#?}");
        rows.extend(page.issues);
        if page.is_end {
            break;
        }
    }
    let numbers: Vec<u64> = rows.iter().map(|row| row.number.0).collect();
    assert_eq!(numbers, (1..=250).collect::<Vec<_>>());
    assert_eq!(rows.iter().filter(|row| !row.is_open()).map(|row| row.number.0).collect::<Vec<_>>(), [4, 5]);
    assert_eq!((rows[3].state, rows[4].gone.is_some()), (IssueState::Closed, true));
    let row = store.issue(id, IssueNumber(5)).await.expect("a read");
    assert_eq!(row.as_ref(), Some(&rows[4]));
    assert_eq!(store.issue(id, IssueNumber(251)).await.expect("a read"), None);
}

#[tokio::test]
async fn page_of_large_entries_ends_early_and_the_next_one_goes_on() {
    let app = tracking(&[API]).start().await;
    app.world.github.arrange(|github| (0..70).for_each(|_| open_largest(github, API)));
    app.agent("alpha").beat().await;
    let page = app.app.store.open_page(id_of(&app), None, 100).await.expect("a page");
    assert!((20..70).contains(&page.issues.len()) && !page.is_end, "{} of 70", page.issues.len());
    assert_eq!(open_pages(&app, 100, async |_| ()).await, (1..=70).collect::<Vec<_>>());
}

#[tokio::test]
async fn page_of_100_entries_costs_less_than_their_rows() {
    let app = with_usual_issues(130).await;
    let (store, id) = (&app.app.store, id_of(&app));
    let entries = store.open_page(id, None, 100).await.expect("a page");
    let rows = store.issue_page(id, None, 100).await.expect("a page");
    assert_eq!((entries.issues.len(), rows.issues.len()), (100, 100));
    app.clear_requests();
    let numbers: Vec<IssueNumber> = entries.issues.iter().map(|issue| issue.number).collect();
    assert_eq!(store.issues(id, &numbers, true).await.expect("rows").len(), 100);
    let one_by_one = app.world.dynamodb.capacity().read_units;
    app.clear_requests();
    assert_eq!(store.count_open(id).await, Ok(130));
    let all = app.world.dynamodb.capacity().read_units;
    insta::assert_snapshot!(
        format!(
            "100 entries: {} read\n100 rows by one query: {} read\n100 rows by their keys: {one_by_one} read\nall 130 entries: {all} read",
            entries.read_units, rows.read_units
        ),
        @r"
    100 entries: 6 read
    100 rows by one query: 9 read
    100 rows by their keys: 100 read
    all 130 entries: 8 read
    "
    );
    assert!(entries.read_units <= 15.0);
}

/// The write units of an issue's row and its index entries since the records were cleared.
fn written_for(app: &TestApp, number: u64) -> f64 {
    let key = format!("ISSUE#{number:010}");
    let is_write = |exchange: &&Exchange| {
        ["PutItem", "TransactWriteItems"].contains(&exchange.operation.as_str())
            && exchange.request.to_string().contains(&key)
    };
    app.world
        .dynamodb
        .requests()
        .iter()
        .filter(is_write)
        .map(|exchange| exchange.capacity.write_units)
        .fold(0.0, |sum, units| sum + units)
}

#[tokio::test]
async fn write_of_an_issue_costs_its_row_and_the_entries_that_change() {
    let app = tracking(&[API]).start().await;
    app.world.github.arrange(|github| {
        (1..=3).rev().for_each(|n| open_usual(github, n));
        open_largest(github, API);
    });
    let mut costs = Vec::new();
    let mut note = |what: &str, number| costs.push(format!("{what}: {}", written_for(&app, number)));
    app.agent("alpha").beat().await;
    note("imported", 1);
    note("imported, the largest", 4);
    let beat = async |change: &mut dyn FnMut(&mut World)| {
        app.pass_time(150);
        app.world.github.arrange(|github| change(github));
        app.clear_requests();
        app.agent("alpha").beat().await;
    };
    beat(&mut |github| open_usual(github, 0)).await;
    note("opened", 5);
    beat(&mut |github| [1, 2, 4].into_iter().for_each(|number| github.comment(API, number))).await;
    note("edited for the first time", 1);
    note("the largest edited for the first time", 4);
    beat(&mut |github| [1, 4].into_iter().for_each(|number| github.comment(API, number))).await;
    note("edited again", 1);
    note("the largest edited again", 4);
    beat(&mut |github| [2, 3].into_iter().for_each(|number| github.close_issue(API, number))).await;
    note("closed as its first change", 3);
    note("closed after an edit", 2);
    beat(&mut |github| github.comment(API, 2)).await;
    note("edited while closed", 2);
    app.pass_time(150);
    app.agent("alpha").beat().await;
    audit(&app).await;
    assert_eq!(app.written(API), [""; 0]);
    note("unchanged in an audit", 1);
    app.world.github.arrange(|github| github.hide_issue(API, 1));
    audit(&app).await;
    note("missing in an audit, with the check of the lease", 1);
    insta::assert_snapshot!(costs.join("\n"), @r"
    imported: 2
    imported, the largest: 42
    opened: 3
    edited for the first time: 3
    the largest edited for the first time: 62
    edited again: 4
    the largest edited again: 82
    closed as its first change: 3
    closed after an edit: 4
    edited while closed: 3
    unchanged in an audit: 0
    missing in an audit, with the check of the lease: 5
    ");
}
