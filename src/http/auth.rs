//! Authenticates agents by their tokens. Each token is bound to some agents.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};

use crate::app::App;
use crate::domain::{AgentName, AgentTokens, Fingerprint};

use super::refusal::Refusal;

/// The proof that a request carries a valid token of the agent in its path. A handler that takes it as an argument
/// admits nobody else.
#[derive(Clone, Debug)]
pub(super) struct Authorized {
    agent: AgentName,
    token: Fingerprint,
}

impl FromRequestParts<Arc<App>> for Authorized {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refusal> {
        let path: Result<Path<String>, PathRejection> = Path::from_request_parts(parts, app).await;
        let agent = path.map_err(|_| Refusal::Path).and_then(|Path(name)| Ok(AgentName::parse(&name)?));
        let given = bearer(&parts.headers).ok_or(Refusal::Unauthorized)?;
        Self::check(app, given, &agent).await
    }
}

impl Authorized {
    /// The agent in the path.
    pub(super) fn agent(&self) -> &AgentName {
        &self.agent
    }

    /// The token that it authenticated with.
    pub(super) fn token(&self) -> &Fingerprint {
        &self.token
    }

    /// Checks the token. If it is rejected, the secret is read again, so that a rotation takes effect at once;
    /// [`CachedSecret`](crate::secrets::CachedSecret) limits how often.
    async fn check(app: &App, given: &str, agent: &Result<AgentName, Refusal>) -> Result<Self, Refusal> {
        let judged = |tokens: &AgentTokens| Self::judge(app, tokens, given, agent);
        let version = app.agent_tokens.get().await?;
        match judged(&version.parsed) {
            Err(refusal) if refusal.is_about_the_token() => {
                let newer = app.agent_tokens.reread(&version).await;
                newer.map_or(Err(refusal), |newer| judged(&newer.parsed))
            }
            judged => judged,
        }
    }

    /// Only the holder of a valid token learns whether the name is valid and whether the token is bound to it.
    fn judge(
        app: &App,
        tokens: &AgentTokens,
        given: &str,
        agent: &Result<AgentName, Refusal>,
    ) -> Result<Self, Refusal> {
        if tokens.are_unreadable() {
            return Err(Refusal::CredentialsUnavailable);
        }
        let token = tokens.find(given, app.clock.now()).ok_or(Refusal::Unauthorized)?;
        let agent = agent.clone()?;
        if !token.is_for(&agent) {
            return Err(Refusal::NotForThisAgent);
        }
        Ok(Self { agent, token: token.fingerprint() })
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
