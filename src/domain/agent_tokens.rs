//! Which token lets which agent in: what the secret with the agents' tokens says.
//!
//! Tokens are known by their digests alone. What is wrong in the secret is told by its place, never by its text.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};
use subtle::{ConditionallySelectable as _, ConstantTimeEq as _};

use super::digest::sha256;
use super::{AgentName, AgentPattern, Fingerprint, looks_like, only_value, unwrapped};

/// The shortest token, in characters: 32 random letters and digits are 190 bits.
const SHORTEST: usize = 32;

/// The agents' tokens, and what is wrong with the others of the secret.
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

/// What an entry allows its token.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Binding {
    agents: BTreeSet<AgentPattern>,
    expires_at: Option<Timestamp>,
}

/// A valid token, which may be for other agents than the one that sent it.
#[derive(Clone, Copy, Debug)]
pub struct AgentToken<'a>(&'a ValidToken);

/// One thing that is wrong with the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mistake {
    /// The place of the entry, counted from 1; none when it is the secret as a whole.
    entry: Option<usize>,
    what: Wrong,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Wrong {
    #[error("neither one plain token nor {{\"tokens\":[…]}}, but {0}")]
    Form(String),
    #[error("not a token but {0}")]
    TokenForm(String),
    #[error("not of the form {{\"token\":\"…\",\"agents\":[\"…\"],\"expiresAt\":\"…\"}}")]
    EntryForm,
    #[error("a token of less than {SHORTEST} characters")]
    Short,
    #[error("a token with characters that cannot stand in a header")]
    Characters,
    #[error("for no agent")]
    NoAgents,
    #[error("for a name that no agent has; a `*` stands at the end")]
    AgentName,
    #[error("expiresAt is no time like 2026-12-01T00:00:00Z")]
    ExpiresAt,
    #[error("a token that stands in another entry too, where it is for other agents or another time")]
    Twice,
}

#[derive(Deserialize)]
struct Form {
    tokens: Vec<Value>,
}

/// An unknown field may be a misspelt `expiresAt`: such an entry is refused.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Entry {
    token: String,
    agents: Vec<String>,
    expires_at: Option<String>,
}

impl AgentTokens {
    /// Reads the secret: one plain token for all agents, or `{"tokens":[…]}`. What is wrong is left out, so that
    /// the rest keeps working. Either may be the only entry of an object, as in `{"AGENT_TOKENS":"…"}`.
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
        let form = || Wrong::Form(looks_like(text).unwrap_or_else(|| "JSON of another shape".to_owned()));
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
                // Also a token whose entry is wrong: where it stands again it says something else.
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
                    let what = binding.as_ref().err().cloned().unwrap_or(Wrong::Twice);
                    tokens.mistakes.push(Mistake { entry: Some(n + 1), what });
                }
            }
        }
        tokens
    }

    /// What is wrong with the secret, in a line; none when nothing is.
    pub fn mistakes(&self) -> Option<String> {
        let mistakes: Vec<String> = self.mistakes.iter().map(Mistake::to_string).collect();
        (!mistakes.is_empty()).then(|| mistakes.join("; "))
    }

    /// Whether the secret has something to say of which nothing can be read. Nobody can be told then that a token is
    /// wrong. An empty list is none of these: it lets nobody in, and means it.
    pub fn are_unreadable(&self) -> bool {
        self.valid.is_empty() && !self.mistakes.is_empty()
    }

    /// The token that was given, if it is valid now.
    ///
    /// Constant in time by construction: digests are compared, all of them and whole, and which one it was is
    /// selected without a branch. Neither a token's length, nor how much of it is right, nor its place shows.
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
    /// Whether this agent may beat with it.
    pub fn is_for(self, agent: &AgentName) -> bool {
        self.0.binding.agents.iter().any(|pattern| pattern.covers(agent))
    }

    /// Tells it apart from others.
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

/// Whether a text can be an agent's token. API Gateway joins two headers with a comma: no token has one.
fn check(token: &str) -> Result<(), Wrong> {
    if let Some(form) = looks_like(token).filter(|_| !token.is_empty()) {
        return Err(Wrong::TokenForm(form));
    }
    match token {
        _ if !token.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',') => Err(Wrong::Characters),
        _ if token.len() < SHORTEST => Err(Wrong::Short),
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
