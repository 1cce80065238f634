//! GraphQL that does not answer: for one repository, for some, for all, or for any document of the probe.
//!
//! One huge repository makes every query that names it fail (public reports: ossf/pvtr-github-repo-scanner#85,
//! cli/cli#12715, semantic-release/github#1017). The same pass reads by REST whatever GraphQL does not answer.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use test_world::github::{Fault, Matching};

use crate::support::app::{Answer, TestApp, until_held};
use crate::support::changed::assert_ok;
use crate::support::item_size::item_size;
use crate::support::probe::{asked_by_rest, batches, failed, fleet, names, settled};

/// GitHub's message for a query that it gave up: semantic-release/github#1017, teoxoy/profile-readme-stats#6.
const GAVE_UP: &str = "Something went wrong while executing your query. This may be the result of a timeout, or it \
                       could be a GitHub bug. Please include `C318:5862:1A4A0BC:35D9657:652D73C9` when reporting \
                       this issue.";

/// The time for work of a pass of 25 s.
const WORK: u64 = 21;

fn query_failure() -> Fault {
    Fault::not_executed(&json!([{ "message": GAVE_UP }]))
}

/// A settled fleet whose issues have all been closed since, and the repository that GraphQL fails for.
async fn poisoned(count: usize, fault: Fault) -> (TestApp, Vec<String>, String) {
    let names = names(count);
    let impatient = fleet(&names).timing(|timing| timing.github.attempt_timeout = Duration::from_millis(300));
    let app = settled(impatient, &names).await;
    let poison = names[count / 3].clone();
    app.world.github.arrange(|github| names.iter().for_each(|name| github.close_issue(name, 1)));
    app.world.github.fault(Matching::graphql().containing(&poison), fault.forever());
    (app, names, poison)
}

/// The number of queries that named it.
fn queries_naming(app: &TestApp, repository: &str) -> usize {
    let requests = app.world.github.requests();
    let queries = requests.iter().filter_map(|request| request.graphql.as_ref());
    queries.filter(|query| query.repositories.iter().any(|name| name == repository)).count()
}

/// Runs a pass after the previous one has expired.
async fn next_pass(app: &TestApp) -> Answer {
    let fresh = app.state()["ended"]["freshnessSeconds"].as_u64().expect("seconds");
    app.pass_time(fresh + 1);
    app.clear_requests();
    let answer = app.agent("alpha").beat().await;
    assert!(!answer.is_coalesced(), "{:#}", answer.0);
    answer
}

/// The repositories that were looked up by REST.
fn looked_up(app: &TestApp) -> Vec<String> {
    let mut asked = asked_by_rest(app);
    asked.retain(|path| !path.contains("/issues"));
    asked.iter().map(|path| path.trim_start_matches("/repos/").to_owned()).collect()
}

/// The duration of a beat, in GitHub's time.
fn seconds_of(answer: &Answer) -> i64 {
    let at =
        |field: &str| -> Timestamp { answer.0[field].as_str().expect("a time").parse().expect("a time") };
    at("finishedAt").duration_since(at("startedAt")).as_secs()
}

/// The approximate size of the fleet's state in DynamoDB.
/// The size of the fleet's state with ids of ten digits: those of this world have four.
fn state_bytes(app: &TestApp) -> usize {
    let ids = app.state()["ended"]["recent"]["repositories"].as_array().map_or(0, Vec::len);
    item_size(&app.state()) + 3 * ids
}

#[tokio::test]
async fn poisoned_query_still_lets_every_repository_be_read_in_the_pass() {
    let shape = Fault::Answer { status: 200, headers: Vec::new(), body: r#"{"data":{"r0":"?"}}"#.to_owned() };
    let faults = [
        Fault::Status(500),
        Fault::Status(502),
        Fault::Status(503),
        Fault::Status(504),
        Fault::Cut,
        Fault::HalfPage,
        Fault::Hang,
        query_failure(),
        Fault::resource_limits(0),
        shape,
    ];
    for fault in faults {
        let (app, names, poison) = poisoned(16, fault.clone()).await;
        let answer = app.agent("alpha").beat().await;
        assert_ok(&answer);
        assert_eq!(answer.summary_numbers(), [16, 16, 16], "{fault:?}");
        assert_eq!(answer.touched().len(), names.len(), "{fault:?}");

        // Another execution environment knows it too: one query names the others, and REST alone reads this one.
        let elsewhere = app.another_environment();
        app.outlive_freshness();
        app.clear_requests();
        assert_ok(&app.agent("alpha").in_environment(elsewhere).beat().await);
        assert_eq!(queries_naming(&app, &poison), 0, "{fault:?}");
        // A query that timed out leaves some neighbours suspect for a minute.
        let suspects = looked_up(&app);
        let most = if matches!(fault, Fault::Hang) { 2 } else { 1 };
        assert!(suspects.contains(&poison) && suspects.len() <= most, "{fault:?}: {suspects:?}");
        assert_eq!(batches(&app), [16 - suspects.len()], "{fault:?}");
    }
}

#[tokio::test]
async fn query_that_times_out_still_lets_its_neighbours_be_read_in_the_pass() {
    let (app, names, poison) = poisoned(40, Fault::GivesUp(Duration::from_secs(10))).await;
    let first = app.agent("alpha").beat().await;
    assert_eq!(first.summary_numbers(), [40, 40, 40], "{:#}", first.0);
    assert_eq!(seconds_of(&first), 10, "only one query is waited for");

    // The cause is narrowed down, and later passes rarely wait for it again.
    let mut waited = 0;
    for _ in 0..20 {
        let later = next_pass(&app).await;
        assert_eq!(later.summary_numbers(), [40, 40, 0], "{:#}", later.0);
        assert_eq!(seconds_of(&later), if queries_naming(&app, &poison) > 0 { 10 } else { 0 });
        waited += seconds_of(&later);
    }
    assert!(waited <= 50, "{waited} s in twenty passes");
    assert_eq!(looked_up(&app), [poison], "the neighbours are back in the probe");
    assert_eq!(batches(&app), [names.len() - 1]);
}

#[tokio::test]
async fn healed_repository_returns_to_the_probe_and_a_poisoned_one_backs_off() {
    let (app, _, poison) = poisoned(16, Fault::Status(502)).await;
    app.agent("alpha").beat().await;
    let mut tries = Vec::new();
    for pass in 0..240 {
        assert_ok(&next_pass(&app).await);
        if queries_naming(&app, &poison) > 0 {
            tries.push(pass);
        }
    }
    // Two hours.
    assert!((3..=8).contains(&tries.len()), "{tries:?}");
    assert!(tries.windows(3).all(|of| of[2] - of[1] > of[1] - of[0] || of[2] - of[1] > 100), "{tries:?}");

    app.world.github.heal();
    app.pass_time(3_600);
    assert_ok(&next_pass(&app).await);
    assert_eq!(looked_up(&app), [""; 0], "GraphQL is used again and answers");
    assert_ok(&next_pass(&app).await);
    assert_eq!((batches(&app), looked_up(&app)), (vec![16], vec![]));
    assert_eq!(app.items("FLEET", &format!("NAME#{poison}"))[0].get("byRest"), None);
    assert_eq!(app.state()["ended"].get("probe"), None, "nothing is remembered");
}

#[tokio::test]
async fn many_poisoned_repositories_are_all_read_and_the_state_stays_small() {
    let names = names(120);
    let app = settled(fleet(&names), &names).await;
    let poisoned: Vec<&String> = names.iter().step_by(6).collect();
    for name in &poisoned {
        app.world.github.fault(Matching::graphql().containing(name), Fault::Status(502).forever());
    }
    for pass in 0..6 {
        app.world.github.arrange(|github| names.iter().for_each(|name| github.comment(name, 1)));
        let answer = next_pass(&app).await;
        assert_ne!(answer.status(), "error", "{:#}", answer.0);
        assert_eq!(answer.summary_numbers(), [120, 120, 120], "pass {pass}");
        assert!(batches(&app).len() <= 100, "pass {pass}: {:?}", batches(&app));
        assert!(state_bytes(&app) <= 1_024, "{}", app.state());
    }
}

#[tokio::test]
async fn failing_graphql_costs_few_queries_and_is_tried_again_later() {
    for (fault, words) in [
        (Fault::Status(502), "502"),
        (Fault::Hang, "time"),
        (query_failure(), "execute"),
        (Fault::Garbage, "JSON"),
        (Fault::Status(400), "400"),
    ] {
        let names = names(16);
        let impatient =
            fleet(&names).timing(|timing| timing.github.attempt_timeout = Duration::from_millis(300));
        let app = settled(impatient, &names).await;
        app.world.github.arrange(|github| names.iter().for_each(|name| github.close_issue(name, 1)));
        app.world.github.fault(Matching::graphql(), fault.clone().forever());
        let answer = app.agent("alpha").beat().await;
        assert_eq!(
            (answer.status(), answer.codes()),
            ("warning", vec!["probe_unavailable"]),
            "{:#}",
            answer.0
        );
        assert!(answer.lines("warnings")[0].contains(words), "{:#}", answer.0);
        assert_eq!(answer.0["problems"][0]["retryable"], true, "{fault:?}");
        assert_eq!(answer.touched().len(), 16, "{fault:?}");
        assert!(batches(&app).len() <= 15, "{fault:?}: {:?}", batches(&app));

        app.pass_time(48);
        app.clear_requests();
        let elsewhere = app.another_environment();
        let second = app.agent("alpha").in_environment(elsewhere).beat().await;
        assert_eq!((second.status(), second.codes()), ("warning", vec!["probe_unavailable"]), "{fault:?}");
        assert!(batches(&app).len() <= 1, "{fault:?}: {:?}", batches(&app));
        assert!(state_bytes(&app) <= 1_024, "{}", app.state());

        app.world.github.heal();
        app.pass_time(3_600);
        assert_ok(&next_pass(&app).await);
        assert_eq!((batches(&app), looked_up(&app)), (vec![16], vec![]), "{fault:?}");
        assert_eq!(app.state()["ended"].get("probe"), None, "{fault:?}");
    }
}

#[tokio::test]
async fn failing_github_gets_few_queries_and_graphql_is_used_when_it_is_back() {
    for fault in [Fault::Status(502), Fault::Status(500), Fault::Cut] {
        let names = names(200);
        let app = settled(fleet(&names), &names).await;
        app.world.github.fault(Matching::anything(), fault.clone().forever());
        let answer = app.agent("alpha").beat().await;
        assert_eq!(answer.status(), "error", "{:#}", answer.0);
        assert!(answer.codes().iter().all(|code| *code == "github_unavailable"), "{:#}", answer.0);
        assert_eq!(answer.summary_numbers(), [0, 200, 0]);
        assert!(app.asked().len() <= 80, "{fault:?}: {}", app.asked().len());
        app.world.github.heal();
        assert_ok(&next_pass(&app).await);
        assert_eq!((batches(&app), looked_up(&app)), (vec![100, 100], vec![]), "{fault:?}");
    }
}

#[tokio::test]
async fn refused_graphql_document_is_a_lasting_problem_replaced_by_rest() {
    let refusals: [(&str, Value); 9] = [
        (
            "undefinedField hasIssuesEnabled",
            // turbot/steampipe-plugin-github#305: without the names.
            json!([{ "path": ["fragment Probed", "hasIssuesEnabled"], "extensions": { "code": "undefinedField" },
                     "message": "Field 'hasIssuesEnabled' doesn't exist on type 'Repository'" }]),
        ),
        (
            "undefinedField isDisabled",
            // refined-github/refined-github#6946: GHES 3.5 begins the path with the bare word.
            json!([{ "path": ["query", "repository", "isDisabled"],
                     "extensions": { "code": "undefinedField", "typeName": "Repository", "fieldName": "isDisabled" },
                     "message": "Field 'isDisabled' doesn't exist on type 'Repository'" }]),
        ),
        (
            "argumentNotAccepted orderBy",
            // graphql-ruby: lib/graphql/static_validation/rules/arguments_are_defined_error.rb.
            json!([{ "path": ["fragment Probed", "newest", "orderBy"],
                     "extensions": { "code": "argumentNotAccepted", "name": "issues", "typeName": "Field",
                                     "argumentName": "orderBy" },
                     "message": "Field 'issues' doesn't accept argument 'orderBy'" }]),
        ),
        (
            "undefinedType Repository",
            // graphql-ruby: fragment_types_exist_error.rb.
            json!([{ "path": ["fragment Probed"],
                     "extensions": { "code": "undefinedType", "typeName": "Repository" },
                     "message": "No such type Repository, so it can't be a fragment condition" }]),
        ),
        (
            "argumentLiteralsIncompatible field",
            // graphql-ruby: argument_literals_are_compatible_error.rb. `UPDATED_AT` is not in the enumeration.
            json!([{ "path": ["fragment Probed", "newest", "orderBy", "field"],
                     "extensions": { "code": "argumentLiteralsIncompatible", "typeName": "InputObject",
                                     "argumentName": "field" },
                     "message": "Argument 'field' on InputObject 'IssueOrder' has an invalid value (UPDATED_AT)." }]),
        ),
        // ocurrent/ocurrent#395, octokit/octokit.graphql.net#7: neither a path nor a code.
        (
            "parse error",
            json!([{ "message": "Parse error on \"\u{e2}\" (error) at [13, 15]",
                                 "locations": [{ "line": 13, "column": 15 }] }]),
        ),
        // GitHub docs, "Rate limits and query limits for the GraphQL API": without `first` or `last`.
        (
            "MISSING_PAGINATION_BOUNDARIES",
            json!([{ "type": "MISSING_PAGINATION_BOUNDARIES", "path": ["r0", "newest"], "message": "You must provide …" }]),
        ),
        (
            "EXCESSIVE_PAGINATION",
            json!([{ "type": "EXCESSIVE_PAGINATION", "path": ["r0", "newest"], "message": "Requesting 101 records …" }]),
        ),
        // A word with other characters is not repeated.
        (
            "",
            json!([{ "path": ["fragment Probed", "<b>"], "extensions": { "code": "<script>", "fieldName": "a b" },
                      "message": "x" }]),
        ),
    ];
    for (word, errors) in refusals {
        let names = names(16);
        let app = settled(fleet(&names), &names).await;
        app.world.github.arrange(|github| names.iter().for_each(|name| github.close_issue(name, 1)));
        app.world.github.fault(Matching::graphql(), Fault::not_executed(&errors).forever());
        for (pass, changed) in [(1, 16), (2, 0)] {
            let answer = app.agent("alpha").beat().await;
            assert_eq!(
                (answer.status(), failed(&answer)),
                ("warning", vec![("all".to_owned(), "probe_unavailable".to_owned())])
            );
            let problem = &answer.0["problems"][0];
            assert_eq!((&problem["retryable"], answer.touched().len()), (&false.into(), changed), "{word}");
            let message = problem["message"].as_str().expect("a text");
            assert!(
                message.contains(word) && !message.contains("b>") && !message.contains("script"),
                "{message}"
            );
            assert_eq!(batches(&app).len(), 1, "{word} in pass {pass}: it is not sent in halves");
            app.pass_time(120);
            app.clear_requests();
        }
        app.world.github.heal();
        assert_ok(&next_pass(&app).await);
        assert_eq!((batches(&app), looked_up(&app)), (vec![16], vec![]), "{word}");
    }
}

#[tokio::test]
async fn older_enterprise_server_without_a_field_is_read_by_rest() {
    for (of, field) in
        [("Repository", "hasIssuesEnabled"), ("Repository", "isDisabled"), ("IssueConnection", "totalCount")]
    {
        let names = names(250);
        let app = settled(fleet(&names), &names).await;
        app.world.github.arrange(|github| github.lack_field(of, field));
        for queries in [3, 1] {
            app.world.github.arrange(|github| github.comment(&names[200], 1));
            // So that the request rate allows all of them.
            app.pass_time(60);
            let answer = next_pass(&app).await;
            assert_eq!(
                (answer.status(), answer.codes()),
                ("warning", vec!["probe_unavailable"]),
                "{:#}",
                answer.0
            );
            assert!(
                answer.lines("warnings")[0].contains(&format!("undefinedField {field}")),
                "{:#}",
                answer.0
            );
            assert_eq!(answer.touched(), ["edited acme/repository-200#1"]);
            assert!(batches(&app).len() <= queries, "{field}: {:?}", batches(&app));
        }
    }
}

#[tokio::test]
async fn query_too_large_for_github_is_halved_and_its_size_remembered() {
    // GitHub docs: at most 500,000 nodes a call. Other servers have limits of their own.
    let too_large = [
        json!([{ "type": "MAX_NODE_LIMIT_EXCEEDED", "message": "This query requests up to 500,100 possible nodes …" }]),
        json!([{ "message": "Query has complexity of 1001, which exceeds max complexity of 1000" }]),
        json!([{ "message": "Timeout on validation of query", "extensions": { "code": "validation_timeout" } }]),
    ];
    for errors in too_large {
        let names = names(16);
        let app = settled(fleet(&names), &names).await;
        app.world.github.arrange(|github| github.refuse_batches_above(8, errors.clone()));
        assert_ok(&app.agent("alpha").beat().await);
        assert_eq!((batches(&app), looked_up(&app)), (vec![16, 8, 8], vec![]), "{errors}");
        app.outlive_freshness();
        app.clear_requests();
        let elsewhere = app.another_environment();
        assert_ok(&app.agent("alpha").in_environment(elsewhere).beat().await);
        assert_eq!((batches(&app), looked_up(&app)), (vec![8, 8], vec![]), "{errors}");
        app.world.github.arrange(|github| github.heal_graphql());
        app.pass_time(60);
        assert_ok(&next_pass(&app).await);
        assert_eq!(batches(&app), [16], "{errors}");
    }
}

#[tokio::test]
async fn repository_that_graphql_fails_for_is_looked_up_by_rest() {
    for kind in [Some("INTERNAL"), Some("A_TYPE_THAT_NOBODY_KNOWS"), None] {
        let (app, _, poison) = poisoned(5, Fault::repository_error("acme/repository-001", kind)).await;
        let answer = app.agent("alpha").beat().await;
        assert_ok(&answer);
        assert_eq!(answer.touched().len(), 5, "{kind:?}");
        assert!(asked_by_rest(&app).contains(&format!("/repos/{poison}")));
    }
}

#[tokio::test]
async fn slow_lookup_delays_no_other_repository() {
    let names = names(40);
    let app = settled(fleet(&names), &names).await;
    app.world.github.arrange(|github| github.remove_graphql());
    let mut held = app.world.github.hold(Matching::repository(&names[20]));
    let alpha = app.agent("alpha");
    let mut beat = Box::pin(alpha.beat());
    assert!(until_held(&mut beat, &mut held).await.is_none());
    let all_others = async {
        while looked_up(&app).len() < names.len() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        answer = &mut beat => panic!("the others waited for it: {:#}", answer.0),
        () = all_others => {}
    }
    held.release();
    assert_eq!(beat.await.summary_numbers(), [40, 40, 0]);
}

#[tokio::test]
async fn work_deferred_by_a_failure_of_github_is_never_ok() {
    // The invocation ends before GitHub would have given up.
    let names = names(16);
    let app = settled(fleet(&names), &names).await;
    for fault in [Fault::GivesUp(Duration::from_secs(10)), Fault::GivesUp(Duration::from_secs(40))] {
        for within in [9, 14, 29] {
            app.world.github.fault(Matching::anything(), fault.clone().forever());
            app.outlive_freshness();
            let begun = app.world.clock.now();
            let answer = app.agent("alpha").beat_within(within).await;
            let took = app.world.clock.now().duration_since(begun).as_secs();
            assert_ne!(answer.status(), "ok", "{fault:?} within {within} s, took {took} s: {:#}", answer.0);
            app.world.github.heal();
        }
    }
}

#[tokio::test]
async fn retried_failure_with_deferred_work_is_a_warning() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.world.github.arrange(|github| github.open_issues("acme/api", 500));
    app.world.github.fault(Matching::listing("acme/api").nth(2), Fault::Status(502));
    let clock = app.world.clock.clone();
    app.world
        .github
        .before(Matching::listing("acme/api").nth(3), move |_| clock.advance(Duration::from_secs(WORK)));
    let answer = app.agent("alpha").beat().await;
    assert!(answer.is_deferred(), "{:#}", answer.0);
    assert_eq!((answer.status(), answer.codes()), ("warning", vec!["github_unavailable"]), "{:#}", answer.0);
}
