//! The agents' tokens: which token is valid for which agents and what its holder may do, as configured in the secret.
//!
//! Only digests of tokens are kept. Messages about mistakes in the secret name the place, and never repeat the text.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

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
    valid: Vec<AgentToken>,
    mistakes: Vec<Mistake>,
}

/// A valid token. Its holder may not necessarily do what it requests: see [`AgentToken::may`] and
/// [`AgentToken::covers`].
#[derive(Clone, Debug)]
pub struct AgentToken(Arc<ValidToken>);

#[derive(Debug)]
struct ValidToken {
    digest: [u8; 32],
    binding: Binding,
}

/// The agents, the rights and the expiry of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Binding {
    agents: BTreeSet<AgentPattern>,
    /// Never empty.
    may: BTreeSet<Right>,
    expires_at: Option<Timestamp>,
}

/// What the holder of a token may do. Each holder may read the agents that the token covers, and their runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// `beat`: send heartbeats as the agents that the token covers.
    Beat,
    /// `read`: read the fleet: its status, repositories, issues, passes and changes.
    Read,
}

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
    #[error(
        "must have the form {{\"token\":\"…\",\"agents\":[\"…\"],\"may\":[\"…\"],\"expiresAt\":\"…\"}}; `may` and \
         `expiresAt` are optional"
    )]
    EntryForm,
    #[error("token with fewer than {MIN_LENGTH} characters")]
    Short,
    #[error("token with characters that are not allowed in a header")]
    Characters,
    #[error("no agents listed")]
    NoAgents,
    #[error("invalid agent name; `*` is allowed only at the end")]
    AgentName,
    #[error("may must be [\"beat\"], [\"read\"] or [\"beat\",\"read\"]")]
    May,
    #[error("expiresAt must be a time like 2026-12-01T00:00:00Z")]
    ExpiresAt,
    #[error("duplicate token with different agents, rights or expiry")]
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
    /// Of any type, so that a wrong one gets the sentence about rights.
    may: Option<Value>,
    expires_at: Option<String>,
}

impl AgentTokens {
    /// Reads the secret: one plain token for all agents with all rights, or `{"tokens":[…]}`. Skips wrong entries, so
    /// that the others keep working. Either form may be the only value of an object, as in `{"AGENT_TOKENS":"…"}`.
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
            let binding = Binding {
                agents: BTreeSet::from([AgentPattern::All]),
                may: BTreeSet::from([Right::Beat, Right::Read]),
                expires_at: None,
            };
            return match check(text) {
                Err(wrong) => Self::without(wrong),
                Ok(()) => {
                    let only = AgentToken::new(sha256(text), binding);
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
                    if tokens.valid.iter().all(|known| known.0.digest != *digest) {
                        tokens.valid.push(AgentToken::new(*digest, binding.clone()));
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
    pub fn find(&self, given: &str, now: Timestamp) -> Option<AgentToken> {
        let given = sha256(given);
        let mut place = 0_u32;
        for (n, token) in (1..).zip(&self.valid) {
            place.conditional_assign(&n, token.0.digest.ct_eq(&given));
        }
        let found = self.valid.get(usize::try_from(place).ok()?.checked_sub(1)?)?;
        found.is_valid(now).then(|| found.clone())
    }

    /// The token with this fingerprint, if it is valid now.
    pub(super) fn with_fingerprint(&self, fingerprint: &str, now: Timestamp) -> Option<AgentToken> {
        let found = self.valid.iter().find(|token| token.fingerprint().as_str() == fingerprint)?;
        found.is_valid(now).then(|| found.clone())
    }

    /// Whether the token with this fingerprint is valid now.
    pub fn has_valid(&self, fingerprint: &Fingerprint, now: Timestamp) -> bool {
        self.with_fingerprint(fingerprint.as_str(), now).is_some()
    }

    /// The agents that the secret names one by one (without a `*`), and that may send heartbeats now. They may not have
    /// sent any yet.
    pub fn named_agents(&self, now: Timestamp) -> BTreeSet<&AgentName> {
        let senders = self.valid.iter().filter(|token| token.is_valid(now) && token.may(Right::Beat));
        let patterns = senders.flat_map(|token| &token.0.binding.agents);
        let names = patterns.filter_map(|pattern| match pattern {
            AgentPattern::Only(name) => Some(name),
            AgentPattern::All | AgentPattern::Prefix(_) => None,
        });
        names.collect()
    }
}

impl AgentToken {
    fn new(digest: [u8; 32], binding: Binding) -> Self {
        Self(Arc::new(ValidToken { digest, binding }))
    }

    /// Whether its holder has this right.
    pub fn may(&self, right: Right) -> bool {
        self.0.binding.may.contains(&right)
    }

    /// Whether the token is for this agent. What its holder may do with it is up to its rights.
    pub fn covers(&self, agent: &AgentName) -> bool {
        self.0.binding.agents.iter().any(|pattern| pattern.covers(agent))
    }

    /// The agents that the token covers, as a text: tokens with equal texts cover the same agents.
    pub fn coverage(&self) -> String {
        format!("{:?}", self.0.binding.agents)
    }

    /// Where the names that the token covers go on after a name that it does not cover, or where they begin; `None` if
    /// nowhere, or if it covers all.
    pub fn next_covered(&self, after: Option<&AgentName>) -> Option<&AgentName> {
        let patterns = &self.0.binding.agents;
        if patterns.contains(&AgentPattern::All) {
            return None;
        }
        patterns.iter().filter_map(AgentPattern::first).filter(|first| Some(*first) > after).min()
    }

    /// The token's fingerprint.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of_digest(&self.0.digest)
    }

    /// The whole SHA-256 of the token: as good as a secret, for whoever has it can make sessions of the token's holder.
    pub(super) fn digest(&self) -> &[u8; 32] {
        &self.0.digest
    }

    /// When it expires; `None` if it does not.
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.0.binding.expires_at
    }

    fn is_valid(&self, now: Timestamp) -> bool {
        self.0.binding.expires_at.is_none_or(|expires_at| now < expires_at)
    }
}

impl Right {
    /// The rights of an entry. One without `may` sends heartbeats only: it may be older than the right to read.
    fn read(may: Option<Value>) -> Option<BTreeSet<Self>> {
        let Some(may) = may else { return Some(BTreeSet::from([Self::Beat])) };
        let words = may.as_array()?.iter().map(|word| match word.as_str()? {
            "beat" => Some(Self::Beat),
            "read" => Some(Self::Read),
            _ => None,
        });
        words.collect::<Option<BTreeSet<_>>>().filter(|rights| !rights.is_empty())
    }
}

impl Binding {
    fn read(entry: Value) -> Result<Self, Wrong> {
        let Entry { token, agents, may, expires_at } =
            Entry::deserialize(entry).map_err(|_| Wrong::EntryForm)?;
        check(&unwrapped(&token))?;
        if agents.is_empty() {
            return Err(Wrong::NoAgents);
        }
        let agents = agents.iter().map(|agent| AgentPattern::parse(&unwrapped(agent)));
        Ok(Self {
            agents: agents.collect::<Result<_, _>>().map_err(|_| Wrong::AgentName)?,
            may: Right::read(may).ok_or(Wrong::May)?,
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
            Wrong::May,
            Wrong::ExpiresAt,
            Wrong::Contradiction,
        ];
        insta::assert_snapshot!(mistakes.map(|what| Mistake { entry: Some(1), what }.to_string()).join("\n"), @r#"
        entry 1: must be one plain token or {"tokens":[…]}, but is a JSON list
        entry 1: invalid token: it looks like a JSON list
        entry 1: must have the form {"token":"…","agents":["…"],"may":["…"],"expiresAt":"…"}; `may` and `expiresAt` are optional
        entry 1: token with fewer than 32 characters
        entry 1: token with characters that are not allowed in a header
        entry 1: no agents listed
        entry 1: invalid agent name; `*` is allowed only at the end
        entry 1: may must be ["beat"], ["read"] or ["beat","read"]
        entry 1: expiresAt must be a time like 2026-12-01T00:00:00Z
        entry 1: duplicate token with different agents, rights or expiry
        "#);
    }
}
