//! Fleets that are too large for a variable: a file names their repositories.

use std::time::Duration;

use test_world::TABLE_NAME;
use test_world::github::Request;

use crate::support::app::{Answer, TestApp};

/// A file that is removed at the end of the test.
struct File(std::path::PathBuf);

impl File {
    fn with(names: &[String]) -> Self {
        let path = std::env::temp_dir().join(format!("agent-heartbeat-{}-names.txt", std::process::id()));
        std::fs::write(&path, names.join("\n")).expect("a file can be written");
        Self(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn assert_all_in_step(answer: &Answer) {
    assert_eq!((answer.status(), answer.codes().len()), ("ok", 0), "{:#}", answer.0);
    assert_eq!(answer.0["freshAt"], answer.0["startedAt"], "{:#}", answer.0);
}

/// A fleet whose first hundred repositories the service has read. The test writes the same items for the others:
/// thousands of first requests would take a minute.
async fn read_before(names: &[String]) -> TestApp {
    let tracked: Vec<&str> = names.iter().map(String::as_str).collect();
    let setup = TestApp::tracking(&tracked).with("REPOSITORIES", &names[..100].join(","));
    // Twenty large queries at once keep the local GitHub busy for a while; none may be retried.
    let patient = setup.timing(|timing| {
        timing.github.attempt_timeout = Duration::from_secs(60);
        timing.store.attempt = Duration::from_secs(60);
        timing.store.call = Duration::from_secs(60);
    });
    let app = patient.start().await;
    assert_all_in_step(&app.agent("alpha").beat().await);
    let [checkpoints, known] =
        [app.checkpoints(&names[0]), app.items("FLEET", &format!("NAME#{}", names[0]))[0].clone()];
    for name in &names[100..] {
        let id = app.world.github.arrange(|github| github.repository_id(name));
        let (mut checkpoints, mut known) = (checkpoints.clone(), known.clone());
        checkpoints["sk"] = format!("REPO#{id}").into();
        checkpoints["name"] = name.clone().into();
        known["sk"] = format!("NAME#{name}").into();
        for item in [&mut checkpoints, &mut known] {
            item["id"] = id.into();
            app.world.dynamodb.put_item(TABLE_NAME, item);
        }
    }
    app
}

/// Runs a pass over all 2,000 repositories and returns its requests to GitHub.
async fn asked_by_a_pass(app: &TestApp) -> Vec<Request> {
    // Each pass costs forty points, so such a fleet is fresh for a minute: passes use at most half of the hourly
    // budget.
    app.pass_time(60);
    app.clear_requests();
    let answer = app.agent("alpha").beat().await;
    assert_all_in_step(&answer);
    assert_eq!(answer.summary_numbers(), [2_000, 2_000, 0]);
    app.world.github.requests()
}

#[tokio::test]
async fn two_thousand_repositories_in_a_file_are_synced_by_twenty_probes() {
    let names: Vec<String> = (0..2_000).map(|n| format!("acme/repository-{n:04}")).collect();
    let file = File::with(&names);
    let mut app = read_before(&names).await;
    app.restart_with("REPOSITORIES", &format!("@{}", file.0.display()));
    for _ in 0..2 {
        let asked = asked_by_a_pass(&app).await;
        let all_are_probes = asked.iter().all(|request| request.graphql.is_some());
        assert_eq!((asked.len(), all_are_probes), (20, true));
    }
}
