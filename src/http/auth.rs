//! Who may beat: the agents' tokens, compared by digest in constant time.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::app::App;
use crate::secrets::{CachedSecret, Secret};

use super::Refusal;

/// The proof that a request carries a valid agent token. A handler that takes one lets nobody else in.
#[derive(Clone, Copy, Debug)]
pub struct Authenticated(());

/// The secret's JSON form. An entry that is not for all agents (`*`) lets nobody in: tokens cannot be bound yet.
#[derive(Deserialize)]
struct TokensForm {
    tokens: Vec<TokenEntry>,
}

#[derive(Deserialize)]
struct TokenEntry {
    token: String,
    #[serde(default)]
    agents: Vec<String>,
}

impl FromRequestParts<Arc<App>> for Authenticated {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refusal> {
        Self::check(&parts.headers, &app.agent_tokens).await
    }
}

impl Authenticated {
    /// Checks the `Authorization` header. A token that does not match makes the secret be read again, so that a
    /// rotation works at once; how often, [`CachedSecret`] limits.
    async fn check(headers: &HeaderMap, tokens: &CachedSecret) -> Result<Self, Refusal> {
        let given = bearer(headers).ok_or(Refusal::Unauthorized)?;
        let secret = tokens.get().await?;
        if allows(&secret, given) {
            return Ok(Self(()));
        }
        match tokens.reread(&secret).await {
            Some(newer) if allows(&newer, given) => Ok(Self(())),
            _ => Err(Refusal::Unauthorized),
        }
    }
}

/// The token of the only `Authorization` header. API Gateway joins two headers with a comma, which no token has.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(only), None) = (given.next(), given.next()) else {
        return None;
    };
    let (scheme, token) = only.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    let is_token = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',');
    (scheme.eq_ignore_ascii_case("Bearer") && is_token).then_some(token)
}

/// Compares digests, all of them: neither the length of a token nor the place of a match shows in the time.
fn allows(secret: &Secret, given: &str) -> bool {
    let given = Sha256::digest(given);
    valid_tokens(secret)
        .iter()
        .map(|valid| Sha256::digest(valid.expose()).ct_eq(&given))
        .fold(subtle::Choice::from(0), |any, this| any | this)
        .into()
}

/// The tokens in the secret: the plain text itself, or the entries of the JSON form. A secret of any other
/// shape holds none: nobody is let in by mistake.
fn valid_tokens(secret: &Secret) -> Vec<Secret> {
    let text = secret.expose();
    if text.starts_with('{') {
        let Ok(form) = serde_json::from_str::<TokensForm>(text) else {
            tracing::error!("The secret with the agent tokens is not of a known form; nobody is let in.");
            return Vec::new();
        };
        form.tokens
            .into_iter()
            .filter(|entry| !entry.token.is_empty() && entry.agents.iter().any(|agent| agent == "*"))
            .map(|entry| Secret::new(&entry.token))
            .collect()
    } else if text.is_empty() {
        Vec::new()
    } else {
        vec![secret.clone()]
    }
}
