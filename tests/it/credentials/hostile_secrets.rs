//! Whatever the two secrets hold, the answer is a refusal or a problem, never a panic, and never contains their text.

use proptest::prelude::*;
use serde_json::json;
use test_world::github::APP_KEY;
use test_world::{AGENT_TOKENS_SECRET_ID, GITHUB_CREDENTIALS_SECRET_ID};

use crate::support::app::TestApp;
use crate::support::cases::{self, Mutation};
use crate::support::log::Log;

/// They take some ten seconds.
const CASES: u32 = 100;

/// The text that every secret contains.
const MARK: &str = "marked-token-not-a-secret-0123456789-0123456789";

/// A secret that contains the mark.
fn secret() -> impl Strategy<Value = String> {
    let forms = vec![
        json!({ "tokens": [{ "token": MARK, "agents": ["alpha", "ci-*"], "expiresAt": "2026-12-01T00:00:00Z" }] }),
        json!({ "tokens": [{ "token": MARK, "agents": ["*"] }, { "token": MARK, "agents": ["beta"] }] }),
        json!({ "tokens": [{ "token": MARK, "agents": ["*"], "may": ["read"] }] }),
        json!({ "tokens": [{ "token": MARK, "agents": ["alpha"], "may": ["beat", "read", MARK] }] }),
        json!({ "token": MARK }),
        json!({ "appId": 1, "installationId": 2, "privateKey": MARK }),
        json!({ "appId": 1, "installations": { "acme": 2, "globex": MARK }, "privateKey": APP_KEY }),
        json!({ "appId": 1, "installations": { MARK: 2 }, "privateKey": MARK }),
        json!([MARK]),
        json!(MARK),
    ];
    let mutations = prop::collection::vec(cases::mutation(), 0..3);
    let mutated = (prop::sample::select(forms), mutations).prop_map(|(mut form, mutations)| {
        mutations.into_iter().for_each(|mutation: Mutation| mutation.carry_out(&mut form));
        form.to_string()
    });
    prop_oneof![
        3 => mutated,
        1 => (cases::text(), cases::text()).prop_map(|(before, after)| format!("{before}{MARK}{after}")),
        1 => Just(MARK.to_owned()),
    ]
}

#[test]
fn secrets_of_any_content_cause_no_panic_and_never_leak() {
    let runtime = cases::runtime();
    cases::try_cases(CASES, &(prop::option::of(secret()), prop::option::of(secret())), |(agents, github)| {
        runtime.block_on(async {
            let app = TestApp::tracking(&["acme/api"]).start().await;
            let has_github_secret = github.is_some();
            for (id, text) in [(AGENT_TOKENS_SECRET_ID, &agents), (GITHUB_CREDENTIALS_SECRET_ID, &github)] {
                if let Some(text) = text {
                    app.world.secrets.put_secret(id, text);
                }
            }
            // GitHub also refuses a token that it does not know.
            app.world.github.arrange(|github| github.accept_only([test_world::GITHUB_TOKEN]));
            let log = Log::begin();
            let mut written = Vec::new();
            for token in [test_world::AGENT_TOKEN, MARK, "wrong"] {
                let authorization = format!("Bearer {token}");
                let knock =
                    |event: &mut serde_json::Value| event["headers"]["authorization"] = authorization.into();
                let reply = app.stranger().sends_changed(knock).await;
                assert!([200, 401, 403, 503].contains(&reply.status), "{reply:#?}");
                let body = reply.body.to_string();
                assert!(!body.contains("phase_crashed"), "{body}");
                if reply.status == 200
                    && has_github_secret
                    && !reply.body["coalesced"].as_bool().expect("a flag")
                {
                    assert!(
                        ["github_unauthorized", "credentials_invalid"].iter().any(|code| body.contains(code)),
                        "{body}"
                    );
                }
                written.push(body);
            }
            written.extend(app.world.dynamodb.items(test_world::TABLE_NAME).iter().map(ToString::to_string));
            let log = log.text();
            written.extend(log.lines().map(str::to_owned));
            for text in written {
                assert!(!text.contains(MARK), "{text}");
            }
        });
    });
}
