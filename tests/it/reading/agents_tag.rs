//! The tag of a page of agents: what a client pays that has the page already, and that it never has an older one.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};
use test_world::AGENT_TOKENS_SECRET_ID;
use test_world::dynamodb::{Fault, On};

use super::five_hundred_agents;
use crate::support::app::{Reply, TestApp, until_held};
use crate::support::cases::{runtime, try_cases};

/// How long after a pass of the default freshness a moment is quiet.
const UNTIL_QUIET: u64 = 90;

/// How many histories are tried. They take up to half a minute while other tests run.
const HISTORIES: u32 = 16;

const ALPHAS: &str = "alphas-token-not-a-secret-0123456789";
const BETAS: &str = "betas-token-not-a-secret-01234567890";

/// A fleet of 500 agents, whose last heartbeat was long enough ago.
async fn quiet_fleet() -> TestApp {
    let app = five_hundred_agents().await;
    app.pass_time(UNTIL_QUIET);
    app
}

#[tokio::test]
async fn unchanged_page_of_500_agents_costs_two_read_units() {
    let app = quiet_fleet().await;
    let client = app.client();
    let target = "/api/agents?limit=500";
    app.clear_requests();
    let first = client.get(target).await;
    assert_eq!(first.body["agents"].as_array().map(Vec::len), Some(500));
    insta::assert_snapshot!(app.world.dynamodb.capacity().read_units, @"36");
    for _ in 0..3 {
        app.pass_time(15);
        app.clear_requests();
        let again = client.get_unless(target, Some(&first.headers["etag"])).await;
        assert_eq!((again.status, &again.headers["etag"]), (304, &first.headers["etag"]));
        assert_eq!(app.world.dynamodb.capacity().read_units, 2.0);
        client.get("/api/status").await;
        assert_eq!(app.world.dynamodb.capacity().read_units, 3.0);
    }
    app.agent("agent-000").beat().await;
    let changed = client.get_unless(target, Some(&first.headers["etag"])).await;
    assert_eq!((changed.status, changed.headers["etag"].contains('.')), (200, false), "a pass is fresh");
}

#[tokio::test]
async fn only_the_list_of_agents_may_have_500_items() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.agent("alpha").beat().await;
    for (target, expected) in [
        ("/api/agents?limit=500", 200),
        ("/api/agents?limit=501", 400),
        ("/api/agents/alpha/runs?limit=201", 400),
        ("/api/issues?limit=201", 400),
    ] {
        assert_eq!(app.client().get(target).await.status, expected, "{target}");
    }
}

#[tokio::test]
async fn tag_ends_when_the_next_agent_changes_also_one_that_the_filter_leaves_out() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    let body = json!({"intervalSeconds": 300, "graceSeconds": 60});
    app.agent("alpha").with_body(&body.to_string()).beat().await;
    app.pass_time(UNTIL_QUIET);
    let client = app.client();
    let first = client.get("/api/agents?state=late").await;
    assert_eq!(first.body["agents"], json!([]));
    let tag = &first.headers["etag"];
    app.pass_time(300 - UNTIL_QUIET - 1);
    assert_eq!(client.get_unless("/api/agents?state=late", Some(tag)).await.status, 304);
    app.pass_time(1);
    let late = client.get_unless("/api/agents?state=late", Some(tag)).await;
    assert_eq!((late.status, &late.body["agents"][0]["name"]), (200, &json!("alpha")));
}

#[tokio::test]
async fn tag_of_one_request_is_none_of_another() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    for agent in ["alpha", "beta"] {
        app.agent(agent).beat().await;
    }
    let tokens = |betas: &[&str]| {
        let tokens = json!({ "tokens": [
            { "token": ALPHAS, "agents": ["alpha"] }, { "token": BETAS, "agents": betas },
        ]});
        app.world.secrets.put_secret(AGENT_TOKENS_SECRET_ID, &tokens.to_string());
        app.pass_time(3_600);
    };
    tokens(&["beta"]);
    let status =
        async |token, target, tag: &str| app.client_with(token).get_unless(target, Some(tag)).await.status;
    let tag = app.client_with(ALPHAS).get("/api/agents").await.headers["etag"].clone();
    assert!(tag.contains('.'), "{tag}");
    assert_eq!(status(ALPHAS, "/api/agents", &tag).await, 304);
    for target in ["/api/agents?limit=49", "/api/agents?state=up", "/api/agents?work=idle"] {
        assert_eq!(status(ALPHAS, target, &tag).await, 200, "{target}");
    }
    assert_eq!(status(BETAS, "/api/agents", &tag).await, 200, "another token");
    let betas = app.client_with(BETAS).get("/api/agents").await.headers["etag"].clone();
    tokens(&["beta", "gamma"]);
    assert_eq!(status(BETAS, "/api/agents", &betas).await, 200, "the token covers, and names, another agent");
}

#[tokio::test]
async fn tag_follows_from_the_state_only_after_every_heartbeat_that_joined_a_pass() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    app.agent("alpha").beat().await;
    let tag = async || app.client().get("/api/agents").await.headers["etag"].clone();
    app.pass_time(29);
    let mut held = app.world.dynamodb.hold(On::operation("UpdateItem").containing("AGENTS"));
    let beta = app.agent("beta");
    let mut slow = Box::pin(beta.beat());
    assert!(until_held(&mut slow, &mut held).await.is_none());
    app.pass_time(LONGEST);
    assert!(!tag().await.contains('.'), "it may still write");
    held.release();
    assert!(slow.await.is_coalesced());
    app.pass_time(UNTIL_QUIET - 29 - LONGEST - 1);
    assert!(!tag().await.contains('.'));
    app.pass_time(1);
    assert!(tag().await.contains('.'));
}

/// One event of a history.
#[derive(Clone, Debug)]
enum Step {
    /// An agent sends a heartbeat with this body.
    Beat(usize, usize),
    /// The same after this many seconds, but it writes its item only after this many more.
    Slow(usize, usize, u64, u64),
    /// The next pass cannot store its end.
    Fail,
    /// The schedule's sweep and pass.
    Schedule,
    /// The API cannot be reached by sweeps, or can be again.
    Reach(bool),
    /// An operator holds an agent, or releases it.
    Hold(usize, bool),
    /// This many seconds pass.
    Wait(u64),
}

const AGENTS: [&str; 3] = ["alpha", "beta", "gamma"];

/// No invocation of the API takes longer.
const LONGEST: u64 = 29;

const LISTS: [&str; 5] = [
    "/api/agents?limit=500",
    "/api/agents?limit=1",
    "/api/agents?state=up",
    "/api/agents?state=down&limit=2",
    "/api/agents?work=stalled",
];

fn bodies() -> [Value; 5] {
    let issue = "https://github.com/acme/api/issues/1";
    [
        json!({}),
        json!({"intervalSeconds": 60, "graceSeconds": 60}),
        json!({"intervalSeconds": 300, "activeIssueUrls": [issue], "stalledAfterSeconds": 60}),
        json!({"progress": "reading"}),
        json!({"intervalSeconds": null, "leaving": true}),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let agent = 0..AGENTS.len();
    let body = 0..bodies().len();
    let waits =
        vec![1, 5, 20, 29, 30, 31, 45, 59, 60, 61, 89, 90, 91, 100, 119, 180, 300, 600, 1_800, 7 * 86_400];
    prop_oneof![
        6 => (agent.clone(), body.clone()).prop_map(|(agent, body)| Step::Beat(agent, body)),
        6 => (agent.clone(), body, prop::sample::select(vec![0, 10, 29]), prop::sample::select(vec![1, 15, LONGEST]))
            .prop_map(|(agent, body, before, seconds)| Step::Slow(agent, body, before, seconds)),
        1 => Just(Step::Fail),
        2 => Just(Step::Schedule),
        1 => any::<bool>().prop_map(Step::Reach),
        1 => (agent, any::<bool>()).prop_map(|(agent, is_held)| Step::Hold(agent, is_held)),
        9 => prop::sample::select(waits).prop_map(Step::Wait),
    ]
}

/// A client that polls lists, and keeps what it has.
struct Poller<'a> {
    app: &'a TestApp,
    has: BTreeMap<&'static str, Reply>,
    /// How often the tag that follows from the state was enough.
    spared: usize,
}

impl Poller<'_> {
    async fn poll(&mut self) {
        let client = self.app.client();
        for list in LISTS {
            let tag = self.has.get(list).map(|reply| reply.headers["etag"].clone());
            let reply = client.get_unless(list, tag.as_deref()).await;
            if reply.status == 304 {
                let fresh = client.get(list).await;
                assert_eq!(*fresh.body, *self.has[list].body, "{list} after a 304 for {tag:?}");
                self.spared += usize::from(tag.is_some_and(|tag| tag.contains('.')));
            } else {
                assert_eq!(reply.status, 200, "{reply:#?}");
                self.has.insert(list, reply);
            }
        }
    }

    async fn wait(&mut self, seconds: u64) {
        self.app.pass_time(seconds);
        self.poll().await;
    }

    async fn take(&mut self, step: &Step) {
        let app = self.app;
        let agent =
            |agent: usize, body: usize| app.agent(AGENTS[agent]).with_body(&bodies()[body].to_string());
        match *step {
            Step::Beat(name, body) => drop(agent(name, body).beat().await),
            Step::Slow(name, body, before, seconds) => {
                app.pass_time(before);
                let mut held = app.world.dynamodb.hold(On::operation("UpdateItem").containing("AGENTS"));
                let slower = agent(name, body);
                let mut slow = Box::pin(slower.beat());
                if until_held(&mut slow, &mut held).await.is_none() {
                    for part in [seconds / 2, seconds - seconds / 2] {
                        self.wait(part).await;
                    }
                    held.release();
                    slow.await;
                }
            }
            Step::Fail => app
                .world
                .dynamodb
                .fault(On::operation("UpdateItem").containing(":ended"), Fault::AccessDenied),
            Step::Schedule => drop(app.schedule().beat().await),
            Step::Reach(is_reached) => {
                let fault = test_world::api::Fault::Status(if is_reached { 200 } else { 503 });
                app.world.api.fault(test_world::api::On::operation("GET /api/health"), fault.times(2));
            }
            Step::Hold(name, is_held) => {
                let order = if is_held {
                    json!({"hold": AGENTS[name], "why": "x"})
                } else {
                    json!({"release": AGENTS[name]})
                };
                drop(app.schedule().orders(order).await);
            }
            Step::Wait(seconds) => self.wait(seconds).await,
        }
        self.poll().await;
    }
}

#[test]
fn client_that_is_answered_304_has_what_a_fresh_read_shows() {
    let (runtime, spared) = (runtime(), std::cell::Cell::new(0));
    try_cases(HISTORIES, &prop::collection::vec(step(), 1..30), |steps| {
        runtime.block_on(async {
            let mut app = TestApp::tracking(&["acme/api"]).with("READS_PER_MINUTE", "60000").start().await;
            app.allows_unused_faults();
            app.world.github.arrange(|github| github.open_issues("acme/api", 1));
            let mut poller = Poller { app: &app, has: BTreeMap::new(), spared: 0 };
            for step in &steps {
                poller.take(step).await;
            }
            spared.set(spared.get() + poller.spared);
        });
    });
    assert!(spared.get() > 100, "{spared:?}: the test tests something");
}
