//! The agents' tokens: which token is valid for which agent, as configured in the secret.
//!
//! Only digests of tokens are kept. Messages about mistakes in the secret name the place, and never repeat the text.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};
use subtle::{ConditionallySelectable as _, ConstantTimeEq as _};

use super::digest::sha256;
use super::{AgentName, AgentPattern, Fingerprint, looks_like, only_value, unwrapped};

/// The minimum length of a token, in characters: 32 random letters and digits have 190 bits.
const MIN_LENGTH: usize = 32;

/// The valid tokens of the secret, and the mistakes in the others.
#[derive(Debug)]
pub struct AgentTokens {
    valid: Vec<ValidToken>,
    mistakes: Vec<Mistake>,
}

#[derive(Debug)]
struct ValidToken {
    digest: [u8; 32],
    binding: Binding,
}

/// The agents and the expiry of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Binding {
    agents: BTreeSet<AgentPattern>,
    expires_at: Option<Timestamp>,
}

/// A token that is valid, but not necessarily for the agent that sent it: see [`AgentToken::is_for`].
#[derive(Clone, Copy, Debug)]
pub struct AgentToken<'a>(&'a ValidToken);

/// One mistake in the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mistake {
    /// The number of the entry, starting at 1; `None` if the secret as a whole is wrong.
    entry: Option<usize>,
    what: Wrong,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Wrong {
    #[error("must be one plain token or {{\"tokens\":[…]}}, but is {0}")]
    Form(String),
    #[error("invalid token: it looks like {0}")]
    TokenForm(String),
    #[error("must have the form {{\"token\":\"…\",\"agents\":[\"…\"],\"expiresAt\":\"…\"}}")]
    EntryForm,
    #[error("token with fewer than {MIN_LENGTH} characters")]
    Short,
    #[error("token with characters that are not allowed in a header")]
    Characters,
    #[error("no agents listed")]
    NoAgents,
    #[error("invalid agent name; `*` is allowed only at the end")]
    AgentName,
    #[error("expiresAt must be a time like 2026-12-01T00:00:00Z")]
    ExpiresAt,
    #[error("duplicate token with different agents or expiry")]
    Contradiction,
}

#[derive(Deserialize)]
struct Form {
    tokens: Vec<Value>,
}

/// An unknown field may be a misspelt `expiresAt`, so an entry with one is rejected.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Entry {
    token: String,
    agents: Vec<String>,
    expires_at: Option<String>,
}

impl AgentTokens {
    /// Reads the secret: one plain token for all agents, or `{"tokens":[…]}`. Skips wrong entries, so that the others
    /// keep working. Either form may be the only value of an object, as in `{"AGENT_TOKENS":"…"}`.
    pub fn read(text: &str) -> Self {
        let object = serde_json::from_str::<Map<String, Value>>(text).ok();
        match object
            .as_ref()
            .filter(|object| !object.get("tokens").is_some_and(Value::is_array))
            .and_then(only_value)
        {
            Some(only) => Self::read_document(&only),
            None => Self::read_document(text),
        }
    }

    fn read_document(text: &str) -> Self {
        let form =
            || Wrong::Form(looks_like(text).unwrap_or_else(|| "JSON with another structure".to_owned()));
        if !text.starts_with(['{', '[']) && !text.is_empty() {
            let all = Binding { agents: BTreeSet::from([AgentPattern::All]), expires_at: None };
            return match check(text) {
                Err(wrong) => Self::without(wrong),
                Ok(()) => {
                    let only = ValidToken { digest: sha256(text), binding: all };
                    Self { valid: vec![only], mistakes: Vec::new() }
                }
            };
        }
        match serde_json::from_str::<Form>(text) {
            Ok(Form { tokens }) => Self::of(tokens),
            Err(_) => Self::without(form()),
        }
    }

    fn without(what: Wrong) -> Self {
        Self { valid: Vec::new(), mistakes: vec![Mistake { entry: None, what }] }
    }

    fn of(entries: Vec<Value>) -> Self {
        let entries: Vec<_> = entries
            .into_iter()
            .map(|entry| {
                // A token whose entry is wrong counts, too: it contradicts a valid entry with the same token.
                let digest = entry["token"].as_str().map(|token| sha256(unwrapped(token)));
                (digest, Binding::read(entry))
            })
            .collect();
        let mut tokens = Self { valid: Vec::new(), mistakes: Vec::new() };
        for (n, (digest, binding)) in entries.iter().enumerate() {
            let is_contradicted = entries.iter().any(|(other, says)| {
                digest.is_some() && other == digest && says.as_ref().ok() != binding.as_ref().ok()
            });
            match (digest, binding) {
                (Some(digest), Ok(binding)) if !is_contradicted => {
                    let token = ValidToken { digest: *digest, binding: binding.clone() };
                    if tokens.valid.iter().all(|known| known.digest != token.digest) {
                        tokens.valid.push(token);
                    }
                }
                (_, binding) => {
                    let what = binding.as_ref().err().cloned().unwrap_or(Wrong::Contradiction);
                    tokens.mistakes.push(Mistake { entry: Some(n + 1), what });
                }
            }
        }
        tokens
    }

    /// All mistakes in the secret, in one line; `None` if there are none.
    pub fn mistakes(&self) -> Option<String> {
        let mistakes: Vec<String> = self.mistakes.iter().map(Mistake::to_string).collect();
        (!mistakes.is_empty()).then(|| mistakes.join("; "))
    }

    /// Whether the secret has mistakes and no valid token. A token must not be called invalid then. An empty list is no
    /// mistake: it deliberately admits nobody.
    pub fn are_unreadable(&self) -> bool {
        self.valid.is_empty() && !self.mistakes.is_empty()
    }

    /// The given token, if it is valid now.
    ///
    /// Takes constant time: compares the whole digests of all tokens and selects the match without a branch. The time
    /// reveals neither a token's length, nor a correct prefix, nor its place in the secret.
    pub fn find(&self, given: &str, now: Timestamp) -> Option<AgentToken<'_>> {
        let given = sha256(given);
        let mut place = 0_u32;
        for (n, token) in (1..).zip(&self.valid) {
            place.conditional_assign(&n, token.digest.ct_eq(&given));
        }
        let found = self.valid.get(usize::try_from(place).ok()?.checked_sub(1)?)?;
        let is_valid = found.binding.expires_at.is_none_or(|expires_at| now < expires_at);
        is_valid.then_some(AgentToken(found))
    }
}

impl AgentToken<'_> {
    /// Whether this agent may send heartbeats with the token.
    pub fn is_for(self, agent: &AgentName) -> bool {
        self.0.binding.agents.iter().any(|pattern| pattern.covers(agent))
    }

    /// The token's fingerprint.
    pub fn fingerprint(self) -> Fingerprint {
        Fingerprint::of_digest(&self.0.digest)
    }
}

impl Binding {
    fn read(entry: Value) -> Result<Self, Wrong> {
        let Entry { token, agents, expires_at } = Entry::deserialize(entry).map_err(|_| Wrong::EntryForm)?;
        check(&unwrapped(&token))?;
        if agents.is_empty() {
            return Err(Wrong::NoAgents);
        }
        let agents = agents.iter().map(|agent| AgentPattern::parse(&unwrapped(agent)));
        Ok(Self {
            agents: agents.collect::<Result<_, _>>().map_err(|_| Wrong::AgentName)?,
            expires_at: expires_at
                .map(|at| unwrapped(&at).parse())
                .transpose()
                .map_err(|_| Wrong::ExpiresAt)?,
        })
    }
}

/// Checks that a text can be an agent's token. Commas are not allowed, because API Gateway joins two headers with one.
fn check(token: &str) -> Result<(), Wrong> {
    if let Some(form) = looks_like(token).filter(|_| !token.is_empty()) {
        return Err(Wrong::TokenForm(form));
    }
    match token {
        _ if !token.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',') => Err(Wrong::Characters),
        _ if token.len() < MIN_LENGTH => Err(Wrong::Short),
        _ => Ok(()),
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.entry {
            Some(entry) => write!(f, "entry {entry}: {}", self.what),
            None => write!(f, "{}", self.what),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_in_the_secret_has_its_sentence() {
        let form = || "a JSON list".to_owned();
        let mistakes = [
            Wrong::Form(form()),
            Wrong::TokenForm(form()),
            Wrong::EntryForm,
            Wrong::Short,
            Wrong::Characters,
            Wrong::NoAgents,
            Wrong::AgentName,
            Wrong::ExpiresAt,
            Wrong::Contradiction,
        ];
        insta::assert_snapshot!(mistakes.map(|what| Mistake { entry: Some(1), what }.to_string()).join("\n"), @r#"
        entry 1: must be one plain token or {"tokens":[…]}, but is a JSON list
        entry 1: invalid token: it looks like a JSON list
        entry 1: must have the form {"token":"…","agents":["…"],"expiresAt":"…"}
        entry 1: token with fewer than 32 characters
        entry 1: token with characters that are not allowed in a header
        entry 1: no agents listed
        entry 1: invalid agent name; `*` is allowed only at the end
        entry 1: expiresAt must be a time like 2026-12-01T00:00:00Z
        entry 1: duplicate token with different agents or expiry
        "#);
    }
}
