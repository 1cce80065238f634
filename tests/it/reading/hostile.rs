//! Whatever a client asks for, a read is answered: never with a failure of the service, and never with what its token
//! may not read.

use proptest::prelude::*;
use serde_json::{Value, json};
use test_world::AGENT_TOKENS_SECRET_ID;

use crate::support::app::TestApp;
use crate::support::cases::{self, runtime, try_cases};

/// These take about four seconds.
const CASES: u32 = 4_000;

const ALPHAS: &str = "alphas-token-not-a-secret-0123456789";
const CIS: &str = "the-cis-token-not-a-secret-0123456789";
const VIEWERS: &str = "viewers-token-not-a-secret-0123456789";

/// A part of a path or a query: often one that means something.
fn word() -> impl Strategy<Value = String> {
    let known = [
        "alpha",
        "ci-1",
        "beta",
        "heartbeat",
        "acme",
        "api",
        "web",
        "issues",
        "runs",
        "0",
        "1",
        "-1",
        "1.0",
        "18446744073709551616",
        "open",
        "all",
        "closed",
        "ready",
        "none",
        "*",
        "new",
        "died",
        "acme/api",
        "acme%2Fapi",
        "019aa9f1-2c00-7cc1-b1f5-2f6c1d6f0a4e",
        "200",
        "201",
        "%F0%9F%90%9B",
        "%",
        "%00",
        "+",
        "&",
        "=",
    ];
    prop_oneof![3 => prop::sample::select(known.to_vec()).prop_map(str::to_owned), 1 => cases::text()]
}

fn path() -> impl Strategy<Value = String> {
    let known = [
        "/api/status",
        "/api/metrics",
        "/api/agents",
        "/api/agents/alpha",
        "/api/agents/{}",
        "/api/agents/{}/runs",
        "/api/agents/{}/runs/{}",
        "/api/passes",
        "/api/passes/{}",
        "/api/repositories",
        "/api/repositories/{}/{}",
        "/api/repositories/acme/api/issues/{}",
        "/api/issues",
        "/api/changes",
        "/api/{}",
        "/{}",
    ];
    (prop::sample::select(known.to_vec()), word(), word())
        .prop_map(|(path, one, other)| path.replacen("{}", &one, 1).replacen("{}", &other, 1))
}

/// Parameters with values. `{cursor}` stands for a cursor that the service made.
fn query() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = prop_oneof![
        6 => prop::sample::select(&["limit", "cursor", "after", "state", "status", "label", "repository", "assignee"])
            .prop_map(str::to_owned),
        1 => word(),
    ];
    let value = prop_oneof![3 => word(), 1 => Just("{cursor}".to_owned()), 1 => Just("{cursor}A".to_owned())];
    prop::collection::vec((name, value), 0..4)
}

/// Fails if the text shows an agent that the token does not cover.
fn assert_covered(token: &str, body: &Value) {
    let of_alpha = body.to_string().contains("\"alpha\"");
    let of_ci = body.to_string().contains("\"ci-1\"");
    match token {
        ALPHAS => assert!(!of_ci, "{body:#}"),
        CIS => assert!(!of_alpha, "{body:#}"),
        _ => {}
    }
}

#[test]
fn any_read_is_answered_with_no_more_than_its_token_may_read() {
    let runtime = runtime();
    let app = runtime.block_on(async {
        let app =
            TestApp::tracking(&["acme/api", "acme/web"]).with("READS_PER_MINUTE", "60000").start().await;
        app.world.github.arrange(|github| github.open_issues("acme/api", 5));
        for agent in ["alpha", "ci-1"] {
            app.agent(agent).beat().await;
            app.outlive_freshness();
            app.world.github.arrange(|github| github.comment("acme/api", 1));
        }
        let tokens = json!({ "tokens": [
            { "token": ALPHAS, "agents": ["alpha"] },
            { "token": CIS, "agents": ["ci-*"], "may": ["beat"] },
            { "token": VIEWERS, "agents": ["*"], "may": ["read"] },
        ]});
        app.world.secrets.put_secret(AGENT_TOKENS_SECRET_ID, &tokens.to_string());
        app.pass_time(3_600);
        app
    });
    let viewer = app.client_with(VIEWERS);
    let cursors = runtime.block_on(async {
        let mut cursors = Vec::new();
        for list in
            ["/api/issues?limit=1", "/api/agents?limit=1", "/api/repositories?limit=1", "/api/changes"]
        {
            cursors.push(viewer.read(list).await["nextCursor"].as_str().expect("a cursor").to_owned());
        }
        cursors
    });
    let token = prop::sample::select(vec![ALPHAS, CIS, VIEWERS, "wrong"]);
    let cursor = prop::sample::select(cursors);
    try_cases(CASES, &(path(), query(), token, cursor), |(path, query, token, cursor)| {
        let query: Vec<String> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let target = format!("{path}?{}", query.join("&")).replace("{cursor}", &cursor);
        let reply = runtime.block_on(app.client_with(token).get(&target));
        assert!(reply.status < 500, "{target}: {reply:#?}");
        if token == "wrong" {
            assert!(reply.status >= 400, "{target}: {reply:#?}");
        }
        let is_of_the_fleet = path.starts_with("/api/issues") || path.starts_with("/api/changes");
        if is_of_the_fleet && token != VIEWERS {
            assert_ne!(reply.status, 200, "{target}: {reply:#?}");
        }
        if reply.status == 200 {
            assert_covered(token, &reply.body);
        }
    });
}
