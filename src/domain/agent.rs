//! Who beats.

use std::fmt;

/// The name an agent beats under: 1–64 of `A–Z a–z 0–9 . _ -`, starting with a letter or a digit.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AgentName(String);

/// Why a text is not an agent's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an agent name is 1 to {longest} of the characters A-Z a-z 0-9 . _ - and starts with a letter or a digit",
    longest = AgentName::MAX_LENGTH
)]
pub struct InvalidAgentName;

impl AgentName {
    /// The longest name, in characters.
    pub const MAX_LENGTH: usize = 64;

    /// Reads a name as it stands in the path, percent-decoding done.
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

/// Names of agents: one, or all that begin alike.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AgentPattern {
    /// `*`.
    All,
    /// `ci-*`: all that begin with this.
    Beginning(AgentName),
    /// This one.
    Only(AgentName),
}

impl AgentPattern {
    /// Reads a name that may end in `*`.
    pub fn parse(text: &str) -> Result<Self, InvalidAgentName> {
        match text.strip_suffix('*') {
            Some("") => Ok(Self::All),
            Some(beginning) => AgentName::parse(beginning).map(Self::Beginning),
            None => AgentName::parse(text).map(Self::Only),
        }
    }

    /// Whether a name is one of these.
    pub fn covers(&self, name: &AgentName) -> bool {
        match self {
            Self::All => true,
            Self::Beginning(beginning) => name.0.starts_with(&beginning.0),
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
    use super::AgentName;

    #[test]
    fn a_name_is_short_plain_and_starts_with_a_letter_or_digit() {
        for good in ["a", "0", "alpha", "Agent.7_b-c", &"x".repeat(64)] {
            assert!(AgentName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", ".a", "-a", "_a", "a/b", "a b", "ä", "агент", "a\0", &"x".repeat(65)] {
            assert!(AgentName::parse(bad).is_err(), "{bad}");
        }
    }
}
