//! Names of agents.

use std::fmt;

/// The name of an agent in its heartbeats: 1–64 of `A–Z a–z 0–9 . _ -`, starting with a letter or a digit.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AgentName(String);

/// The text is not an agent's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an agent name must be 1 to {} of the characters A-Z a-z 0-9 . _ - and start with a letter or a digit",
    AgentName::MAX_LENGTH
)]
pub struct InvalidAgentName;

impl AgentName {
    /// The maximum length, in characters.
    pub const MAX_LENGTH: usize = 64;

    /// Parses a name from a path, after percent-decoding.
    ///
    /// # Errors
    /// [`InvalidAgentName`] if it is empty, too long or has other characters.
    pub fn parse(text: &str) -> Result<Self, InvalidAgentName> {
        let starts_well = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        let all_allowed = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        if starts_well && all_allowed && text.len() <= Self::MAX_LENGTH {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidAgentName)
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A pattern of agent names: one name, a prefix or all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AgentPattern {
    /// `*`.
    All,
    /// `ci-*`: all names with this prefix.
    Prefix(AgentName),
    /// Exactly this name.
    Only(AgentName),
}

impl AgentPattern {
    /// Parses a name that may end in `*`.
    ///
    /// # Errors
    /// [`InvalidAgentName`] if the text before the `*` is no valid name.
    pub fn parse(text: &str) -> Result<Self, InvalidAgentName> {
        match text.strip_suffix('*') {
            Some("") => Ok(Self::All),
            Some(prefix) => AgentName::parse(prefix).map(Self::Prefix),
            None => AgentName::parse(text).map(Self::Only),
        }
    }

    /// The first text that it matches, which is not always a name; `None` for `*`.
    pub fn first(&self) -> Option<&AgentName> {
        match self {
            Self::All => None,
            Self::Prefix(first) | Self::Only(first) => Some(first),
        }
    }

    /// Whether the pattern matches a name.
    pub fn covers(&self, name: &AgentName) -> bool {
        match self {
            Self::All => true,
            Self::Prefix(prefix) => name.0.starts_with(&prefix.0),
            Self::Only(only) => name == only,
        }
    }
}

impl fmt::Display for AgentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{AgentName, InvalidAgentName};

    #[test]
    fn agent_name_is_short_and_starts_with_a_letter_or_digit() {
        for good in ["a", "0", "alpha", "Agent.7_b-c", &"x".repeat(64)] {
            assert!(AgentName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", ".a", "-a", "_a", "a/b", "a b", "ä", "агент", "a\0", &"x".repeat(65)] {
            assert!(AgentName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn invalid_agent_name_has_its_sentence() {
        insta::assert_snapshot!(InvalidAgentName, @"an agent name must be 1 to 64 of the characters A-Z a-z 0-9 . _ - and start with a letter or a digit");
    }
}
