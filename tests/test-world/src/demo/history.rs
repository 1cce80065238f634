//! A history for the local world, so that everything that can be read has something to show: agents that send
//! heartbeats, at work, late, silent, and with a closed issue; changed and closed issues; a repository that cannot be read; passes
//! and runs with problems; and a day of counts for the board's bars.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use test_world::{TABLE_NAME, TestWorld, github};

use super::failure::Failure;
use super::functions::Functions;
use super::heartbeat::{self, HeartbeatAnswer, wait_until_stale};
use super::silence::{date_back, sweep};

/// How long ago the quiet agent sent its heartbeat.
const QUIET_FOR: SignedDuration = SignedDuration::from_hours(2);

/// How long before its last heartbeat an agent's progress changed.
const PROGRESS_BEFORE: SignedDuration = SignedDuration::from_mins(9);

/// For how long the service could hear agents.
const HEARD_FOR: SignedDuration = SignedDuration::from_hours(30);

/// An agent that declares what it does.
struct AtWork {
    name: &'static str,
    interval_seconds: u64,
    grace_seconds: u64,
    /// Repositories and numbers.
    issues: &'static [(&'static str, u64)],
    progress: &'static str,
    silent_for: SignedDuration,
    /// Its heartbeats in each of the last 24 hours, as the table has them: a base-36 digit an hour, the oldest first.
    beats: &'static str,
}

/// In this order: at work, silent, late within its grace, and with an issue that was closed.
const AT_WORK: [AtWork; 4] = [
    AtWork {
        name: "builder",
        interval_seconds: 300,
        grace_seconds: 300,
        issues: &[("acme/api", 4)],
        progress: "splitting large orders",
        silent_for: SignedDuration::ZERO,
        beats: "0000000006ccccbcccc9ccc4",
    },
    AtWork {
        name: "fixer",
        interval_seconds: 300,
        grace_seconds: 300,
        issues: &[("acme/web", 6)],
        progress: "reproducing the flicker",
        silent_for: SignedDuration::from_mins(25),
        beats: "cccccccccccc000ccccccc90",
    },
    AtWork {
        name: "reviewer",
        interval_seconds: 1_800,
        grace_seconds: 86_400,
        issues: &[],
        progress: "waiting for reviews",
        silent_for: SignedDuration::from_mins(40),
        beats: "222222222222222222222221",
    },
    AtWork {
        name: "writer",
        interval_seconds: 600,
        grace_seconds: 300,
        issues: &[("acme/docs", 2), ("acme/web", 6)],
        progress: "rewriting the quick start",
        silent_for: SignedDuration::ZERO,
        beats: "000000006666666600006663",
    },
];

/// Sends the heartbeats of some agents, between which people change issues. Takes as long as the first pass is fresh.
pub(crate) async fn fill(functions: &mut Functions, world: &TestWorld) -> Result<(), Failure> {
    eprintln!(
        "Filling the local world with heartbeats of alpha, beta, ci-1, nightly, and four agents at work"
    );
    sweep(functions).await?;
    date_back(world, ("FLEET", "WATCH"), "since", HEARD_FOR);
    let first = heartbeat_of(functions, "alpha").await?;
    heartbeat_of(functions, "nightly").await?;
    date_back(world, ("AGENTS", "nightly"), "lastBeatAt", QUIET_FOR);
    world.github.arrange(github::seed::later);
    wait_until_stale(world, first.finished_at).await;
    for agent in ["beta", "ci-1"] {
        heartbeat_of(functions, agent).await?;
    }
    for agent in AT_WORK {
        let address = |(repository, number): &(&str, u64)| {
            world.github.arrange(|github| github.html_url(repository, *number))
        };
        let declared = json!({
            "intervalSeconds": agent.interval_seconds,
            "graceSeconds": agent.grace_seconds,
            "activeIssueUrls": agent.issues.iter().map(address).collect::<Vec<_>>(),
            "progress": agent.progress,
        });
        heartbeat::of_agent(functions, agent.name, &declared).await?;
        date_back(world, ("AGENTS", agent.name), "lastBeatAt", agent.silent_for);
        let hour = digits(hour_of(world.clock.now()), 4);
        edit(world, ("AGENTS", agent.name), |item| {
            item["beatsPerHour"] = format!("{hour}.{}", agent.beats).into();
            let progress_at = item["progressAt"].as_i64().unwrap_or_default();
            let before = agent.silent_for + PROGRESS_BEFORE;
            item["progressAt"] = (progress_at - before.as_secs() * 1_000).into();
        });
    }
    edit(world, ("FLEET", "STATE"), |state| {
        state["ended"]["hours"] = day_of_passes(world.clock.now()).into()
    });
    Ok(())
}

/// Sends a heartbeat of this agent.
async fn heartbeat_of(functions: &mut Functions, agent: &str) -> Result<HeartbeatAnswer, Failure> {
    Ok(heartbeat::of_agent(functions, agent, &json!({})).await?.1)
}

/// Changes an item of the table. The functions have the system's clock, so nobody can wait for a day.
fn edit(world: &TestWorld, (pk, sk): (&str, &str), change: impl FnOnce(&mut serde_json::Value)) {
    let mut item = world.dynamodb.item(TABLE_NAME, pk, sk).expect("it was written");
    change(&mut item);
    world.dynamodb.put_item(TABLE_NAME, &item);
}

/// The passes of the last 24 hours as the table has them: twelve an hour, a few with problems, and an hour without any. The
/// newest hour, then for each hour two digits for `passes × 3 + status` and two for the age in minutes and one more.
fn day_of_passes(now: Timestamp) -> String {
    let hours = (0..24).map(|ago| {
        let status = match ago {
            0 | 5 | 6 => 1,
            13 => 2,
            _ => 0,
        };
        let (passes, age) = match ago {
            0 => (4, 6),
            5 | 6 => (12, 6 + 40 * (7 - ago)),
            17 => (0, 0),
            16 => (12, 62),
            _ => (12, 6),
        };
        digits(passes * 3 + status, 2) + &digits(age, 2)
    });
    digits(hour_of(now), 4) + &hours.collect::<String>()
}

/// The hours since 1970.
fn hour_of(at: Timestamp) -> u64 {
    at.as_second().unsigned_abs() / 3_600
}

/// A number in base 36, with at least this many digits.
fn digits(number: u64, width: usize) -> String {
    let mut text = Vec::new();
    let mut rest = number;
    while rest > 0 || text.len() < width {
        let digit = u32::try_from(rest % 36).unwrap_or_default();
        text.push(char::from_digit(digit, 36).unwrap_or('0'));
        rest /= 36;
    }
    text.iter().rev().collect()
}
