//! GitHub Apps: who gets a token, what it gives access to, and for how long.

use serde_json::{Value, json};

use super::super::*;
use super::{Answered, Scene};

const APP: u64 = 4_711;

async fn scene() -> Scene {
    let scene = Scene::new().await;
    scene.github.world().install_app(APP, 7);
    scene
}

/// A valid token of the App, after `change` has modified its claims.
fn jwt(scene: &Scene, change: impl FnOnce(&mut Value)) -> String {
    let now = scene.clock.now().as_second();
    let mut claims = json!({ "iat": now - 60, "exp": now + 540, "iss": APP });
    change(&mut claims);
    app_jwt(&claims)
}

async fn token_for(scene: &Scene, installation: u64, jwt: &str) -> Answered {
    let url = format!("{}/app/installations/{installation}/access_tokens", scene.github.url());
    scene.answered(scene.client.post(url).bearer_auth(jwt)).await
}

async fn listing(scene: &Scene, token: &str) -> Answered {
    let url = format!("{}/repos/acme/api/issues", scene.github.url());
    scene.answered(scene.client.get(url).bearer_auth(token)).await
}

async fn token(scene: &Scene) -> String {
    let given = token_for(scene, 7, &jwt(scene, |_| {})).await;
    given.body["token"].as_str().expect("a token").to_owned()
}

#[tokio::test]
async fn app_gets_a_token_of_its_installation_for_an_hour() {
    let scene = scene().await;
    scene.github.world().accept_only([]);
    let given = token_for(&scene, 7, &jwt(&scene, |_| {})).await;
    assert_eq!((given.status, &given.body["expires_at"]), (201, &json!("2026-11-22T07:00:00Z")));
    let token = given.body["token"].as_str().expect("a token");
    scene.seconds_pass(3_599);
    assert_eq!(listing(&scene, token).await.status, 200);
    scene.seconds_pass(1);
    assert_eq!(listing(&scene, token).await.status, 401);
    assert_eq!(listing(&scene, "ghs_made_up").await.status, 401);
}

#[tokio::test]
async fn jwt_must_be_signed_by_the_apps_key_and_valid_now() {
    let scene = scene().await;
    let now = scene.clock.now().as_second();
    for (change, status) in [
        ((|claims: &mut Value, _| claims["iss"] = json!("4711")) as fn(&mut Value, i64), 201),
        (|claims, now| claims["exp"] = json!(now + 600), 201),
        (|claims, now| claims["exp"] = json!(now + 601), 401),
        (|claims, now| claims["exp"] = json!(now), 401),
        (|claims, now| claims["iat"] = json!(now), 201),
        (|claims, now| claims["iat"] = json!(now + 1), 401),
        (|claims, _| claims["iss"] = json!(4_712), 404),
        (|claims, _| claims["iss"] = json!(null), 401),
    ] {
        let jwt = jwt(&scene, |claims| change(claims, now));
        assert_eq!(token_for(&scene, 7, &jwt).await.status, status, "{jwt}");
    }
    let good = jwt(&scene, |_| {});
    let other = jwt(&scene, |claims| claims["exp"] = json!(now + 500));
    let (signed, _) = good.rsplit_once('.').expect("three parts");
    let (_, signature) = other.rsplit_once('.').expect("three parts");
    for forged in [format!("{signed}.{signature}"), format!("{signed}."), "a-token".to_owned(), String::new()]
    {
        assert_eq!(token_for(&scene, 7, &forged).await.status, 401, "{forged}");
    }
    scene.github.world().revoke_app_key(APP);
    assert_eq!(token_for(&scene, 7, &good).await.status, 401);
    scene.github.world().restore_app_key(APP);
    assert_eq!(token_for(&scene, 7, &good).await.status, 201);
}

#[tokio::test]
async fn token_has_the_permissions_of_its_installation_while_that_exists() {
    let scene = scene().await;
    let (token, jwt) = (token(&scene).await, jwt(&scene, |_| {}));
    scene.github.world().forbid_issues(7);
    let forbidden = listing(&scene, &token).await;
    assert_eq!(
        (forbidden.status, forbidden.header("x-accepted-github-permissions")),
        (403, Some("issues=read"))
    );
    assert_eq!(token_for(&scene, 7, &jwt).await.body["permissions"], json!({ "metadata": "read" }));
    scene.github.world().allow_issues(7);
    assert_eq!(listing(&scene, &token).await.status, 200);

    scene.github.world().suspend_installation(7);
    assert_eq!([listing(&scene, &token).await.status, token_for(&scene, 7, &jwt).await.status], [403; 2]);
    scene.github.world().unsuspend_installation(7);
    assert_eq!(listing(&scene, &token).await.status, 200);

    scene.github.world().uninstall_app(7);
    assert_eq!([listing(&scene, &token).await.status, token_for(&scene, 7, &jwt).await.status], [401, 404]);
    scene.github.world().install_app(APP + 1, 8);
    assert_eq!(token_for(&scene, 8, &jwt).await.status, 404, "it is another App's");
    scene.github.world().delete_app(APP);
    assert_eq!(token_for(&scene, 7, &jwt).await.body["message"], "Integration not found");
}

#[tokio::test]
async fn tokens_of_an_installation_share_its_budget() {
    let scene = scene().await;
    let (first, second) = (token(&scene).await, token(&scene).await);
    assert_ne!(first, second);
    assert_eq!(listing(&scene, &first).await.header("x-ratelimit-remaining"), Some("4999"));
    assert_eq!(listing(&scene, &second).await.header("x-ratelimit-remaining"), Some("4998"));
    assert_eq!(listing(&scene, "another").await.header("x-ratelimit-remaining"), Some("4999"));
}
