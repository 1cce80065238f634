//! The state as GraphQL objects for the engine.
//!
//! Late and hidden issues are the same as in REST. Pull requests are not among the issues. A disabled repository, or
//! one with disabled issues, lists none and has the flag.

use std::cell::Cell;

use apollo_compiler::resolvers::{FieldError, ObjectValue, ResolveInfo, ResolvedValue};
use jiff::Timestamp;

use super::super::apps::NOT_ACCESSIBLE;
use super::super::budget::Budget;
use super::super::issue::{Issue, State};
use super::super::order::{Order, Place, Sort};
use super::super::repository::Repository;
use super::super::world::{Named, World};
use super::cost::Cost;
use super::error::Failure;
use super::faults::{Lack, Partial};

type Resolved<'a> = Result<ResolvedValue<'a>, FieldError>;

/// The root of every query.
pub(super) struct Root<'w> {
    pub(super) world: &'w World,
    pub(super) budget: Budget,
    pub(super) cost: Cost,
    pub(super) dry_run: bool,
    pub(super) token: Option<&'w str>,
    pub(super) may_read_issues: bool,
    pub(super) partial: Option<&'w Partial>,
    /// How many repositories were resolved so far.
    pub(super) repositories: Cell<usize>,
}

struct RepositoryObject<'w> {
    world: &'w World,
    repository: &'w Repository,
    without: Without<'w>,
}

/// What a repository's connections lack.
#[derive(Clone, Copy)]
enum Without<'w> {
    Nothing,
    Nodes(&'w Failure),
    Node(usize, &'w Failure),
}

struct IssueConnection<'w> {
    page: Vec<&'w Issue>,
    total: usize,
    has_next: bool,
    order: Order,
    without: Without<'w>,
}

struct PageInfo {
    end_cursor: Option<String>,
    has_next: bool,
}

struct IssueObject<'w> {
    issue: &'w Issue,
    /// Why all of its fields fail.
    failure: Option<&'w Failure>,
}

struct LabelConnection<'w> {
    names: &'w [String],
    first: usize,
}

struct LabelObject<'w>(&'w str);

struct RateLimit {
    budget: Budget,
    cost: Cost,
}

impl ObjectValue for Root<'_> {
    fn type_name(&self) -> &str {
        "Query"
    }

    fn resolve_field<'a>(&'a self, info: &'a ResolveInfo<'a>) -> Resolved<'a> {
        match info.field_name() {
            "rateLimit" => Ok(ResolvedValue::object(RateLimit { budget: self.budget, cost: self.cost })),
            "repository" if self.dry_run => Ok(ResolvedValue::null()),
            "repository" => self.repository(info).map_err(Failure::into_field_error),
            _ => Err(self.unknown_field_error(info)),
        }
    }
}

impl<'w> Root<'w> {
    fn repository(&self, info: &ResolveInfo<'_>) -> Result<ResolvedValue<'w>, Failure> {
        let text =
            |name: &str| info.arguments().get(name).and_then(|value| value.as_str()).unwrap_or_default();
        let name = format!("{}/{}", text("owner"), text("name"));
        let follows = info.arguments().get("followRenames").and_then(|value| value.as_bool()).unwrap_or(true);
        let place = self.repositories.replace(self.repositories.get() + 1);

        let id = match self.world.named(&name) {
            Named::Current(id) => Some(id),
            Named::Former(id) => Some(id).filter(|_| follows),
            Named::Unknown => None,
        };
        let lack = self.partial.map(|partial| (&partial.lack, &partial.failure));
        let without = match lack {
            Some((Lack::Repository(lacking), failure)) if self.world.same_repository(lacking, &name) => {
                return Err(failure.clone());
            }
            Some((Lack::NodesBehind(answered), failure)) if place >= *answered => Without::Nodes(failure),
            Some((Lack::Node(node), failure)) if place == 0 => Without::Node(*node, failure),
            _ => Without::Nothing,
        };
        let found = id.and_then(|id| self.world.visible_repository(id, self.token)).ok_or_else(|| {
            let message = format!("Could not resolve to a Repository with the name '{name}'.");
            Failure::new("NOT_FOUND", message)
        })?;
        if !self.may_read_issues {
            return Err(Failure::new("FORBIDDEN", NOT_ACCESSIBLE));
        }
        Ok(ResolvedValue::object(RepositoryObject { world: self.world, repository: found, without }))
    }
}

impl ObjectValue for RepositoryObject<'_> {
    fn type_name(&self) -> &str {
        "Repository"
    }

    fn resolve_field<'a>(&'a self, info: &'a ResolveInfo<'a>) -> Resolved<'a> {
        let repository = self.repository;
        Ok(match info.field_name() {
            "databaseId" => ResolvedValue::leaf(repository.id),
            "id" => ResolvedValue::leaf(format!("R_{}", repository.id)),
            "nameWithOwner" => ResolvedValue::leaf(repository.full_name.as_str()),
            "hasIssuesEnabled" => ResolvedValue::leaf(repository.has_issues),
            "isArchived" => ResolvedValue::leaf(repository.archived),
            "isDisabled" => ResolvedValue::leaf(repository.disabled),
            "issues" => ResolvedValue::object(self.issues(info).map_err(Failure::into_field_error)?),
            _ => return Err(self.unknown_field_error(info)),
        })
    }
}

impl<'w> RepositoryObject<'w> {
    fn issues(&self, info: &ResolveInfo<'_>) -> Result<IssueConnection<'w>, Failure> {
        let argument = |name: &str| info.arguments().get(name).filter(|value| !value.is_null());
        let states: Option<Vec<_>> = argument("states")
            .and_then(|states| states.as_array())
            .map(|states| states.iter().filter_map(|state| state.as_str()).collect());
        let order =
            argument("orderBy").map_or(Order { sort: Sort::Created, descending: false }, |order| Order {
                sort: match order.get("field").and_then(|field| field.as_str()) {
                    Some("UPDATED_AT") => Sort::Updated,
                    Some("COMMENTS") => Sort::Comments,
                    _ => Sort::Created,
                },
                descending: order.get("direction").and_then(|way| way.as_str()) == Some("DESC"),
            });
        let since = argument("filterBy").and_then(|filter| filter.get("since")?.as_str()?.parse().ok());
        let after = match argument("after").and_then(|after| after.as_str()) {
            None => None,
            Some(cursor) => Some(Place::of_cursor(cursor).ok_or_else(|| {
                let message = format!("`{cursor}` does not appear to be a valid cursor.");
                Failure::new("INVALID_CURSOR_ARGUMENTS", message)
            })?),
        };

        let shows = self.repository.has_issues && !self.repository.disabled;
        let mut found: Vec<&Issue> = self
            .repository
            .visible_issues(self.world.now())
            .filter(|issue| shows && !issue.is_pull_request)
            .filter(|issue| since.is_none_or(|since: Timestamp| issue.updated_at >= since))
            .filter(|issue| states.as_ref().is_none_or(|states| states.contains(&state(issue))))
            .collect();
        order.sort(&mut found);
        let start = after.map_or(0, |after| order.up_to(&found, after));
        let end = (start + first(info)).min(found.len());
        Ok(IssueConnection {
            page: found[start..end].to_vec(),
            total: found.len(),
            has_next: end < found.len(),
            order,
            without: self.without,
        })
    }
}

impl ObjectValue for IssueConnection<'_> {
    fn type_name(&self) -> &str {
        "IssueConnection"
    }

    fn resolve_field<'a>(&'a self, info: &'a ResolveInfo<'a>) -> Resolved<'a> {
        Ok(match (info.field_name(), self.without) {
            ("nodes", Without::Nodes(failure)) => return Err(failure.clone().into_field_error()),
            ("nodes", without) => {
                ResolvedValue::list(self.page.iter().enumerate().map(move |(place, issue)| {
                    let failure = match without {
                        Without::Node(lacking, failure) if lacking == place => Some(failure),
                        _ => None,
                    };
                    ResolvedValue::object(IssueObject { issue, failure })
                }))
            }
            ("pageInfo", _) => ResolvedValue::object(PageInfo {
                end_cursor: self.page.last().map(|last| self.order.place(last).cursor()),
                has_next: self.has_next,
            }),
            ("totalCount", _) => ResolvedValue::leaf(self.total),
            _ => return Err(self.unknown_field_error(info)),
        })
    }
}

impl ObjectValue for PageInfo {
    fn type_name(&self) -> &str {
        "PageInfo"
    }

    fn resolve_field<'a>(&'a self, info: &'a ResolveInfo<'a>) -> Resolved<'a> {
        match info.field_name() {
            "endCursor" => Ok(self.end_cursor.as_deref().map_or(ResolvedValue::null(), ResolvedValue::leaf)),
            "hasNextPage" => Ok(ResolvedValue::leaf(self.has_next)),
            _ => Err(self.unknown_field_error(info)),
        }
    }
}

impl ObjectValue for IssueObject<'_> {
    fn type_name(&self) -> &str {
        "Issue"
    }

    fn resolve_field<'a>(&'a self, info: &'a ResolveInfo<'a>) -> Resolved<'a> {
        let Self { issue, failure } = self;
        if let Some(failure) = *failure {
            return Err(failure.clone().into_field_error());
        }
        Ok(match info.field_name() {
            "id" => ResolvedValue::leaf(format!("I_{}", issue.id)),
            "number" => ResolvedValue::leaf(issue.number),
            "state" => ResolvedValue::leaf(state(issue)),
            "title" => ResolvedValue::leaf(issue.title.as_str()),
            "updatedAt" => ResolvedValue::leaf(issue.updated_at.to_string()),
            "labels" => ResolvedValue::object(LabelConnection { names: &issue.labels, first: first(info) }),
            _ => return Err(self.unknown_field_error(info)),
        })
    }
}

impl ObjectValue for LabelConnection<'_> {
    fn type_name(&self) -> &str {
        "LabelConnection"
    }

    fn resolve_field<'a>(&'a self, info: &'a ResolveInfo<'a>) -> Resolved<'a> {
        let label = |name: &'a String| ResolvedValue::object(LabelObject(name));
        match info.field_name() {
            "nodes" => Ok(ResolvedValue::list(self.names.iter().take(self.first).map(label))),
            "totalCount" => Ok(ResolvedValue::leaf(self.names.len())),
            _ => Err(self.unknown_field_error(info)),
        }
    }
}

impl ObjectValue for LabelObject<'_> {
    fn type_name(&self) -> &str {
        "Label"
    }

    fn resolve_field<'a>(&'a self, info: &'a ResolveInfo<'a>) -> Resolved<'a> {
        match info.field_name() {
            "name" => Ok(ResolvedValue::leaf(self.0)),
            _ => Err(self.unknown_field_error(info)),
        }
    }
}

impl ObjectValue for RateLimit {
    fn type_name(&self) -> &str {
        "RateLimit"
    }

    fn resolve_field<'a>(&'a self, info: &'a ResolveInfo<'a>) -> Resolved<'a> {
        Ok(match info.field_name() {
            "cost" => ResolvedValue::leaf(self.cost.points()),
            "limit" => ResolvedValue::leaf(self.budget.limit),
            "nodeCount" => ResolvedValue::leaf(self.cost.nodes),
            "remaining" => ResolvedValue::leaf(self.budget.remaining),
            "resetAt" => ResolvedValue::leaf(self.budget.reset.to_string()),
            "used" => ResolvedValue::leaf(self.budget.used()),
            _ => return Err(self.unknown_field_error(info)),
        })
    }
}

fn state(issue: &Issue) -> &'static str {
    match issue.state {
        State::Open => "OPEN",
        State::Closed => "CLOSED",
    }
}

/// The requested page size; 0 for a connection that is only counted.
fn first(info: &ResolveInfo<'_>) -> usize {
    let first = info.arguments().get("first").and_then(|first| first.as_u64()).unwrap_or(0);
    usize::try_from(first).expect("the calculation of the cost rejects pages of more than 100")
}
