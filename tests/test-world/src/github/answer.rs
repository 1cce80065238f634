//! What this GitHub answers to a request, from its state alone.
//!
//! Who asks, and with what budget, is decided here too; faults, holds and connections are not.

use axum::http::Method;
use serde_json::Value;

use super::apps;
use super::budget::UsedUp;
use super::graphql::Partial;
use super::issue::Issue;
use super::listing::{Refused, Wanted};
use super::render::{self, About};
use super::repository::{Numbered, Repository};
use super::root;
use super::target::{Address, Asked, Part, Target};
use super::world::{Named, World};

/// An answer before it is HTTP.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// The GraphQL points that the call took.
    pub(super) points: u64,
}

impl Answer {
    pub(super) fn json(status: u16, body: &Value) -> Self {
        let headers = vec![header("content-type", "application/json; charset=utf-8")];
        Self { status, headers, body: body.to_string().into_bytes(), points: 0 }
    }

    pub(super) fn error(status: u16, message: &str, about: &About) -> Self {
        Self::json(status, &render::error(status, message, about))
    }

    fn not_found(about: &About) -> Self {
        Self::error(404, "Not Found", about)
    }

    fn moved(status: u16, url: &str) -> Self {
        Self::json(status, &render::moved(status, url)).with("location", url)
    }

    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push(header(name, value));
        self
    }

    /// Adds a header unless the answer has one of that name.
    pub(super) fn or_with(self, name: &str, value: &str) -> Self {
        if self.headers.iter().any(|(present, _)| present.eq_ignore_ascii_case(name)) {
            self
        } else {
            self.with(name, value)
        }
    }
}

fn header(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// Who sent a request.
#[derive(Clone, Debug)]
pub(super) struct Sender<'a> {
    pub(super) token: Option<&'a str>,
    pub(super) has_user_agent: bool,
    pub(super) api_version: Option<&'a str>,
}

impl World {
    /// Admits or refuses the sender, and counts the request on its token's budget. Tells the GraphQL points
    /// that it took.
    pub(super) fn admit(&mut self, sender: &Sender<'_>, asked: &Asked) -> Result<u64, Answer> {
        if !sender.has_user_agent {
            let body = b"Request forbidden by administrative rules: it has no User-Agent header.".to_vec();
            let headers = vec![header("content-type", "text/plain")];
            return Err(Answer { status: 403, headers, body, points: 0 });
        }
        self.check_version(sender, asked)?;
        let asks_as_app = matches!(asked.target, Target::InstallationTokens(_));
        let is_an_apps = asks_as_app || sender.token.is_some_and(apps::is_of_installation);
        if let Some(accepted) = &self.accepted_tokens
            && !is_an_apps
        {
            match sender.token {
                None => return Err(Answer::error(401, "Requires authentication", &About::Anything)),
                Some(token) if !accepted.iter().any(|known| known == token) => {
                    return Err(Answer::error(401, "Bad credentials", &About::Anything));
                }
                Some(_) => {}
            }
        }
        if let Some(token) = sender.token {
            self.admit_installation(token)?;
        }
        if let Some(query) = &asked.graphql {
            return self.admit_query(sender.token, query);
        }
        if asked.target == Target::RateLimit {
            return Ok(0);
        }
        let (now, payer) = (self.now(), self.payer(sender.token));
        self.budgets.of(&payer, now).spend(1).map_err(|UsedUp| {
            let message = "API rate limit exceeded for user ID 1001. If you reach out to GitHub Support for \
                           help, please include the request ID.";
            Answer::error(403, message, &About::RateLimits)
        })?;
        Ok(0)
    }

    /// Adds the headers of every answer: the date, and what the token has left.
    pub(super) fn sign(&mut self, answer: Answer, sender: &Sender<'_>, asked: &Asked) -> Answer {
        let answer = self.announce(answer, sender, asked);
        let (now, payer) = (self.now(), self.payer(sender.token));
        let (budgets, resource, media_type) = match asked.graphql {
            None => (&mut self.budgets, "core", "github.v3; format=json"),
            Some(_) => (&mut self.points, "graphql", "github.v4; format=json"),
        };
        let budget = *budgets.of(&payer, now);
        answer
            .or_with("date", &render::http_date(now))
            .or_with("x-github-media-type", media_type)
            .or_with("x-ratelimit-limit", &budget.limit.to_string())
            .or_with("x-ratelimit-remaining", &budget.remaining.to_string())
            .or_with("x-ratelimit-used", &budget.used().to_string())
            .or_with("x-ratelimit-reset", &budget.reset.as_second().to_string())
            .or_with("x-ratelimit-resource", resource)
    }

    /// Answers an admitted request. `api` is this server's own address; `partial` is what a test wants
    /// lacking in a GraphQL answer.
    pub(super) fn answer(
        &mut self,
        asked: &Asked,
        token: Option<&str>,
        api: &str,
        partial: Option<&Partial>,
    ) -> Answer {
        if let Some(query) = &asked.graphql {
            return self.answer_query(token, query, partial);
        }
        match (&asked.method, &asked.target) {
            (&Method::GET, Target::Root) => Answer::json(200, &root::render(api)),
            (&Method::GET, Target::RateLimit) => {
                let (now, payer) = (self.now(), self.payer(token));
                let (requests, points) = (self.budgets.of(&payer, now), self.points.of(&payer, now));
                Answer::json(200, &render::rate_limit(requests, points))
            }
            (&Method::POST, Target::InstallationTokens(id)) => {
                self.issue_token(token, *id).unwrap_or_else(|refusal| refusal)
            }
            (_, Target::Repository(_, part)) if *part != Part::Itself && !self.may_read_issues(token) => {
                apps::not_accessible()
            }
            (_, Target::Repository(address, part)) => {
                self.answer_repository(asked, token, address, *part, api)
            }
            _ => Answer::not_found(&About::Anything),
        }
    }

    fn answer_repository(
        &mut self,
        asked: &Asked,
        token: Option<&str>,
        address: &Address,
        part: Part,
        api: &str,
    ) -> Answer {
        let found =
            self.find(asked, token, address, part, api).map(|repository| repository.full_name.clone());
        let answer = found.and_then(|name| match (&asked.method, part) {
            (&Method::GET, Part::Itself) => {
                Ok(Answer::json(200, &render::repository(self, api, self.repository(&name))))
            }
            (&Method::GET, Part::Issues) => Ok(self.answer_listing(asked, self.repository(&name), api)),
            (&Method::GET, Part::Issue(number)) => self.answer_issue(200, token, &name, number, api),
            (&Method::POST, Part::Issues) => {
                let number = self.open_described(&name, &asked.body)?;
                self.answer_issue(201, token, &name, number, api)
            }
            (&Method::PATCH, Part::Issue(number)) => {
                // Refuses what a reader would be refused.
                self.answer_issue(200, token, &name, number, api)?;
                self.change_described(&name, number, &asked.body)?;
                self.answer_issue(200, token, &name, number, api)
            }
            _ => Err(Answer::not_found(&About::Anything)),
        });
        answer.unwrap_or_else(|refusal| refusal)
    }

    /// The repository asked for, unless this part of it has no answer of its own.
    fn find(
        &self,
        asked: &Asked,
        token: Option<&str>,
        address: &Address,
        part: Part,
        api: &str,
    ) -> Result<&Repository, Answer> {
        let about = match part {
            Part::Itself => About::Repository,
            Part::Issues => About::Listing,
            Part::Issue(_) => About::Issue,
        };
        let id = asked.repository_id(self);
        let repository =
            id.and_then(|id| self.visible_repository(id, token)).ok_or_else(|| Answer::not_found(&about))?;
        if let Address::Name(name) = address
            && let Named::Former(id) = self.named(name)
        {
            let rest = asked.path_and_query().split_off("/repos/".len() + name.len());
            let status = if asked.method == Method::GET { 301 } else { 307 };
            return Err(Answer::moved(status, &format!("{api}/repositories/{id}{rest}")));
        }
        if part == Part::Itself {
            return Ok(repository);
        }
        if repository.disabled {
            return Err(Answer::error(403, "Repository access blocked", &about));
        }
        if !repository.has_issues {
            return Err(Answer::error(410, "Issues has been disabled in this repository.", &about));
        }
        if repository.archived && asked.method != Method::GET {
            return Err(Answer::error(403, "Repository was archived so is read-only.", &about));
        }
        Ok(repository)
    }

    fn answer_issue(
        &self,
        status: u16,
        token: Option<&str>,
        name: &str,
        number: u64,
        api: &str,
    ) -> Result<Answer, Answer> {
        let repository = self.repository(name);
        let not_found = || Answer::not_found(&About::Issue);
        match repository.numbers.get(&number).ok_or_else(not_found)? {
            Numbered::Deleted => Err(Answer::error(410, "This issue was deleted", &About::Issue)),
            Numbered::Issue(versions) => {
                let issue = versions.visible(self.now()).ok_or_else(not_found)?;
                Ok(Answer::json(status, &render::issue(self, api, repository, issue)))
            }
            Numbered::Transferred { repository, number } => {
                let (id, number) = self.whereabouts(*repository, *number);
                // GitHub does not show where an issue went to those who may not read it there.
                self.visible_repository(id, token).ok_or_else(not_found)?;
                Err(Answer::moved(301, &format!("{api}/repositories/{id}/issues/{number}")))
            }
        }
    }

    fn answer_listing(&self, asked: &Asked, repository: &Repository, api: &str) -> Answer {
        let url = format!("{api}/repositories/{}/issues", repository.id);
        let page =
            Wanted::parse(asked).and_then(|wanted| wanted.page(repository, self.links, self.now(), &url));
        match page {
            Ok(page) => {
                let render = |issue: &&Issue| render::issue(self, api, repository, issue);
                let issues = page.issues.iter().map(render).collect();
                let answer = Answer::json(200, &Value::Array(issues));
                match page.link {
                    Some(link) => answer.with("link", &link),
                    None => answer,
                }
            }
            Err(Refused::Invalid(parameter)) => Answer::json(422, &render::validation_failed(parameter)),
            Err(Refused::PageNumber) => {
                let message = "Pagination with the page parameter is not supported for large datasets, \
                               please use cursor based pagination (after/before)";
                Answer::error(422, message, &About::Listing)
            }
        }
    }

    /// Where an issue is that was transferred, maybe several times.
    fn whereabouts(&self, repository: u64, number: u64) -> (u64, u64) {
        match self.repositories[&repository].numbers.get(&number) {
            Some(&Numbered::Transferred { repository, number }) => self.whereabouts(repository, number),
            _ => (repository, number),
        }
    }
}
