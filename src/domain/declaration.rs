//! What is kept of what an agent has declared, and what follows from it.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{ActiveIssues, HeartbeatBody, Member, optional_millis};

/// The grace of an agent that declares none: its interval, within these seconds.
const DEFAULT_GRACE: (u64, u64) = (60, 3_600);

/// How long an agent is kept that has not promised when its next heartbeat comes.
const UNWATCHED_KEPT_FOR: Duration = Duration::from_secs(7 * 86_400);

/// How long, at least, a watched agent may be silent before it counts as left.
const LEFT_AFTER: Duration = Duration::from_secs(7 * 86_400);

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
    /// What it does, in its own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<String>,
    /// When its progress or its active issues last changed.
    #[serde(default, with = "optional_millis", skip_serializing_if = "Option::is_none")]
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

/// An agent's promise: in which time its next heartbeat comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Promise {
    /// The time to the next heartbeat.
    pub interval: Duration,
    /// How late it may be.
    pub grace: Duration,
}

impl Declaration {
    /// The declaration after a heartbeat with this body, which was answered at `now`. `active_issues` are the issues
    /// that the body declares; `None` if it says nothing about them.
    #[must_use]
    pub fn after(&self, body: &HeartbeatBody, active_issues: Option<&ActiveIssues>, now: Timestamp) -> Self {
        let mut after = Self {
            interval_seconds: merged(&body.interval_seconds, &self.interval_seconds),
            grace_seconds: merged(&body.grace_seconds, &self.grace_seconds),
            active_issues: active_issues.unwrap_or(&self.active_issues).clone(),
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

    /// How long the agent's item is kept after its last heartbeat. `retention` is how long AgentRuns are kept. An agent
    /// with a promise is kept at least until it counts as left.
    pub fn kept_for(&self, retention: Duration) -> Duration {
        self.promise().map_or(UNWATCHED_KEPT_FOR, |promise| retention.max(promise.left_after()))
    }
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
        let issues = |text: &str| ActiveIssues::try_from(text.to_owned()).expect("issues");
        let active = |known: &Declaration, text: &str, second| {
            known.after(&HeartbeatBody::default(), Some(&issues(text)), at(second))
        };
        let working = active(&same, "acme/api#1 acme/api#2", 4);
        assert_eq!(working.progress_at, Some(at(4)));
        assert_eq!(active(&working, "Acme/API#2 acme/api#1", 5).progress_at, Some(at(4)));
        assert_eq!(active(&working, "acme/api#1", 5).progress_at, Some(at(5)));
    }

    #[test]
    fn watched_agent_is_kept_as_long_as_runs_and_at_least_until_it_has_left() {
        let day = Duration::from_secs(86_400);
        let kept_for = |body: Value, days| {
            let declared = after(&Declaration::default(), body, 0);
            declared.kept_for(day * days).as_secs() / 86_400
        };
        assert_eq!(kept_for(json!({}), 90), 7);
        assert_eq!(kept_for(json!({"intervalSeconds": 60}), 90), 90);
        assert_eq!(kept_for(json!({"intervalSeconds": 60}), 1), 7);
        assert_eq!(kept_for(json!({"intervalSeconds": 86_400, "graceSeconds": 86_400}), 1), 20);
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
