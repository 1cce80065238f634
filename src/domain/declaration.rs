//! What is kept of what an agent has declared, and what follows from it.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{ActiveIssues, HeartbeatBody, Member, Verdict, millis};

/// The grace of an agent that declares none: its interval, within these seconds.
const DEFAULT_GRACE: (u64, u64) = (60, 3_600);

/// How long, at least, an agent's item is kept: an agent that comes once a month finds its delivery cursor.
const KEPT_FOR: Duration = Duration::from_secs(35 * 86_400);

/// How long, at least, an agent may be silent before it counts as left.
pub(super) const LEFT_AFTER: Duration = Duration::from_secs(7 * 86_400);

/// What an agent has declared. Everything is optional.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Declaration {
    /// In how many seconds after each heartbeat the next one comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    interval_seconds: Option<u64>,
    /// How many seconds late it may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    grace_seconds: Option<u64>,
    /// The issues that it works on.
    #[serde(default, skip_serializing_if = "ActiveIssues::is_empty")]
    pub active_issues: ActiveIssues,
    /// The version of the copy for which their verdicts hold; `None` if they have to be judged again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged_by: Option<String>,
    /// Since when each of its heartbeats has said stop about one of them. In epoch milliseconds: a number takes
    /// a third of a text's bytes.
    #[serde(default, with = "millisecond::optional", skip_serializing_if = "Option::is_none")]
    pub stop_at: Option<Timestamp>,
    /// What it does, in its own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<String>,
    /// When its progress or its active issues last changed, in epoch milliseconds.
    #[serde(default, with = "millisecond::optional", skip_serializing_if = "Option::is_none")]
    pub progress_at: Option<Timestamp>,
    /// After how many seconds without progress it counts as stalled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stalled_after_seconds: Option<u64>,
    /// Its login at GitHub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<String>,
    /// The program that sends its heartbeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// Whether its last heartbeat said that it leaves.
    #[serde(rename = "leaving", default, skip_serializing_if = "std::ops::Not::not")]
    pub is_leaving: bool,
}

/// An agent's active issues after a heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JudgedIssues {
    /// The issues, with their verdicts.
    pub issues: ActiveIssues,
    /// The version of the copy that the verdicts were made from; `None` if they have to be made again.
    pub version: Option<String>,
}

/// An agent's promise: in which time its next heartbeat comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Promise {
    /// The time to the next heartbeat.
    pub interval: Duration,
    /// How late it may be.
    pub grace: Duration,
}

/// What a watched agent has promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Watch {
    /// The seconds to the next heartbeat.
    pub interval_seconds: u64,
    /// How many seconds late it may be.
    pub grace_seconds: u64,
    /// When the next heartbeat is due.
    #[serde(with = "millis")]
    pub due_at: Timestamp,
    /// When the agent counts as down if none comes.
    #[serde(with = "millis")]
    pub down_at: Timestamp,
}

impl Declaration {
    /// The declaration after a heartbeat with this body, which was answered at `now`. `judged` are the agent's active
    /// issues from then on; `None` if the table could not be read, so that they stay as they are.
    #[must_use]
    pub fn after(&self, body: &HeartbeatBody, judged: Option<&JudgedIssues>, now: Timestamp) -> Self {
        let known = JudgedIssues { issues: self.active_issues.clone(), version: self.judged_by.clone() };
        let JudgedIssues { issues, version } = judged.unwrap_or(&known).clone();
        let is_told_again =
            issues.stopped().any(|stop| self.active_issues.verdict(stop) == Some(Verdict::Stop));
        let stop_at = issues.stopped().next().map(|_| self.stop_at.filter(|_| is_told_again).unwrap_or(now));
        let mut after = Self {
            interval_seconds: merged(&body.interval_seconds, &self.interval_seconds),
            grace_seconds: merged(&body.grace_seconds, &self.grace_seconds),
            stop_at,
            judged_by: version.filter(|_| !issues.is_empty()),
            active_issues: issues,
            progress: merged(&body.progress, &self.progress),
            progress_at: self.progress_at,
            stalled_after_seconds: merged(&body.stalled_after_seconds, &self.stalled_after_seconds),
            login: merged(&body.login, &self.login),
            client: merged(&body.client, &self.client),
            is_leaving: body.is_leaving,
        };
        if after.progress != self.progress || !after.active_issues.has_same_as(&self.active_issues) {
            after.progress_at = Some(now);
        }
        after
    }

    /// What the agent has promised; `None` if it has promised nothing.
    pub fn promise(&self) -> Option<Promise> {
        let interval = self.interval_seconds?;
        let grace = self.grace_seconds.unwrap_or(interval.clamp(DEFAULT_GRACE.0, DEFAULT_GRACE.1));
        Some(Promise { interval: Duration::from_secs(interval), grace: Duration::from_secs(grace) })
    }
}

impl Declaration {
    /// What the agent has promised, from the heartbeat on that was answered at `last`; `None` if it has promised nothing, or
    /// has left. Agents could be heard since `heard_since`: before that nobody counts as silent.
    pub fn watch(&self, last: Timestamp, heard_since: Option<Timestamp>) -> Option<Watch> {
        let promise = self.promise().filter(|_| !self.is_leaving)?;
        Some(Watch {
            interval_seconds: promise.interval.as_secs(),
            grace_seconds: promise.grace.as_secs(),
            due_at: promise.due_at(last),
            down_at: promise.down_at(heard_since.map_or(last, |since| since.max(last))),
        })
    }

    /// After how long without progress the agent counts as stalled; `None` if it has not said so.
    pub fn stalled_after(&self) -> Option<Duration> {
        self.stalled_after_seconds.map(Duration::from_secs)
    }
}

/// How long an agent's item is kept after its last heartbeat, if AgentRuns are kept for `retention`: at least 35 days, so
/// always longer than until the agent counts as left. After that it is a new agent.
pub fn agent_kept_for(retention: Duration) -> Duration {
    retention.max(KEPT_FOR)
}

fn merged<T: Clone>(member: &Member<T>, known: &Option<T>) -> Option<T> {
    match member {
        Member::Absent => known.clone(),
        Member::Null => None,
        Member::Value(value) => Some(value.clone()),
    }
}

impl Promise {
    /// When the heartbeat after the one that was answered at `last` is due.
    pub fn due_at(self, last: Timestamp) -> Timestamp {
        after(last, self.interval)
    }

    /// When an agent counts as down whose last heartbeat was answered at `last`.
    pub fn down_at(self, last: Timestamp) -> Timestamp {
        after(last, self.interval + self.grace)
    }

    /// After how long a silence the agent counts as left.
    pub fn left_after(self) -> Duration {
        LEFT_AFTER.max((self.interval + self.grace) * 10)
    }
}

fn after(at: Timestamp, time: Duration) -> Timestamp {
    at.checked_add(time).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    fn after(known: &Declaration, body: Value, second: i64) -> Declaration {
        let body = HeartbeatBody::read(body.as_object().expect("an object"));
        known.after(&body, None, at(second))
    }

    #[test]
    fn grace_of_an_agent_that_declares_none_follows_from_its_interval() {
        for (interval, grace) in [(30, 60), (60, 60), (61, 61), (3_600, 3_600), (86_400, 3_600)] {
            let declared = after(&Declaration::default(), json!({"intervalSeconds": interval}), 0);
            let promise = declared.promise().expect("a promise");
            assert_eq!(promise.due_at(at(0)), at(interval));
            assert_eq!(promise.down_at(at(0)), at(interval + grace), "{interval}");
        }
        let declared = after(&Declaration::default(), json!({"intervalSeconds": 300, "graceSeconds": 0}), 0);
        assert_eq!(declared.promise().map(|promise| promise.down_at(at(0))), Some(at(300)));
    }

    #[test]
    fn progress_moves_only_when_its_text_or_the_active_issues_differ() {
        let first = after(&Declaration::default(), json!({"progress": "reading"}), 1);
        assert_eq!(first.progress_at, Some(at(1)));
        let same = after(&first, json!({"progress": "reading", "intervalSeconds": 60}), 2);
        assert_eq!(same.progress_at, Some(at(1)));
        assert_eq!(after(&same, json!({"progress": "writing"}), 3).progress_at, Some(at(3)));
        assert_eq!(after(&same, json!({"progress": null}), 3).progress_at, Some(at(3)));
        let active = |known: &Declaration, text: &str, second| {
            let issues = ActiveIssues::try_from(text.to_owned()).expect("issues");
            let judged = JudgedIssues { issues, version: None };
            known.after(&HeartbeatBody::default(), Some(&judged), at(second))
        };
        let working = active(&same, "a.1 a.2", 4);
        assert_eq!(working.progress_at, Some(at(4)));
        assert_eq!(active(&working, "a.2! a.1", 5).progress_at, Some(at(4)));
        assert_eq!(active(&working, "a.1", 5).progress_at, Some(at(5)));
    }

    #[test]
    fn agent_is_kept_until_it_has_left_whatever_it_promises() {
        let body = json!({"intervalSeconds": 86_400, "graceSeconds": 86_400});
        let promise = after(&Declaration::default(), body, 0).promise().expect("a promise");
        assert!(promise.left_after() < agent_kept_for(Duration::ZERO));
        assert_eq!(agent_kept_for(Duration::from_secs(90 * 86_400)).as_secs(), 90 * 86_400);
    }

    #[test]
    fn agent_is_told_to_stop_since_the_first_of_the_heartbeats_that_say_so() {
        let judged = |known: &Declaration, text: &str, second| {
            let issues = ActiveIssues::try_from(text.to_owned()).expect("issues");
            let judged = JudgedIssues { issues, version: Some("v".to_owned()) };
            known.after(&HeartbeatBody::default(), Some(&judged), at(second))
        };
        let going = judged(&Declaration::default(), "a.1 a.2", 1);
        assert_eq!(going.stop_at, None);
        let stopped = judged(&going, "a.1! a.2", 2);
        assert_eq!(stopped.stop_at, Some(at(2)));
        assert_eq!(judged(&stopped, "a.1! a.2!", 3).stop_at, Some(at(2)));
        assert_eq!(judged(&stopped, "a.2!", 3).stop_at, Some(at(3)), "it has let go of the first one");
        assert_eq!(judged(&stopped, "a.2", 3).stop_at, None);
        assert_eq!(judged(&stopped, "", 3).judged_by, None);
    }

    fn any_body() -> impl Strategy<Value = Value> {
        let seconds = || prop_oneof![Just(Value::Null), (60_u64..86_400).prop_map(Value::from)];
        let text = || prop_oneof![Just(Value::Null), "[a-z]{1,39}".prop_map(Value::from)];
        let members = (
            prop::option::of(seconds()),
            prop::option::of(seconds()),
            prop::option::of(seconds()),
            prop::option::of(text()),
            prop::option::of(text()),
            prop::option::of(text()),
        );
        members.prop_map(|(interval, grace, stalled, progress, login, client)| {
            let members = [
                ("intervalSeconds", interval),
                ("graceSeconds", grace),
                ("stalledAfterSeconds", stalled),
                ("progress", progress),
                ("login", login),
                ("client", client),
            ];
            let given = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
            Value::Object(given.collect())
        })
    }

    /// RFC 7396, for objects whose members are no objects.
    fn merge_patch(target: &mut Value, patch: &Value) {
        let target = target.as_object_mut().expect("an object");
        for (name, value) in patch.as_object().expect("an object") {
            if value.is_null() {
                drop(target.remove(name))
            } else {
                target.insert(name.clone(), value.clone());
            }
        }
    }

    proptest! {
        #[test]
        fn bodies_merge_as_rfc_7396_says(bodies in prop::collection::vec(any_body(), 0..6)) {
            let (mut declared, mut expected) = (Declaration::default(), json!({}));
            for body in &bodies {
                declared = after(&declared, body.clone(), 7);
                merge_patch(&mut expected, body);
            }
            let mut stored = serde_json::to_value(&declared).expect("JSON");
            prop_assert_eq!(serde_json::from_value::<Declaration>(stored.clone()).expect("it is read"), declared);
            stored.as_object_mut().expect("an object").remove("progressAt");
            prop_assert_eq!(stored, expected);
        }

        #[test]
        fn body_that_says_nothing_changes_nothing(bodies in prop::collection::vec(any_body(), 0..6)) {
            let declared = bodies.into_iter().fold(Declaration::default(), |known, body| after(&known, body, 7));
            prop_assert_eq!(after(&declared, json!({}), 8), declared);
        }
    }
}
