//! Agents that catch up over several responses.

use crate::support::app::{Answer, TestApp};
use agent_heartbeat::app::{BacklogLimits, Timing};
use std::time::Duration;

/// The maximum read units of one beat, however many changes its agent has not received.
pub const MAX_READ_UNITS: f64 = 40.0;

/// Sends heartbeats of an agent until all changes are delivered. Each one stays within its read units and says
/// correctly whether another would deliver more.
pub async fn catch_up(app: &TestApp, agent: &str) -> Vec<Answer> {
    let mut answers = Vec::new();
    loop {
        app.clear_requests();
        let answer = app.agent(agent).beat().await;
        let read_units = app.world.dynamodb.capacity().read_units;
        assert!(read_units <= MAX_READ_UNITS, "{read_units} read units: {:#}", answer.0);
        assert!(answers.len() < 500, "it does not end: {:#}", answer.0);
        let is_left = answer.0["nextHeartbeatInSeconds"] == 0;
        answers.push(answer);
        if !is_left {
            return answers;
        }
        // At most 60 beats a minute.
        app.pass_time(1);
    }
}

pub fn reported(answers: &[Answer]) -> Vec<String> {
    answers.iter().flat_map(Answer::touched).collect()
}

/// The narrowest limits: every way of reading is used, even in a small fleet.
pub fn narrow(timing: &mut Timing) {
    timing.backlog =
        BacklogLimits { changes: 2, read_units: 3.0, time: Duration::from_millis(750), merged: 1, named: 1 };
}
