//! 403 and 451 by a rule that no permission changes: each is reported with its own remedy.

use test_world::github::refusals::{BLOCKED, CLASSIC_TOKEN, IP_ALLOW_LIST, SUSPENDED, TOKEN_LIFETIME};
use test_world::github::{Fault, Matching};

use crate::credentials::github_app::two_repositories as two_of_an_installation;
use crate::support::app::{Answer, TestApp};

/// GitHub's words, the problem's code, and a term that the remedy in its message contains.
const RULES: [(&str, &str, &str); 5] = [
    (IP_ALLOW_LIST, "github_forbidden", "NAT gateway"),
    (TOKEN_LIFETIME, "github_forbidden", "lifetime"),
    (CLASSIC_TOKEN, "github_forbidden", "personal access token"),
    (SUSPENDED, "github_forbidden", "suspended"),
    (BLOCKED, "repository_disabled", "GitHub Support"),
];

async fn two_repositories() -> TestApp {
    let app = TestApp::tracking(&["acme/api", "globex/web"]).start().await;
    app.world
        .github
        .arrange(|github| ["acme/api", "globex/web"].iter().for_each(|name| github.open_issues(name, 1)));
    app
}

/// The answer has exactly these codes. The first problem is lasting, and its message contains this term of its remedy
/// and none of GitHub's words.
fn assert_reported(answer: &Answer, codes: &[&str], term: &str) {
    assert_eq!(answer.codes(), codes, "{term}: {:#}", answer.0);
    let problem = &answer.0["problems"][0];
    assert_eq!(problem["retryable"], false, "{term}");
    let message = problem["message"].as_str().expect("a text");
    assert!(message.contains(term), "{term}: {message}");
    for theirs in ["Please", "Sorry", "personal-access-tokens/1", "github.com/tos"] {
        assert!(!message.contains(theirs), "{message}");
    }
}

#[tokio::test]
async fn rule_that_forbids_one_repository_is_reported_for_it_alone() {
    for (theirs, code, term) in RULES {
        let by_graphql = Fault::repository_refusal("acme/api", "FORBIDDEN", theirs);
        let untyped = Fault::repository_refusal("acme/api", None, theirs);
        for (matching, fault) in [
            (Matching::graphql(), by_graphql.forever()),
            (Matching::graphql(), untyped.forever()),
            (Matching::listing("acme/api"), Fault::refusal(403, theirs).forever()),
        ] {
            let app = two_repositories().await;
            app.world.github.fault(matching, fault);
            let answer = app.agent("alpha").beat().await;
            assert_reported(&answer, &[code], term);
            assert_eq!(answer.0["problems"][0]["repository"], "acme/api");
            assert_eq!(app.open_rows("globex/web"), [1]);
        }
    }
}

#[tokio::test]
async fn repository_taken_down_is_disabled_whatever_the_status() {
    for (status, reason, term) in [
        (451, "dmca", "legal"),
        (403, "dmca", "legal"),
        (451, "sensitive_data", "legal"),
        (403, "tos", "GitHub Support"),
    ] {
        let app = two_repositories().await;
        app.world.github.fault(Matching::listing("acme/api"), Fault::blocked(status, reason).forever());
        assert_reported(&app.agent("alpha").beat().await, &["repository_disabled"], term);

        let app = two_repositories().await;
        app.world.github.arrange(|github| github.remove_graphql());
        app.world.github.fault(Matching::repository("acme/api"), Fault::blocked(status, reason).forever());
        let answer = app.agent("alpha").beat().await;
        assert_eq!(answer.codes(), ["probe_unavailable", "repository_disabled"], "{:#}", answer.0);
        let message = answer.0["problems"][1]["message"].as_str().expect("a text");
        assert!(message.contains(term), "{term}: {message}");
    }
}

#[tokio::test]
async fn blocked_repository_keeps_its_rows() {
    let app = two_repositories().await;
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    app.world
        .github
        .fault(Matching::graphql(), Fault::repository_refusal("acme/api", None, BLOCKED).forever());
    assert_reported(&app.agent("alpha").beat().await, &["repository_disabled"], "GitHub Support");
    assert_eq!(app.open_rows("acme/api"), [1]);
}

#[tokio::test]
async fn rule_that_forbids_the_apps_token_ends_all_requests() {
    let others = [("This installation is not allowed.", "github_forbidden", "installation")];
    for (theirs, code, term) in RULES.into_iter().take(4).chain(others) {
        let app = two_of_an_installation().await;
        app.world.github.fault(Matching::token_request(), Fault::refusal(403, theirs).forever());
        let answer = app.agent("alpha").beat().await;
        assert_reported(&answer, &[code; 2], term);
        assert!(!answer.0.to_string().contains("GraphQL"), "{:#}", answer.0);
        assert_eq!(app.asked().len(), 1, "{term}: {:?}", app.asked());
    }
}

#[tokio::test]
async fn rule_that_forbids_graphql_affects_one_owner_or_falls_back_to_rest() {
    let one_owner = TestApp::tracking(&["acme/api", "acme/web"]).start().await;
    one_owner.world.github.fault(Matching::graphql(), Fault::refusal(403, IP_ALLOW_LIST).forever());
    assert_reported(&one_owner.agent("alpha").beat().await, &["github_forbidden"; 2], "NAT gateway");

    let app = two_repositories().await;
    app.world.github.fault(Matching::graphql(), Fault::refusal(403, IP_ALLOW_LIST).forever());
    app.world.github.fault(Matching::repository("acme/api"), Fault::refusal(403, IP_ALLOW_LIST).forever());
    let answer = app.agent("alpha").beat().await;
    assert_eq!(answer.codes(), ["probe_unavailable", "github_forbidden"], "{:#}", answer.0);
    assert_eq!(app.open_rows("globex/web"), [1]);
}
