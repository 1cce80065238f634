//! Tokens bound to agents: names, rights, expiry, and secrets with mistakes.

use serde_json::{Value, json};
use test_world::{AGENT_TOKEN, AGENT_TOKENS_SECRET_ID};

use crate::support::app::{Reply, TestApp};
use crate::support::checked::Checked;
use crate::support::log::Log;

const ALPHAS: &str = "alphas-token-not-a-secret-0123456789";
const CIS: &str = "the-cis-token-not-a-secret-0123456789";
const OLD: &str = "the-old-token-not-a-secret-0123456789";

/// A service whose secret has these entries.
async fn with(entries: &[Value]) -> TestApp {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    store(&app, entries);
    app
}

fn store(app: &TestApp, entries: &[Value]) {
    let secret = json!({ "tokens": entries });
    app.world.secrets.put_secret(AGENT_TOKENS_SECRET_ID, &secret.to_string());
}

async fn beat(app: &TestApp, agent: &str, token: &str) -> Reply {
    app.stranger()
        .sends_changed(|event| {
            let path = format!("/api/agents/{agent}/heartbeat");
            event["rawPath"] = path.clone().into();
            event["requestContext"]["http"]["path"] = path.into();
            event["headers"]["authorization"] = format!("Bearer {token}").into();
        })
        .await
}

async fn statuses(app: &TestApp, token: &str, agents: &[&str]) -> Vec<u16> {
    let mut statuses = Vec::new();
    for agent in agents {
        statuses.push(beat(app, agent, token).await.status);
    }
    statuses
}

/// The first 64 bits of [`ALPHAS`]' SHA-256, as `sha256sum` prints them.
const ALPHAS_FINGERPRINT: &str = "34567528734c9464";

#[tokio::test]
async fn bound_token_serves_only_the_agents_it_names() {
    let app = with(&[
        json!({"token": ALPHAS, "agents": ["alpha", "alpha2"]}),
        json!({"token": CIS, "agents": ["ci-*"]}),
        json!({"token": AGENT_TOKEN, "agents": ["*"]}),
    ])
    .await;
    let names = ["alpha", "alpha2", "alpha3", "Alpha", "ci-", "ci-7", "ci", "c"];
    assert_eq!(statuses(&app, ALPHAS, &names).await, [200, 200, 403, 403, 403, 403, 403, 403]);
    assert_eq!(statuses(&app, CIS, &names).await, [403, 403, 403, 403, 200, 200, 403, 403]);
    assert_eq!(statuses(&app, AGENT_TOKEN, &names).await, [200; 8]);
}

#[tokio::test]
async fn bound_token_under_another_name_is_forbidden_and_nothing_runs() {
    let app = with(&[json!({"token": ALPHAS, "agents": ["alpha", "gamma"]})]).await;
    let reply = beat(&app, "beta", ALPHAS).await;
    assert_eq!(reply.status, 403);
    assert_eq!(reply.headers["content-type"], "application/problem+json");
    insta::assert_json_snapshot!(reply.body, @r#"
    {
      "detail": "this token is not valid for this agent",
      "error": "Forbidden",
      "status": 403,
      "title": "Forbidden",
      "type": "about:blank"
    }
    "#);
    assert_eq!(app.world.dynamodb.requests(), []);
    assert_eq!(app.world.github.requests(), []);
}

#[tokio::test]
async fn token_without_the_right_to_beat_is_forbidden_and_nothing_runs() {
    let app = with(&[
        json!({"token": ALPHAS, "agents": ["alpha"]}),
        json!({"token": CIS, "agents": ["ci-*"], "may": ["read", "beat", "read"]}),
        json!({"token": OLD, "agents": ["*"], "may": ["read"]}),
    ])
    .await;
    let reply = beat(&app, "alpha", OLD).await;
    assert_eq!((reply.status, reply.headers["content-type"].as_str()), (403, "application/problem+json"));
    insta::assert_json_snapshot!(reply.body["detail"], @r#""this token may not send heartbeats; use another one, or add `beat` to `may` of its entry in the secret with the agents' tokens""#);
    assert_eq!(app.world.dynamodb.requests(), []);
    assert_eq!(app.world.github.requests(), []);
    assert_eq!(statuses(&app, OLD, &[".alpha", "%FF"]).await, [400, 400]);
    assert_eq!(statuses(&app, ALPHAS, &["alpha", "ci-7"]).await, [200, 403]);
    assert_eq!(statuses(&app, CIS, &["alpha", "ci-7"]).await, [403, 200]);
}

#[tokio::test]
async fn new_right_to_beat_works_at_once() {
    let app = with(&[json!({"token": ALPHAS, "agents": ["alpha"], "may": ["read"]})]).await;
    assert_eq!(statuses(&app, ALPHAS, &["alpha"]).await, [403]);
    app.pass_time(10);
    store(&app, &[json!({"token": ALPHAS, "agents": ["alpha"], "may": null})]);
    assert_eq!(statuses(&app, ALPHAS, &["alpha"]).await, [200]);
}

#[tokio::test]
async fn invalid_token_does_not_learn_whether_a_name_is_valid() {
    let app = with(&[json!({"token": ALPHAS, "agents": ["alpha"]})]).await;
    assert_eq!(statuses(&app, ALPHAS, &[".alpha", "%FF"]).await, [400, 400]);
    assert_eq!(statuses(&app, OLD, &[".alpha", "%FF", "alpha", "beta"]).await, [401; 4]);
}

#[tokio::test]
async fn agent_with_several_tokens_stores_which_it_used_last() {
    let app = with(&[
        json!({"token": OLD, "agents": ["alpha", "beta"]}),
        json!({"token": ALPHAS, "agents": ["alpha", "beta"]}),
    ])
    .await;
    let used = || app.items("AGENTS", "").iter().map(|item| item["tokenFingerprint"].clone()).collect();
    assert_eq!(beat(&app, "alpha", OLD).await.status, 200);
    let before: Vec<Value> = used();
    assert_eq!(beat(&app, "beta", ALPHAS).await.status, 200);
    assert_eq!(beat(&app, "alpha", ALPHAS).await.status, 200);
    let after: Vec<Value> = used();
    assert_eq!(after, [ALPHAS_FINGERPRINT; 2]);
    assert_ne!(before, [ALPHAS_FINGERPRINT]);
    let everything = app.items("", "").iter().map(ToString::to_string).collect::<String>();
    for part in [ALPHAS, OLD, &ALPHAS[..12], &OLD[..12]] {
        assert!(!everything.contains(part), "{part}");
    }
}

#[tokio::test]
async fn scheduled_heartbeat_has_a_run_and_no_agent_item_with_a_token() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.schedule().beat().await.expect("a good heartbeat");
    assert_eq!((app.runs("scheduler").len(), app.items("AGENTS", "").len()), (1, 0));
}

#[tokio::test]
async fn expired_token_is_refused_like_a_wrong_one() {
    let app = with(&[
        json!({"token": OLD, "agents": ["*"], "expiresAt": "2026-11-22T07:01:00+01:00"}),
        json!({"token": ALPHAS, "agents": ["*"], "expiresAt": null}),
    ])
    .await;
    app.pass_time(59);
    assert_eq!([beat(&app, "alpha", OLD).await.status, beat(&app, "alpha", ALPHAS).await.status], [200; 2]);
    app.pass_time(1);
    let expired = beat(&app, "alpha", OLD).await;
    let wrong = beat(&app, "alpha", CIS).await;
    assert_eq!((expired.status, expired.headers, expired.body), (401, wrong.headers, wrong.body));
    assert_eq!(beat(&app, "alpha", ALPHAS).await.status, 200);
}

#[tokio::test]
async fn removed_token_is_refused_a_minute_later() {
    let app =
        with(&[json!({"token": OLD, "agents": ["*"]}), json!({"token": ALPHAS, "agents": ["*"]})]).await;
    assert_eq!(beat(&app, "alpha", OLD).await.status, 200);
    store(&app, &[json!({"token": ALPHAS, "agents": ["*"]})]);
    app.pass_time(60);
    assert_eq!([beat(&app, "alpha", OLD).await.status, beat(&app, "alpha", ALPHAS).await.status], [401, 200]);
}

#[tokio::test]
async fn new_binding_works_at_once() {
    let app = with(&[json!({"token": ALPHAS, "agents": ["alpha"]})]).await;
    assert_eq!(statuses(&app, ALPHAS, &["alpha", "beta"]).await, [200, 403]);
    app.pass_time(10);
    store(&app, &[json!({"token": ALPHAS, "agents": ["alpha", "beta"]})]);
    assert_eq!(statuses(&app, ALPHAS, &["beta", "gamma"]).await, [200, 403]);
}

#[tokio::test]
async fn invalid_entry_is_logged_by_its_place_and_the_others_keep_working() {
    for (mistaken, said) in [
        (json!({"token": "", "agents": ["*"]}), "32 characters"),
        (json!({"token": &CIS[..31], "agents": ["*"]}), "32 characters"),
        (json!({"token": format!("{CIS} {CIS}"), "agents": ["*"]}), "several words"),
        (json!({"token": format!("Bearer {CIS}"), "agents": ["*"]}), "Authorization header"),
        (json!({"token": format!("TOKEN={CIS}"), "agents": ["*"]}), "assignment"),
        (json!({"token": format!("{CIS},"), "agents": ["*"]}), "not allowed"),
        (json!({"token": format!("{CIS}é"), "agents": ["*"]}), "not allowed"),
        (json!({"token": CIS, "agents": []}), "no agents"),
        (json!({"token": CIS, "agents": ["alpha", ".alpha"]}), "agent name"),
        (json!({"token": CIS, "agents": ["*-ci"]}), "agent name"),
        (json!({"token": CIS, "agents": ["al*ha*"]}), "agent name"),
        (json!({"token": CIS, "agents": ["*"], "may": []}), r#"may must be ["beat"], ["read"] or"#),
        (json!({"token": CIS, "agents": ["*"], "may": ["beat", "write"]}), "may must be"),
        (json!({"token": CIS, "agents": ["*"], "may": ["Beat"]}), "may must be"),
        (json!({"token": CIS, "agents": ["*"], "may": ["beat", 1]}), "may must be"),
        (json!({"token": CIS, "agents": ["*"], "may": "beat"}), "may must be"),
        (json!({"token": CIS, "agents": ["*"], "may": {"beat": null}}), "may must be"),
        (json!({"token": CIS, "agents": ["*"], "may": true}), "may must be"),
        (json!({"token": CIS, "agents": ["*"], "mayRead": true}), r#"{"token":"…""#),
        (json!({"token": CIS, "agents": ["*"], "expiresAt": "next year"}), "expiresAt must"),
        (json!({"token": CIS, "agents": ["*"], "expiresAt": "2026-12-01"}), "expiresAt must"),
        (json!({"token": CIS, "agents": ["*"], "expiresAt": 1_796_083_200}), r#"{"token":"…""#),
        (json!({"token": CIS, "agents": ["*"], "expires_at": "2026-12-01T00:00:00Z"}), r#"{"token":"…""#),
        (json!({"token": CIS, "agents": "*"}), r#"{"token":"…""#),
        (json!({"token": CIS}), r#"{"token":"…""#),
        (json!({"agents": ["*"]}), r#"{"token":"…""#),
        (json!({"token": [CIS], "agents": ["*"]}), r#"{"token":"…""#),
        (json!(CIS), r#"{"token":"…""#),
        (json!(null), r#"{"token":"…""#),
    ] {
        let app = with(&[json!({"token": ALPHAS, "agents": ["alpha"]}), mistaken.clone()]).await;
        let log = Log::begin();
        for _ in 0..3 {
            assert_eq!(beat(&app, "alpha", ALPHAS).await.status, 200, "{mistaken}");
            assert_eq!(beat(&app, "alpha", CIS).await.status, 401, "{mistaken}");
            app.pass_time(60);
        }
        let [line] = &log.lines("ERROR")[..] else { panic!("{mistaken}: {}", log.text()) };
        let mistakes = line["mistakes"].as_str().expect("a text");
        assert!(mistakes.starts_with("entry 2: ") && mistakes.contains(said), "{mistaken}: {mistakes}");
        for token in [ALPHAS, &CIS[..31]] {
            assert!(!log.text().contains(token), "{}", log.text());
        }
    }
}

#[tokio::test]
async fn duplicate_token_with_different_bindings_is_refused() {
    let once = json!({"token": CIS, "agents": ["a", "b"]});
    for again in [
        json!({"token": CIS, "agents": ["*"]}),
        json!({"token": CIS, "agents": ["a"]}),
        json!({"token": CIS, "agents": ["a", "b"], "expiresAt": "2026-12-01T00:00:00Z"}),
        json!({"token": CIS, "agents": ["a", "b"], "may": ["beat", "read"]}),
        json!({"token": CIS, "agents": "a"}),
    ] {
        let app = with(&[once.clone(), json!({"token": ALPHAS, "agents": ["a"]}), again.clone()]).await;
        let log = Log::begin();
        assert_eq!(statuses(&app, CIS, &["a", "b", "c"]).await, [401; 3], "{again}");
        assert_eq!(statuses(&app, ALPHAS, &["a"]).await, [200], "{again}");
        let [line] = &log.lines("ERROR")[..] else { panic!("{again}: {}", log.text()) };
        let mistakes = line["mistakes"].as_str().expect("a text");
        assert!(mistakes.starts_with("entry 1: ") && mistakes.contains("duplicate"), "{mistakes}");
        assert!(mistakes.contains("; entry 3: "), "{mistakes}");
    }
}

#[tokio::test]
async fn duplicate_token_with_the_same_binding_is_accepted() {
    let app = with(&[
        json!({"token": CIS, "agents": ["a", "b"]}),
        json!({"token": CIS, "agents": ["b", "a", "a"], "may": ["beat"]}),
    ])
    .await;
    let log = Log::begin();
    assert_eq!(statuses(&app, CIS, &["a", "b", "c"]).await, [200, 200, 403]);
    assert_eq!(log.lines("ERROR"), Vec::<Value>::new());
}

#[tokio::test]
async fn invalid_secret_version_is_logged_once() {
    let short = json!({"token": "short", "agents": ["*"]});
    let app = with(&[json!({"token": ALPHAS, "agents": ["*"]}), short.clone()]).await;
    let log = Log::begin();
    assert_eq!(beat(&app, "alpha", ALPHAS).await.status, 200);
    store(&app, &[short, json!({"token": ALPHAS, "agents": ["*"]})]);
    app.pass_time(60);
    assert_eq!(beat(&app, "alpha", ALPHAS).await.status, 200);
    let lines = log.lines("ERROR");
    let places = |line: &Checked| {
        let mistakes = line["mistakes"].as_str().expect("a text").split("; ");
        mistakes.map(|mistake| mistake.split(':').next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(lines.iter().map(places).collect::<Vec<_>>(), [["entry 2"], ["entry 1"]]);
}

#[tokio::test]
async fn pasted_secret_with_stray_characters_is_accepted() {
    let list = json!({"tokens": [{"token": format!("\"{CIS}\"\r\n"), "agents": [" 'ci-*' "]}]}).to_string();
    for (secret, agent) in [
        (format!("\u{feff}{CIS}\r\n"), "alpha"),
        (format!("\"{CIS}\""), "alpha"),
        (format!("'{CIS}'"), "alpha"),
        (json!({"AGENT_TOKENS": CIS}).to_string(), "alpha"),
        (json!({"token": format!("{CIS}\n")}).to_string(), "alpha"),
        (list.clone(), "ci-1"),
        (json!(list).to_string(), "ci-1"),
        (format!("\u{feff}{list}"), "ci-1"),
        (json!({"AGENT_TOKENS": list}).to_string(), "ci-1"),
    ] {
        let app = TestApp::tracking(&["acme/api"]).start().await;
        app.world.secrets.put_secret(AGENT_TOKENS_SECRET_ID, &secret);
        let log = Log::begin();
        assert_eq!(beat(&app, agent, CIS).await.status, 200, "{secret}");
        assert_eq!(log.lines("ERROR"), Vec::<Value>::new(), "{secret}");
    }
}

#[tokio::test]
async fn secret_of_another_form_is_refused_and_the_log_names_the_form() {
    for (secret, said) in [
        (json!({"alpha": CIS, "beta": ALPHAS}).to_string(), "a JSON object with the entries `alpha`, `beta`"),
        (json!([CIS]).to_string(), "a JSON list"),
        (format!("Bearer {CIS}"), "an Authorization header"),
        (format!("AGENT_TOKEN={CIS}"), "an assignment"),
        (format!("{CIS}\n{ALPHAS}"), "several words or lines"),
        (format!("{{\"tokens\":[{{\"token\":\"{CIS}\""), "invalid JSON"),
        (json!({CIS: "alpha", ALPHAS: "beta"}).to_string(), "the entries another, another"),
    ] {
        let app = TestApp::tracking(&["acme/api"]).start().await;
        app.world.secrets.put_secret(AGENT_TOKENS_SECRET_ID, &secret);
        let log = Log::begin();
        assert_eq!(beat(&app, "alpha", CIS).await.status, 503, "{secret}");
        let [line] = &log.lines("ERROR")[..] else { panic!("{secret}: {}", log.text()) };
        let mistakes = line["mistakes"].as_str().expect("a text");
        assert!(mistakes.contains(said), "{secret}: {mistakes}");
        assert!(!log.text().contains(CIS) && !log.text().contains(ALPHAS), "{}", log.text());
    }
}
