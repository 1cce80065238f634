//! Pages of issues while passes change them, and what pages cost.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::support::app::{TestApp, open_largest};

fn key(issue: &Value) -> (String, u64) {
    let repository = issue["repository"].as_str().expect("a name").to_owned();
    (repository, issue["number"].as_u64().expect("a number"))
}

/// Reads all pages and lets `between` happen after each of them.
async fn paged(app: &TestApp, target: &str, mut between: impl AsyncFnMut(usize)) -> Vec<(String, u64)> {
    let mut all = Vec::new();
    let mut next = target.to_owned();
    for page in 0.. {
        let read = app.client().read(&next).await;
        all.extend(read["issues"].as_array().expect("a list").iter().map(key));
        let Some(cursor) = read["nextCursor"].as_str() else { break };
        next = format!("{target}&cursor={cursor}");
        between(page).await;
    }
    all
}

/// 1,000 issues of two repositories are read in pages while passes edit, close and open others and the same ones.
#[tokio::test]
async fn issue_that_stays_is_on_exactly_one_page_whatever_passes_do_meanwhile() {
    const EACH: u64 = 500;
    let app = TestApp::tracking(&["acme/web", "acme/api"]).start().await;
    app.world.github.arrange(|github| {
        github.open_issues("acme/api", EACH);
        github.open_issues("acme/web", EACH);
    });
    app.agent("alpha").beat().await;
    let mut closed = BTreeSet::new();
    let read = paged(&app, "/api/issues?limit=70", async |page| {
        app.outlive_freshness();
        app.world.github.arrange(|github| {
            for repository in ["acme/api", "acme/web"] {
                let step = page as u64 * 31 + 7;
                for n in 0..6 {
                    // Some of these were shown already, some will be.
                    github.comment(repository, 1 + (step + n * 83) % EACH);
                }
                let number = 1 + (step * 7) % EACH;
                if closed.insert((repository.to_owned(), number)) {
                    github.close_issue(repository, number);
                }
                github.open_issue(repository, "New");
            }
        });
        assert_eq!(app.agent("alpha").beat().await.status(), "ok");
    })
    .await;
    let mut times: BTreeMap<&(String, u64), usize> = BTreeMap::new();
    read.iter().for_each(|issue| *times.entry(issue).or_default() += 1);
    assert!(times.values().all(|times| *times == 1), "an issue is on two pages");
    for repository in ["acme/api", "acme/web"] {
        for number in 1..=EACH {
            let issue = (repository.to_owned(), number);
            assert!(closed.contains(&issue) || times.contains_key(&issue), "{issue:?} is on no page");
        }
    }
    assert!(closed.len() > 20);
}

#[tokio::test]
async fn page_of_a_hundred_costs_few_read_units() {
    let names: Vec<String> = (0..20).map(|n| format!("acme/r{n:02}")).collect();
    let app = TestApp::tracking(&names.iter().map(String::as_str).collect::<Vec<_>>()).start().await;
    app.world.github.arrange(|github| {
        github.open_issues("acme/r00", 150);
        names[1..].iter().for_each(|name| github.open_issues(name, 8));
    });
    for _ in 0..3 {
        app.agent("alpha").beat().await;
        app.pass_time(150);
    }
    let cost = async |target: &str, expected: usize| {
        app.clear_requests();
        let page = app.client().read(target).await;
        assert_eq!(page["issues"].as_array().map(Vec::len), Some(expected));
        app.world.dynamodb.capacity().read_units
    };
    let of_one = cost("/api/issues?repository=acme/r00&limit=100", 100).await;
    assert!(of_one <= 15.0, "{of_one}");
    app.world.github.arrange(|github| (11..=150).for_each(|number| github.close_issue("acme/r00", number)));
    for _ in 0..3 {
        app.pass_time(150);
        app.agent("alpha").beat().await;
    }
    let of_many = cost("/api/issues?limit=100", 100).await;
    assert!(of_many <= 40.0, "{of_many}");
}

/// A filter that nothing meets reads a bounded part of the table at once, and says where to go on.
#[tokio::test]
async fn one_request_reads_a_bounded_part_of_the_table() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.world.github.arrange(|github| github.open_issues("acme/api", 1_500));
    for _ in 0..3 {
        app.agent("alpha").beat().await;
    }
    for target in ["/api/issues?label=none-such", "/api/issues?state=closed"] {
        let (mut requests, mut next) = (0, target.to_owned());
        loop {
            app.clear_requests();
            let page = app.client().read(&next).await;
            assert_eq!(page["issues"].as_array().map(Vec::len), Some(0));
            let cost = app.world.dynamodb.capacity().read_units;
            assert!(cost <= 90.0, "{cost}");
            requests += 1;
            let Some(cursor) = page["nextCursor"].as_str() else { break };
            next = format!("{target}&cursor={cursor}");
        }
        assert!(requests > 1, "{target}");
    }
}

/// 200 issues with all the labels that GitHub permits, in four bytes a character: 4 MB. A load balancer passes on 1 MB.
#[tokio::test]
async fn page_of_the_largest_issues_is_one_that_every_front_door_passes_on() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.world.github.arrange(|github| (0..200).for_each(|_| open_largest(github, "acme/api")));
    for _ in 0..2 {
        app.agent("alpha").beat().await;
        app.outlive_freshness();
    }
    for target in ["/api/issues?limit=200", "/api/issues?limit=200&state=all"] {
        let mut next = target.to_owned();
        let mut listed = 0;
        loop {
            let page = app.client().read(&next).await;
            assert!(page.to_string().len() < 800_000, "{}", page.to_string().len());
            listed += page["issues"].as_array().map_or(0, Vec::len);
            let Some(cursor) = page["nextCursor"].as_str() else { break };
            next = format!("{target}&cursor={cursor}");
        }
        assert_eq!(listed, 200);
    }
}
