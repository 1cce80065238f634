//! The HTTP API: its routes, who may call them, and how requests are refused.

mod auth;
mod board;
mod body;
mod credential;
mod event;
mod handlers;
mod headers;
mod lambda;
mod metrics_text;
mod openapi;
mod path;
mod query;
mod read_agents;
mod read_answers;
mod read_fleet;
mod read_issues;
mod refusal;
mod router;
mod sent_query;
mod session;
mod shown;

pub use lambda::service;
pub use openapi::description;
