//! Holds: an operator orders agents to stop everything.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{AgentName, AgentPattern, InvalidAgentName, millis};

/// The most holds at once.
const MAX_HOLDS: usize = 5;

/// The longest reason, in bytes.
const MAX_WHY: usize = 80;

/// A hold: the agents that it covers must stop everything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    /// Which agents: a name, a prefix like `ci-*`, or `*`.
    pub pattern: String,
    /// Since when.
    #[serde(with = "millis")]
    pub since: Timestamp,
    /// Why, in the operator's words.
    pub why: String,
}

/// The holds in force, at most five.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Holds(Vec<Hold>);

/// Why a hold cannot be set or released.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHold {
    /// The pattern is none.
    #[error("`{0}` is not an agent's name, a prefix like `ci-*`, or `*`")]
    Pattern(String, #[source] InvalidAgentName),
    /// The reason has a wrong form.
    #[error("a hold needs a reason: a text of 1 to {MAX_WHY} bytes without control characters")]
    Why,
    /// There are too many.
    #[error("there are {MAX_HOLDS} holds, which is the limit; release one, or hold a prefix")]
    TooMany,
    /// There is no such hold.
    #[error("there is no hold on `{0}`; {1}")]
    NoneSuch(String, String),
}

impl Hold {
    /// A hold on the agents that `pattern` covers.
    ///
    /// # Errors
    /// [`InvalidHold`] if the pattern or the reason has a wrong form.
    pub fn new(pattern: &str, why: &str, since: Timestamp) -> Result<Self, InvalidHold> {
        AgentPattern::parse(pattern).map_err(|error| InvalidHold::Pattern(pattern.to_owned(), error))?;
        if why.trim().is_empty() || why.len() > MAX_WHY || why.chars().any(char::is_control) {
            return Err(InvalidHold::Why);
        }
        Ok(Self { pattern: pattern.to_owned(), since, why: why.to_owned() })
    }

    fn covers(&self, agent: &AgentName) -> bool {
        AgentPattern::parse(&self.pattern).is_ok_and(|pattern| pattern.covers(agent))
    }
}

impl Holds {
    /// The first hold that covers this agent.
    pub fn of(&self, agent: &AgentName) -> Option<&Hold> {
        self.0.iter().find(|hold| hold.covers(agent))
    }

    /// The holds, in the order in which they were set.
    pub fn as_slice(&self) -> &[Hold] {
        &self.0
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// These holds and another one. One on the same pattern gets the new reason, and keeps its time.
    ///
    /// # Errors
    /// [`InvalidHold::TooMany`] if there are five already.
    pub fn with(mut self, hold: Hold) -> Result<Self, InvalidHold> {
        if let Some(known) = self.0.iter_mut().find(|known| known.pattern == hold.pattern) {
            known.why = hold.why;
        } else if self.0.len() < MAX_HOLDS {
            self.0.push(hold);
        } else {
            return Err(InvalidHold::TooMany);
        }
        Ok(self)
    }

    /// These holds without the one on `pattern`.
    ///
    /// # Errors
    /// [`InvalidHold::NoneSuch`] if there is none.
    pub fn without(mut self, pattern: &str) -> Result<Self, InvalidHold> {
        let before = self.0.len();
        let names: Vec<String> = self.0.iter().map(|hold| format!("`{}`", hold.pattern)).collect();
        self.0.retain(|hold| hold.pattern != pattern);
        if self.0.len() < before {
            return Ok(self);
        }
        let others = match &names[..] {
            [] => "nothing is held".to_owned(),
            names => format!("held: {}", names.join(", ")),
        };
        Err(InvalidHold::NoneSuch(pattern.to_owned(), others))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold(pattern: &str) -> Hold {
        Hold::new(pattern, "a freeze", Timestamp::UNIX_EPOCH).expect("a hold")
    }

    fn agent(name: &str) -> AgentName {
        AgentName::parse(name).expect("a name")
    }

    #[test]
    fn hold_covers_the_agents_of_its_pattern() {
        let holds =
            Holds::default().with(hold("ci-*")).and_then(|holds| holds.with(hold("alpha"))).expect("holds");
        assert_eq!(holds.of(&agent("ci-7")).map(|hold| hold.pattern.as_str()), Some("ci-*"));
        assert_eq!(holds.of(&agent("alpha")).map(|hold| hold.pattern.as_str()), Some("alpha"));
        assert_eq!(holds.of(&agent("beta")), None);
        assert!(Holds::default().with(hold("*")).expect("holds").of(&agent("beta")).is_some());
    }

    #[test]
    fn hold_on_the_same_pattern_has_the_new_reason_since_the_old_time() {
        let again = Hold::new("ci-*", "still", Timestamp::MAX).expect("a hold");
        let holds = Holds::default().with(hold("ci-*")).and_then(|holds| holds.with(again)).expect("holds");
        assert_eq!(
            holds.as_slice(),
            [Hold { pattern: "ci-*".to_owned(), since: Timestamp::UNIX_EPOCH, why: "still".to_owned() }]
        );
    }

    #[test]
    fn every_invalid_hold_has_its_sentence() {
        let new = |pattern: &str, why: &str| Hold::new(pattern, why, Timestamp::UNIX_EPOCH).map(|_| ());
        let five = ["a", "b", "c", "d", "e"].map(hold);
        let five = five.into_iter().try_fold(Holds::default(), Holds::with).expect("five holds");
        let errors = [
            new("c i", "x"),
            new("ci", " "),
            new("ci", "a\nb"),
            new("ci", &"x".repeat(81)),
            five.clone().with(hold("f")).map(|_| ()),
            five.without("f").map(|_| ()),
            Holds::default().without("f").map(|_| ()),
        ];
        let sentences = errors.map(|error| error.expect_err("an error").to_string());
        insta::assert_snapshot!(sentences.join("\n"), @"
        `c i` is not an agent's name, a prefix like `ci-*`, or `*`
        a hold needs a reason: a text of 1 to 80 bytes without control characters
        a hold needs a reason: a text of 1 to 80 bytes without control characters
        a hold needs a reason: a text of 1 to 80 bytes without control characters
        there are 5 holds, which is the limit; release one, or hold a prefix
        there is no hold on `f`; held: `a`, `b`, `c`, `d`, `e`
        there is no hold on `f`; nothing is held
        ");
    }
}
