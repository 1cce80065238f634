//! What a client sees of faults and holds.

use super::super::*;
use super::Scene;

#[tokio::test]
async fn faults_apply_in_the_order_they_were_added_and_end() {
    let scene = Scene::new().await;
    let listing = || Matching::listing("acme/api");
    scene.github.fault(listing(), Fault::Status(502).times(2));
    scene.github.fault(listing(), Fault::EmptyList);
    scene.github.fault(listing().nth(5), Fault::secondary_limit(Some("60")));
    scene.github.fault(Matching::path("/rate_limit"), Fault::Garbage);
    scene.github.world().open_issue("acme/api", "One");

    let mut answers = Vec::new();
    for _ in 0..6 {
        let answered = scene.get("/repos/acme/api/issues").await;
        let remaining = answered.header("x-ratelimit-remaining").map(str::to_owned);
        answers.push((answered.status, answered.body.as_array().map(Vec::len), remaining.expect("a budget")));
    }
    let expected = [
        (502, None, "4999"),
        (502, None, "4998"),
        (200, Some(0), "4997"),
        (200, Some(1), "4996"),
        (403, None, "4995"),
        (200, Some(1), "4994"),
    ];
    assert_eq!(answers, expected.map(|(status, issues, remaining)| (status, issues, remaining.to_owned())));

    let statuses: Vec<_> = scene.github.requests().iter().map(|request| request.status).collect();
    assert_eq!(statuses, expected.map(|(status, ..)| Some(status)));
    assert_eq!(scene.github.unused().len(), 1, "no request for the budget was sent");
    scene.github.heal();
    assert_eq!(scene.github.unused(), Vec::<String>::new());
}

#[tokio::test]
async fn cut_connections_are_errors_for_the_client() {
    let scene = Scene::new().await;
    let url = format!("{}/repos/acme/api", scene.github.url());
    scene.github.fault(Matching::repository("acme/api"), Fault::Cut);
    scene.github.fault(Matching::repository("acme/api"), Fault::HalfPage);

    assert!(scene.send(&url).await.is_err());
    let half = scene.send(&url).await.expect("headers come whole");
    assert!(half.status().is_success() && half.content_length().is_some_and(|length| length > 0));
    assert!(half.bytes().await.is_err());
    assert_eq!(scene.get("/repos/acme/api").await.status, 200);
}

#[tokio::test]
async fn held_requests_see_what_changed_meanwhile() {
    let scene = Scene::new().await;
    let mut held = scene.github.hold(Matching::listing("acme/api"));
    let meanwhile = async {
        held.arrived().await;
        scene.github.world().open_issue("acme/api", "One");
        held.release();
    };
    let (numbers, ()) = tokio::join!(scene.numbers(""), meanwhile);
    assert_eq!(numbers, [1]);
    assert_eq!(scene.numbers("").await, [1], "later ones are not held");
}
