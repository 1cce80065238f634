//! A GitHub App with several installations: requests for an owner's repositories use that owner's installation, and a
//! mistake in or a refusal of one installation does not affect the others.

use crate::support::app::{TestApp, until_held};
use crate::support::audits;
use crate::support::github_app::{APP, store};
use crate::support::installations::{
    ACME, GLOBEX, assert_globex_alone, codes_for_globex, credentials, installed, open, open_one_in_each,
    token_request, two_changed_owners, two_owners,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use test_world::github::{Matching, fingerprint};
use test_world::{GITHUB_CREDENTIALS_SECRET_ID, GITHUB_TOKEN};

#[tokio::test]
async fn repositories_of_each_owner_are_read_with_that_owners_token() {
    let app = two_owners().await;
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), answer.codes(), open(&app)), ("ok", vec![], [1, 1, 1]), "{:#}", answer.0);
    let tokens = app.world.github.arrange(|github| github.installation_tokens());
    assert_eq!(tokens.len(), 2);
    let of = |installation: u64| {
        let token = tokens.iter().find(|token| token.starts_with(&format!("ghs_{installation}n")));
        Some(fingerprint(token.expect("every installation has a token")))
    };
    for request in app.world.github.requests() {
        let graphql = request.graphql.into_iter().flat_map(|call| call.repositories);
        for repository in request.repository.into_iter().chain(graphql) {
            let installation = if repository.starts_with("acme/") { ACME } else { GLOBEX };
            assert_eq!(request.token, of(installation), "{repository}: {}", request.path);
        }
    }
    app.outlive_freshness();
    assert_eq!(app.agent("alpha").beat().await.status(), "ok");
    assert_eq!(app.world.github.arrange(|github| github.installation_tokens().len()), 2);
}

#[tokio::test]
async fn repositories_of_each_owner_are_read_without_graphql() {
    let app = two_owners().await;
    app.world.github.arrange(|github| github.remove_graphql());
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.codes(), open(&app)), (vec!["probe_unavailable"], [1, 1, 1]), "{:#}", answer.0);
    assert!(codes_for_globex(&answer).is_empty(), "for all owners: {:#}", answer.0);
}

#[tokio::test]
async fn probe_never_names_repositories_of_two_owners() {
    let app = two_owners().await;
    app.agent("alpha").beat().await;
    let requests = app.world.github.requests();
    let asked: Vec<Vec<String>> =
        requests.into_iter().filter_map(|request| request.graphql).map(|call| call.repositories).collect();
    let mut asked: Vec<Vec<&str>> =
        asked.iter().map(|names| names.iter().map(String::as_str).collect()).collect();
    asked.iter_mut().for_each(|names| names.sort_unstable());
    asked.sort_unstable();
    assert_eq!(asked, [vec!["acme/api", "acme/web"], vec!["globex/web"]]);
}

#[tokio::test]
async fn idle_pass_sends_one_probe_per_owner_and_no_more_table_requests() {
    let mut costs = Vec::new();
    for is_one_token in [true, false] {
        let app = two_owners().await;
        if is_one_token {
            app.world.github.arrange(|github| github.accept_only([GITHUB_TOKEN]));
            app.world.secrets.put_secret(GITHUB_CREDENTIALS_SECRET_ID, GITHUB_TOKEN);
        }
        // Until no late change can follow.
        for _ in 0..3 {
            app.agent("alpha").beat().await;
            app.pass_time(200);
        }
        app.clear_requests();
        assert_eq!(app.agent("alpha").beat().await.codes(), [""; 0]);
        costs.push((app.asked().len(), app.world.dynamodb.capacity()));
    }
    let [(1, of_one), (2, of_two)] = costs[..] else { panic!("{costs:#?}") };
    assert_eq!(of_one, of_two);
}

#[tokio::test]
async fn owner_without_an_installation_is_named_and_the_others_are_read() {
    let app = two_owners().await;
    store(&app, &credentials(json!({ "acme": ACME })));
    let answer = app.agent("alpha").beat().await;
    assert_globex_alone(&answer, &["credentials_invalid"]);
    assert_eq!(open(&app), [1, 1, 0]);
    let line = answer.lines("warnings")[0];
    assert!(line.starts_with("sync: ") && line.contains("GITHUB_CREDENTIALS_SECRET_ID"), "{line}");
    assert!(
        line.matches("globex").count() > 1,
        "the owner that it affects, and the entry that is missing: {line}"
    );
    store(&app, &credentials(json!({ "acme": ACME, "globex": GLOBEX })));
    app.pass_time(60);
    assert_eq!((app.agent("alpha").beat().await.status(), open(&app)), ("ok", [1, 1, 1]));
}

#[tokio::test]
async fn mistake_in_an_entry_affects_its_owner_alone() {
    let mistakes = [
        [r#""globex": "eight""#, r#""globex": null"#, r#""globex": 8.5"#, r#""globex": -8"#].as_slice(),
        &[r#""globex": 8, "globex": 9"#, r#""globex": 8, "GLOBEX": 8"#],
        &[r#""glob ex": 8"#],
    ];
    let mut messages = BTreeSet::new();
    for (kind, globex) in
        mistakes.iter().enumerate().flat_map(|(n, kind)| kind.iter().map(move |entry| (n, entry)))
    {
        let app = two_owners().await;
        let secret = credentials(json!("ENTRIES")).to_string();
        let entries = format!(r#"{{ "acme": {ACME}, {globex} }}"#);
        app.world.secrets.put_secret(GITHUB_CREDENTIALS_SECRET_ID, &secret.replace(r#""ENTRIES""#, &entries));
        let answer = app.agent("alpha").beat().await;
        assert_globex_alone(&answer, &["credentials_invalid"]);
        let message = answer.0["problems"][0]["message"].as_str().expect("a text").to_owned();
        assert!(message.contains("globex"), "{message}");
        assert!(!message.contains("eight") && !message.contains("glob ex"), "{message}");
        messages.insert((kind, message));
        assert_eq!(open(&app), [1, 1, 0]);
    }
    // Each kind of mistake has one message of its own.
    let texts: BTreeSet<&String> = messages.iter().map(|(_, message)| message).collect();
    assert_eq!((messages.len(), texts.len()), (3, 3), "{messages:#?}");
}

#[tokio::test]
async fn mistakes_in_two_entries_are_reported_separately() {
    let app = two_owners().await;
    store(&app, &credentials(json!({ "acne": ACME, "globex": "eight" })));
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), answer.codes()), ("error", vec!["credentials_invalid"; 2]));
    let problem = |n: usize| &answer.0["problems"][n];
    for (n, owner) in ["acme", "globex"].into_iter().enumerate() {
        assert!(problem(n)["message"].as_str().is_some_and(|text| text.contains(owner)), "{:#}", answer.0);
    }
    assert_ne!(problem(0)["message"], problem(1)["message"]);
}

#[tokio::test]
async fn unusable_installations_are_an_error_for_all_owners() {
    let mut both = credentials(json!({ "acme": ACME }));
    both["installationId"] = json!(ACME);
    for (secret, terms) in [
        (both, ["installationId", "installations"].as_slice()),
        (credentials(json!({})), &["installations"]),
        (credentials(json!([ACME])), &["token", "installations"]),
        (credentials(json!(null)), &["installationId", "installations"]),
    ] {
        let app = two_owners().await;
        store(&app, &secret);
        let answer = app.agent("alpha").beat().await;
        assert_eq!((answer.status(), answer.codes()), ("error", vec!["credentials_invalid"]));
        let problem = &answer.0["problems"][0];
        let message = problem["message"].as_str().expect("a text");
        assert!(terms.iter().all(|term| message.contains(term)), "{message}");
        assert_eq!(problem["owners"], Value::Null, "all owners: {problem:#}");
        assert_eq!(app.asked(), [""; 0]);
    }
}

#[tokio::test]
async fn suspended_or_removed_installation_affects_its_owner_alone() {
    for (is_gone, has_token) in [(false, false), (false, true), (true, false), (true, true)] {
        let app = if has_token { two_changed_owners().await } else { two_owners().await };
        app.world.github.arrange(|github| match is_gone {
            true => github.uninstall_app(GLOBEX),
            false => github.suspend_installation(GLOBEX),
        });
        let answer = app.agent("alpha").beat().await;
        if is_gone {
            assert_globex_alone(&answer, &["github_unauthorized"]);
        } else {
            assert_eq!((answer.status(), answer.codes()), ("warning", vec!["github_forbidden"]));
            assert_eq!(answer.0["problems"][0]["repository"], "globex/web");
        }
        assert_eq!(open(&app)[..2], if has_token { [2, 2] } else { [1, 1] });
        let requests = app.asked();
        let tries = requests.iter().filter(|path| **path == token_request(GLOBEX)).count();
        assert!(tries <= 1, "gone: {is_gone}, has a token: {has_token}: {requests:#?}");
    }
}

#[tokio::test]
async fn refused_app_sends_one_token_request_for_all_owners() {
    let app = two_owners().await;
    app.world.github.arrange(|github| github.revoke_app_key(APP));
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), answer.codes()), ("error", vec!["github_unauthorized"]));
    assert!(codes_for_globex(&answer).is_empty(), "for all owners: {:#}", answer.0);
    assert_eq!(app.asked().len(), 1, "{:#?}", app.asked());
}

#[tokio::test]
async fn refused_app_with_several_tokens_due_sends_one_token_request() {
    let app = two_owners().await;
    app.agent("alpha").beat().await;
    // Both tokens are still valid, and due for renewal.
    app.pass_time(3_400);
    app.world.github.arrange(|github| github.revoke_app_key(APP));
    app.clear_requests();
    assert_eq!(app.agent("alpha").beat().await.status(), "ok");
    assert_eq!(app.asked().iter().filter(|path| path.starts_with("/app/")).count(), 1, "{:#?}", app.asked());
}

#[tokio::test]
async fn tokens_after_the_first_are_requested_concurrently() {
    let app = installed(TestApp::tracking(&["acme/api", "globex/web", "initech/app"])).await;
    app.world.github.arrange(|github| github.install_app_at("initech", APP, 9));
    store(&app, &credentials(json!({ "acme": ACME, "globex": GLOBEX, "initech": 9 })));
    // The first pass starts with the second repository.
    let held = [GLOBEX, 9, ACME].map(|id| app.world.github.hold(Matching::path(&token_request(id))));
    let [mut first, mut second, mut third] = held;
    let alpha = app.agent("alpha");
    let mut beat = Box::pin(alpha.beat());
    assert!(until_held(&mut beat, &mut first).await.is_none());
    assert_eq!(app.asked().len(), 1, "it is not known yet whether GitHub accepts the key");
    first.release();
    assert!(until_held(&mut beat, &mut second).await.is_none());
    assert!(until_held(&mut beat, &mut third).await.is_none(), "the requests are concurrent");
    second.release();
    third.release();
    assert_eq!(beat.await.status(), "ok");
}

#[tokio::test]
async fn tokens_of_an_accepted_app_are_requested_concurrently() {
    let app = installed(TestApp::tracking(&["acme/api", "globex/web"])).await;
    app.agent("alpha").beat().await;
    // After both tokens have expired: they are valid for an hour.
    app.pass_time(3_700);
    let mut first = app.world.github.hold(Matching::path(&token_request(ACME)));
    let mut second = app.world.github.hold(Matching::path(&token_request(GLOBEX)));
    let alpha = app.agent("alpha");
    let mut beat = Box::pin(alpha.beat());
    assert!(until_held(&mut beat, &mut first).await.is_none());
    assert!(until_held(&mut beat, &mut second).await.is_none(), "the requests are concurrent");
    first.release();
    second.release();
    assert_eq!(beat.await.status(), "ok");
}

#[tokio::test]
async fn installation_tokens_are_requested_by_the_first_pass_and_not_before() {
    let app = two_owners().await;
    app.app.prepare().await;
    assert_eq!(app.asked(), ["/"], "the connection");
    assert_eq!(app.agent("alpha").beat().await.status(), "ok");
    let asked = app.asked();
    let mut asked: Vec<&String> = asked.iter().filter(|path| path.starts_with("/app/")).collect();
    asked.sort();
    assert_eq!(asked, [&token_request(ACME), &token_request(GLOBEX)]);
}

#[tokio::test]
async fn repository_moved_to_another_owner_is_read_with_that_owners_token() {
    let mut app = two_owners().await;
    app.agent("alpha").beat().await;
    app.world.github.arrange(|github| github.rename_repository("acme/api", "globex/api"));
    app.outlive_freshness();
    let answer = app.agent("alpha").beat().await;
    assert_eq!(answer.0["problems"][0]["repository"], "acme/api");
    assert_eq!(
        (answer.codes(), app.open_rows("globex/api").len()),
        (vec!["repository_not_found"], 1),
        "its rows stay"
    );
    app.restart_with("REPOSITORIES", "globex/api globex/web acme/web");
    app.world.github.arrange(|github| github.open_issues("globex/api", 1));
    app.outlive_freshness();
    app.clear_requests();
    let answer = app.agent("alpha").beat().await;
    assert_eq!((answer.status(), answer.touched()), ("ok", vec!["opened globex/api#2".to_owned()]));
    assert_eq!(
        app.asked().iter().filter(|path| path.starts_with("/repos/")).count(),
        1,
        "no second first listing"
    );
}

#[tokio::test]
async fn repository_whose_owner_is_renamed_is_still_read() {
    let app = installed(audits::tracking(&["acme/api", "globex/web", "acme/web"])).await;
    open_one_in_each(&app);
    app.agent("alpha").beat().await;
    app.outlive_freshness();
    app.world.github.arrange(|github| {
        github.rename_owner("acme", "emca");
        github.close_issue("emca/api", 1);
        github.open_issues("emca/web", 1);
    });
    let answer = app.agent("alpha").beat().await;
    assert_eq!(
        (answer.status(), answer.touched()),
        ("ok", vec!["closed emca/api#1".to_owned(), "opened emca/web#2".to_owned()]),
        "{:#}",
        answer.0
    );
    // Until no late change can follow.
    app.pass_time(200);
    app.agent("alpha").beat().await;
    app.world.github.arrange(|github| github.delete_issue("emca/web", 1));
    // Its row has the address at which it was read.
    let answer = audits::audit(&app).await;
    assert_eq!((answer.codes(), answer.touched()), (vec![], vec!["deleted acme/web#1".to_owned()]));
}

#[tokio::test]
async fn public_repository_moved_to_an_owner_without_the_app_is_still_read() {
    for has_graphql in [true, false] {
        let app = two_owners().await;
        app.agent("alpha").beat().await;
        app.outlive_freshness();
        app.world.github.arrange(|github| {
            github.publish_repository("acme/api");
            github.rename_repository("acme/api", "initech/api");
            github.open_issues("initech/api", 1);
            if !has_graphql {
                github.remove_graphql();
            }
        });
        let answer = app.agent("alpha").beat().await;
        let codes = if has_graphql { vec![] } else { vec!["probe_unavailable"] };
        assert_eq!(
            (answer.codes(), answer.touched()),
            (codes, vec!["opened initech/api#2".to_owned()]),
            "{:#}",
            answer.0
        );
    }
}

#[tokio::test]
async fn probe_built_for_one_token_is_not_sent_as_an_installation() {
    let app = two_owners().await;
    app.world.secrets.put_secret(GITHUB_CREDENTIALS_SECRET_ID, GITHUB_TOKEN);
    let mut held = app.world.github.hold(Matching::graphql());
    let alpha = app.agent("alpha");
    let mut beat = Box::pin(alpha.beat());
    assert!(until_held(&mut beat, &mut held).await.is_none());
    store(&app, &credentials(json!({ "acme": ACME, "globex": GLOBEX })));
    held.release();
    let answer = beat.await;
    assert_eq!((answer.codes(), app.asked().len()), (vec![], 1), "{:#}", answer.0);
    assert_eq!(answer.summary_numbers(), [0, 3, 0, 3], "all three are deferred: {:#}", answer.0);
    let passes = app.items("PASSES", "");
    assert_eq!(passes.last().expect("a record")["deferred"].as_array().map(Vec::len), Some(3));
    app.outlive_freshness();
    assert_eq!((app.agent("alpha").beat().await.status(), open(&app)), ("ok", [1, 1, 1]));
}
