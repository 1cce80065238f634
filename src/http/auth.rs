//! Authenticates requests by their tokens. Each token is bound to some agents and has rights.
//!
//! A handler takes one of these proofs as an argument and so admits nobody else. One that reads takes exactly one of
//! [`Reader`], [`FleetReader`] and [`AgentReader`]: each of them counts the read.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use jiff::Timestamp;

use crate::app::App;
use crate::domain::{AgentName, AgentToken, AgentTokens, Fingerprint, RateLimitExceeded, Right};
use crate::secrets::Version;

use super::refusal::Refusal;

/// The proof that a request carries a valid token with which the agent in its path may send heartbeats.
#[derive(Clone, Debug)]
pub(super) struct Authorized {
    agent: AgentName,
    token: Fingerprint,
}

/// The proof that a request carries a valid token, and is within its rate of reads.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    token: AgentToken,
    /// The version of the secret that has the token.
    secret: Arc<Version<AgentTokens>>,
}

/// The proof of a [`Reader`] who may read the fleet: its status, repositories, issues, passes and changes.
#[cfg_attr(not(test), expect(dead_code, reason = "the reading routes use it"))]
#[derive(Clone, Debug)]
pub(super) struct FleetReader(());

/// The proof of a [`Reader`] who may read the agent in the path, and its runs.
#[derive(Clone, Debug)]
pub(super) struct AgentReader {
    agent: AgentName,
    reader: Reader,
}

impl FromRequestParts<Arc<App>> for Authorized {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refusal> {
        let agent = agent_in_path(parts, app).await;
        authenticate(app, &parts.headers, |token, _| {
            let agent = agent.clone()?;
            match (token.may(Right::Beat), token.covers(&agent)) {
                (false, _) => Err(Refusal::MayNotBeat),
                (true, false) => Err(Refusal::NotForThisAgent),
                (true, true) => Ok(Self { agent, token: token.fingerprint() }),
            }
        })
        .await
    }
}

impl FromRequestParts<Arc<App>> for Reader {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refusal> {
        let (reader, ()) = Self::admit(app, &parts.headers, |_| Ok(())).await?;
        Ok(reader)
    }
}

impl FromRequestParts<Arc<App>> for FleetReader {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refusal> {
        let may_read = |token: &AgentToken| match token.may(Right::Read) {
            true => Ok(()),
            false => Err(Refusal::MayNotRead),
        };
        Reader::admit(app, &parts.headers, may_read).await?;
        Ok(Self(()))
    }
}

impl FromRequestParts<Arc<App>> for AgentReader {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refusal> {
        let agent = agent_in_path(parts, app).await;
        let covered = |token: &AgentToken| {
            let agent = agent.clone()?;
            if token.covers(&agent) { Ok(agent) } else { Err(Refusal::NotForThisAgent) }
        };
        let (reader, agent) = Reader::admit(app, &parts.headers, covered).await?;
        Ok(Self { agent, reader })
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
}

#[cfg_attr(not(test), expect(dead_code, reason = "the reading routes use it"))]
impl Reader {
    /// Authenticates a read, and counts it if its token's rate permits it. A refused one is not counted.
    async fn admit<T>(
        app: &App,
        headers: &HeaderMap,
        judge: impl Fn(&AgentToken) -> Result<T, Refusal>,
    ) -> Result<(Self, T), Refusal> {
        let (reader, judged) = authenticate(app, headers, |token, secret| {
            let judged = judge(&token)?;
            Ok((Self { token, secret: Arc::clone(secret) }, judged))
        })
        .await?;
        let mut rates = app.read_rates.lock().expect("nothing panics while counting");
        rates.admit(reader.fingerprint(), app.config.reads_per_minute, app.clock.now()).map_err(
            |RateLimitExceeded { limit, retry_after_seconds }| Refusal::TooManyReads {
                limit,
                retry_after_seconds,
            },
        )?;
        Ok((reader, judged))
    }

    /// Whether it may read this agent and its runs.
    pub(super) fn covers(&self, agent: &AgentName) -> bool {
        self.token.covers(agent)
    }

    /// The fingerprint of its token.
    pub(super) fn fingerprint(&self) -> Fingerprint {
        self.token.fingerprint()
    }

    /// The agents that it may read and that the secret names one by one, without a `*`, and that may send heartbeats now.
    /// They may not have sent any yet.
    pub(super) fn named_agents(&self, now: Timestamp) -> BTreeSet<&AgentName> {
        let mut named = self.secret.parsed.named_agents(now);
        named.retain(|agent| self.covers(agent));
        named
    }
}

#[cfg_attr(not(test), expect(dead_code, reason = "the reading routes use it"))]
impl AgentReader {
    /// The agent in the path.
    pub(super) fn agent(&self) -> &AgentName {
        &self.agent
    }

    /// Who reads it.
    pub(super) fn reader(&self) -> &Reader {
        &self.reader
    }
}

/// The agent's name, which is the first parameter of the path.
async fn agent_in_path(parts: &mut Parts, app: &Arc<App>) -> Result<AgentName, Refusal> {
    let parameters = RawPathParams::from_request_parts(parts, app).await.map_err(|_| Refusal::Path)?;
    let (_, name) = parameters.iter().next().ok_or(Refusal::Path)?;
    Ok(AgentName::parse(name)?)
}

/// Finds the token of a request, and what `judge` makes of it. Only the holder of a valid token learns anything else, such
/// as whether the name in the path is valid.
///
/// If the token is rejected, the secret is read again, so that a rotation takes effect at once;
/// [`CachedSecret`](crate::secrets::CachedSecret) limits how often.
async fn authenticate<T>(
    app: &App,
    headers: &HeaderMap,
    judge: impl Fn(AgentToken, &Arc<Version<AgentTokens>>) -> Result<T, Refusal>,
) -> Result<T, Refusal> {
    let given = bearer(headers).ok_or(Refusal::Unauthorized)?;
    let judged = |secret: &Arc<Version<AgentTokens>>| {
        if secret.parsed.are_unreadable() {
            return Err(Refusal::CredentialsUnavailable);
        }
        let token = secret.parsed.find(given, app.clock.now()).ok_or(Refusal::Unauthorized)?;
        judge(token, secret)
    };
    let version = app.agent_tokens.get().await?;
    match judged(&version) {
        Err(refusal) if refusal.is_about_the_token() => {
            let newer = app.agent_tokens.reread(&version).await;
            newer.map_or(Err(refusal), |newer| judged(&newer))
        }
        judged => judged,
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
