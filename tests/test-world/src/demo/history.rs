//! A history for the local world, so that everything that can be read has something to show: agents that send
//! heartbeats, one of them quiet; changed and closed issues; a repository that cannot be read; passes and runs
//! with problems.

use jiff::{SignedDuration, Timestamp};
use test_world::{TABLE_NAME, TestWorld, github};

use super::failure::Failure;
use super::functions::Functions;
use super::heartbeat::{self, HeartbeatAnswer, wait_until_stale};

/// How long ago the quiet agent sent its heartbeat.
const QUIET_FOR: SignedDuration = SignedDuration::from_hours(2);

/// Sends the heartbeats of some agents, between which people change issues. Takes as long as the first pass is fresh.
pub(crate) async fn fill(functions: &mut Functions, world: &TestWorld) -> Result<(), Failure> {
    eprintln!("Filling the local world with heartbeats of alpha, beta, ci-1 and nightly");
    let first = heartbeat_of(functions, "alpha").await?;
    heartbeat_of(functions, "nightly").await?;
    be_quiet(world, "nightly");
    world.github.arrange(github::seed::later);
    wait_until_stale(world, first.finished_at).await;
    for agent in ["beta", "ci-1"] {
        heartbeat_of(functions, agent).await?;
    }
    Ok(())
}

/// Sends a heartbeat of this agent.
async fn heartbeat_of(functions: &mut Functions, agent: &str) -> Result<HeartbeatAnswer, Failure> {
    Ok(heartbeat::of_agent(functions, agent, &serde_json::json!({})).await?.1)
}

/// Dates back an agent's last heartbeat. The functions have the system's clock, so nobody can wait for it.
fn be_quiet(world: &TestWorld, agent: &str) {
    let mut item = world.dynamodb.item(TABLE_NAME, "AGENTS", agent).expect("it has sent a heartbeat");
    let at: Timestamp = item["lastBeatAt"].as_str().and_then(|at| at.parse().ok()).expect("an instant");
    item["lastBeatAt"] = format!("{:.3}", at - QUIET_FOR).into();
    world.dynamodb.put_item(TABLE_NAME, &item);
}
