//! Queries to GitHub's GraphQL API: sends them, counts their points, and classifies their errors.

use jiff::Timestamp;
use reqwest::StatusCode;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::Api;

use super::effort::Effort;
use super::exchange::Request;
use super::meter::{GraphqlLimits, Limit};
use super::received::Received;
use super::{Failure, GitHubError, NoGraphql, Refusal, Session, forbidden};

/// The most points that one call can cost: a point is a hundred nodes, and GitHub allows 500,000 nodes a call.
const MAX_POINTS: u64 = 5_000;

/// What GitHub answered.
#[derive(Debug)]
pub(super) struct Reply<T> {
    /// The requested data.
    pub(super) data: T,
    /// The errors of parts of it. Each names its part.
    pub(super) errors: Vec<PartFailed>,
    /// The `Date` of the answer.
    pub(super) date: Timestamp,
    /// The answer, for the log.
    pub(super) received: Received,
}

/// An error about one of the fields of the query, which is then null or incomplete.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PartFailed {
    /// The field's name in the answer: its alias, where it has one.
    pub(super) part: String,
    pub(super) error: GitHubError,
}

#[derive(Serialize)]
struct Body<'a, V> {
    query: &'a str,
    variables: &'a V,
}

#[derive(Deserialize)]
struct Envelope<T> {
    data: Option<Data<T>>,
    #[serde(default)]
    errors: Vec<Error>,
}

#[derive(Deserialize)]
struct Data<T> {
    #[serde(rename = "rateLimit")]
    rate_limit: Option<RateLimit>,
    #[serde(flatten)]
    fields: T,
}

#[derive(Deserialize)]
struct RateLimit {
    cost: u64,
}

#[derive(Deserialize)]
struct Error {
    /// A field of the error itself, not of its extensions.
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    path: Option<Vec<Segment>>,
    #[serde(default)]
    extensions: Value,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Segment {
    Field(String),
    Index(IgnoredAny),
}

impl Segment {
    fn as_field(&self) -> Option<&str> {
        match self {
            Self::Field(field) => Some(field),
            Self::Index(_) => None,
        }
    }
}

impl Session<'_> {
    /// Executes a document with the account of these owners. A document that GitHub did not execute, or only in part,
    /// is not sent again.
    pub(super) async fn query<T: DeserializeOwned, V: Serialize + Sync>(
        &self,
        owners: &[&str],
        document: &str,
        variables: &V,
        effort: Effort,
    ) -> Result<Reply<T>, GitHubError> {
        let body = serde_json::to_string(&Body { query: document, variables });
        let body = body.expect("variables serialize to JSON");
        let answer = match self.send(owners, Request::Query(body), effort).await {
            Ok(answer) if answer.status == StatusCode::OK => answer,
            Ok(answer) if answer.status == StatusCode::NOT_FOUND => {
                return Err(answer.received.logged(NoGraphql::Missing.into()));
            }
            Ok(answer) => {
                let why = NoGraphql::NotUnderstood(format!("status {}", answer.status.as_u16()));
                return Err(answer.received.logged(why.into()));
            }
            Err(GitHubError::Forbidden { .. }) => return Err(NoGraphql::Forbidden.into()),
            // One owner's policy does not apply to the others' repositories. REST shows which owner's it is.
            Err(GitHubError::Policy(policy)) if policy.is_of_an_owner() && !are_same(owners) => {
                return Err(NoGraphql::Forbidden.into());
            }
            Err(error) => return Err(self.or_fall_back_to_rest(owners, error)),
        };
        let not_json = |what| NoGraphql::NotUnderstood(what).into();
        let Envelope { data, errors } = answer.json_or::<Envelope<T>>(not_json)?;
        let cost = data.as_ref().and_then(|data| data.rate_limit.as_ref());
        let cost = cost.map_or(1, |limit| limit.cost.min(MAX_POINTS));
        self.exchange().count(&answer.account, |counts| counts.points += cost);
        if let Some(limit) = errors.iter().find_map(|error| error.limit(answer.limits)) {
            self.github().with_limits(&answer.account, |limits| limit.block(limits, Api::GraphQl));
            let limited = GitHubError::RateLimited { until: limit.until(), api: Api::GraphQl };
            return Err(self.or_fall_back_to_rest(owners, answer.received.logged(limited)));
        }
        if data.is_none()
            && let Some(refusal) = errors.iter().find_map(Error::refusal)
        {
            return Err(answer.received.logged(NoGraphql::Refused(refusal).into()));
        }
        let not_executed = GitHubError::Unavailable {
            failure: Failure::NotExecuted,
            attempts: 1,
            origin: self.github().graphql_url.origin().ascii_serialization(),
        };
        // Partial data can be used only if each error names the part that is missing.
        let is_too_much = errors.iter().any(|error| error.is("RESOURCE_LIMITS_EXCEEDED"));
        let errors: Option<Vec<PartFailed>> = errors.into_iter().map(Error::of_part).collect();
        match (data, errors) {
            (Some(data), Some(errors)) if !is_too_much => {
                if let Some(first) = errors.first() {
                    answer.received.log_failure(&format_args!(
                        "{} parts of the query failed: {}",
                        errors.len(),
                        first.error
                    ));
                }
                Ok(Reply { data: data.fields, errors, date: answer.date, received: answer.received })
            }
            _ => {
                self.exchange().note_failure(Failure::NotExecuted);
                Err(answer.received.logged(not_executed))
            }
        }
    }

    /// When the budget of points is used up, the REST API still has its own budget. A secondary limit blocks both.
    fn or_fall_back_to_rest(&self, owners: &[&str], error: GitHubError) -> GitHubError {
        let account = owners.first().and_then(|owner| self.account(owner));
        let rest = account.and_then(|account| self.exchange().blocked_until(&account, Api::Rest));
        match (error, rest) {
            // A limit that the App's request for a token met is one of the REST API, so only this one is converted.
            (GitHubError::RateLimited { until, api: Api::GraphQl }, None) => NoGraphql::UsedUp(until).into(),
            // Both are blocked: the one that lifts first is used next.
            (GitHubError::RateLimited { until, api }, Some(rest)) => {
                GitHubError::RateLimited { until: until.min(rest), api }
            }
            (error, _) => error,
        }
    }
}

/// Whether all of these are one owner.
fn are_same(owners: &[&str]) -> bool {
    owners.iter().all(|owner| owner.eq_ignore_ascii_case(owners[0]))
}

impl Error {
    fn is(&self, kind: &str) -> bool {
        self.kind.as_deref() == Some(kind)
    }

    /// The limit that it reports. A secondary limit has no type: its message identifies it.
    fn limit(&self, limits: GraphqlLimits) -> Option<Limit> {
        limits.limit(self.kind.as_deref(), self.message.as_deref().unwrap_or_default())
    }

    /// Why GitHub refuses the document, however little it selects. Its halves would be refused as well.
    ///
    /// An older Enterprise Server lacks a field, a type or an argument. Its validation (graphql-ruby, `lib/graphql/
    /// static_validation`) gives each mistake a code and names the field, type or argument. GitHub's own rules for
    /// pages have a type instead, and a document that cannot be parsed has only a message. A document that was too
    /// large or took too long has none of these.
    fn refusal(&self) -> Option<Refusal> {
        let text = |name: &str| self.extensions.get(name).and_then(Value::as_str);
        let message = self.message.as_deref().unwrap_or_default();
        match (text("code"), self.kind.as_deref()) {
            (Some(code), None) if code != "validation_timeout" => {
                let last = self.path.as_ref().and_then(|path| path.last()).and_then(Segment::as_field);
                let names = ["fieldName", "argumentName", "variableName"].map(text);
                let name = names.into_iter().flatten().next().or(last.filter(|name| !name.contains(' ')));
                Some(Refusal::new(code, name.or_else(|| text("typeName"))))
            }
            (_, Some(kind @ ("MISSING_PAGINATION_BOUNDARIES" | "EXCESSIVE_PAGINATION"))) => {
                Some(Refusal::new(kind, None))
            }
            _ => message.starts_with("Parse error").then(Refusal::of_text),
        }
    }

    fn of_part(self) -> Option<PartFailed> {
        let error = match self.kind.as_deref() {
            Some("NOT_FOUND") => GitHubError::NotFound,
            kind => forbidden::reason_for_part(kind, self.message.as_deref().unwrap_or_default())
                .unwrap_or_else(|| {
                    GitHubError::Unexpected("an unknown GraphQL error for this repository".to_owned())
                }),
        };
        match self.path?.into_iter().next()? {
            Segment::Field(part) => Some(PartFailed { part, error }),
            Segment::Index(_) => None,
        }
    }
}
