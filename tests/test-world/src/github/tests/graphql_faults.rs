//! What a client sees of GraphQL's faults, limits and lasting failures.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::*;
use super::Scene;

const BATCH: [&str; 3] = ["acme/api", "acme/web", "acme/docs"];

async fn three() -> Scene {
    let scene = Scene::new().await;
    scene.github.arrange(|world| {
        for name in &BATCH[1..] {
            world.create_repository(name);
        }
        for name in BATCH {
            world.open_issues(name, 2);
        }
    });
    scene
}

#[tokio::test]
async fn failing_repository_does_not_affect_the_others() {
    let scene = three().await;
    let web = || Matching::graphql().containing("acme/web");
    scene.github.world().rename_repository("acme/web", "acme/site");
    scene.github.fault(web(), Fault::repository_error("acme/site", "FORBIDDEN"));
    scene.github.fault(web(), Fault::repository_error("acme/web", None));

    assert_eq!(scene.batch(&["acme/api"]).await.body.get("errors"), None, "it was not asked for");
    for kind in ["FORBIDDEN", "none"] {
        let answered = scene.batch(&BATCH).await;
        assert_eq!((answered.status, answered.error_types()), (200, vec![kind]));
        assert_eq!(answered.body["errors"][0]["path"], json!(["r1"]));
        assert_eq!(answered.data()["r1"], Value::Null);
        assert_eq!(answered.data()["r2"]["nameWithOwner"], "acme/docs");
    }
    assert_eq!(scene.batch(&BATCH).await.body.get("errors"), None);
}

#[tokio::test]
async fn missing_field_rejects_the_whole_document() {
    let scene = three().await;
    scene.github.world().lack_field("Repository", "isDisabled");
    let answered = scene.batch(&BATCH).await;
    assert_eq!((answered.status, answered.body.get("data")), (200, None));
    let error = &answered.body["errors"][0];
    assert_eq!(error["extensions"]["code"], "undefinedField");
    assert_eq!(error["message"], "Field 'isDisabled' doesn't exist on type 'Repository'");
    assert_eq!(error["path"].as_array().and_then(|path| path.last()), Some(&json!("isDisabled")));
    scene.github.world().heal_graphql();
    assert_eq!(scene.batch(&BATCH).await.body.get("errors"), None);
}

#[tokio::test]
async fn poisoned_repository_fails_every_query_that_names_it() {
    let scene = three().await;
    let until = scene.github.world().now() + jiff::SignedDuration::from_secs(60);
    for (poison, status) in [(Poison::TimedOut, 502), (Poison::NotExecuted, 200)] {
        scene.github.world().poison_graphql("acme/web", poison, until);
        let answered = scene.batch(&BATCH).await;
        assert_eq!((answered.status, answered.error_types()), (status, vec!["none"]));
        assert_eq!(scene.batch(&["acme/api", "acme/docs"]).await.body.get("errors"), None);
    }
    scene.clock.advance(Duration::from_secs(60));
    assert_eq!(scene.batch(&BATCH).await.body.get("errors"), None);
}

#[tokio::test]
async fn query_above_the_resource_limits_is_answered_in_part() {
    let scene = three().await;
    scene.github.fault(Matching::graphql(), Fault::resource_limits(1));
    let answered = scene.batch(&BATCH).await;
    assert_eq!((answered.status, answered.error_types()), (200, vec!["RESOURCE_LIMITS_EXCEEDED"; 2]));
    assert_eq!(answered.body["errors"][0]["path"], json!(["r1", "newest", "nodes"]));
    assert!(answered.data()["r0"]["newest"]["nodes"].is_array());
    assert_eq!(answered.data()["r1"]["newest"], json!({ "nodes": null }));
    assert_eq!(answered.data()["r1"]["open"], json!({ "totalCount": 2 }));
}

#[tokio::test]
async fn failing_node_is_null_in_its_list() {
    let scene = three().await;
    scene.github.fault(Matching::graphql(), Fault::node_error(1));
    let document = "{ repository(owner: \"acme\", name: \"api\") { issues(first: 5) { nodes { number } } } }";
    let answered = scene.query(document, Value::Null).await;
    assert_eq!(answered.data()["repository"]["issues"]["nodes"], json!([{ "number": 1 }, null]));
    let error = &answered.body["errors"][0];
    let path = json!(["repository", "issues", "nodes", 1, "number"]);
    assert_eq!((&error["path"], error.get("type")), (&path, None));
}

#[tokio::test]
async fn statuses_and_cut_connections_are_those_of_rest() {
    let scene = three().await;
    for status in [502, 504, 403, 404] {
        scene.github.fault(Matching::graphql(), Fault::Status(status));
    }
    scene.github.fault(Matching::graphql(), Fault::secondary_limit(Some("60")));
    assert_eq!(scene.get("/repos/acme/api").await.status, 200);
    let mut met = Vec::new();
    for _ in 0..6 {
        met.push(scene.batch(&BATCH).await.status);
    }
    assert_eq!(met, [502, 504, 403, 404, 403, 200]);
    assert_eq!(scene.github.unused(), Vec::<String>::new());
}

#[tokio::test]
async fn limits_are_answered_with_200() {
    let scene = three().await;
    scene.github.fault(Matching::graphql(), Fault::graphql_limit("RATE_LIMIT"));
    scene.github.fault(Matching::graphql(), Fault::graphql_secondary_limit(Some("30")));
    let primary = scene.batch(&BATCH).await;
    assert_eq!(
        (primary.status, primary.data(), primary.error_types()),
        (200, &Value::Null, vec!["RATE_LIMIT"])
    );
    let secondary = scene.batch(&BATCH).await;
    let message = secondary.body["errors"][0]["message"].as_str().expect("an error has a message");
    assert!(message.contains("secondary rate limit"), "{message}");
    assert_eq!((secondary.status, secondary.header("retry-after")), (200, Some("30")));
}

#[tokio::test]
async fn used_up_points_are_answered_with_200_until_their_reset() {
    let scene = three().await;
    let reset = scene.github.world().now() + Duration::from_secs(60);
    scene.github.world().set_graphql_budget(5_000, 1, reset);
    assert_eq!(scene.batch(&BATCH).await.body.get("errors"), None);
    let refused = scene.batch(&BATCH).await;
    assert_eq!((refused.status, refused.error_types()), (200, vec!["RATE_LIMITED"]));
    assert_eq!(refused.data(), &Value::Null);
    assert_eq!(refused.header("x-ratelimit-remaining"), Some("0"));
    assert_eq!(refused.header("x-ratelimit-reset"), Some(reset.as_second().to_string().as_str()));
    assert_eq!(scene.get("/repos/acme/api").await.status, 200, "REST has a budget of its own");
    scene.seconds_pass(60);
    assert_eq!(scene.batch(&BATCH).await.header("x-ratelimit-remaining"), Some("4999"));
    let points: Vec<_> =
        scene.github.requests().into_iter().filter_map(|request| Some(request.graphql?.points)).collect();
    assert_eq!(points, [1, 0, 1], "a refused call takes nothing");
}

#[tokio::test]
async fn large_batches_and_those_with_a_slow_repository_time_out() {
    let scene = three().await;
    scene.github.world().time_out_batches_above(2);
    let slow = scene.batch(&BATCH).await;
    assert_eq!((slow.status, slow.data()), (502, &Value::Null));
    assert_eq!(scene.batch(&BATCH[..2]).await.status, 200);

    scene.github.world().heal_graphql();
    scene.github.world().time_out_batches_with("acme/docs");
    assert_eq!(scene.batch(&BATCH).await.status, 502);
    assert_eq!(scene.batch(&BATCH[2..]).await.status, 502);
    assert_eq!(scene.batch(&BATCH[..2]).await.status, 200);
    scene.github.world().heal_graphql();
    assert_eq!(scene.batch(&BATCH).await.status, 200);
}

#[tokio::test]
async fn server_without_graphql_answers_404() {
    let scene = three().await;
    scene.github.world().remove_graphql();
    let answered = scene.batch(&BATCH).await;
    assert_eq!((answered.status, &answered.body["message"]), (404, &json!("Not Found")));
    assert_eq!(scene.get("/repos/acme/api").await.status, 200);
    scene.github.world().heal_graphql();
    assert_eq!(scene.batch(&BATCH).await.status, 200);
}

#[tokio::test]
async fn calls_can_be_held_and_follow_edits() {
    let scene = three().await;
    scene.github.before(Matching::graphql(), |world| world.close_issue("acme/api", 1));
    let mut held = scene.github.hold(Matching::graphql().containing("acme/api"));
    let meanwhile = async {
        held.arrived().await;
        scene.github.world().close_issue("acme/api", 2);
        held.release();
    };
    let (answered, ()) = tokio::join!(scene.batch(&BATCH), meanwhile);
    assert_eq!(answered.data()["r0"]["open"]["totalCount"], 0);
}
