//! The HTTP API: its routes, who may call them, and how requests are refused.

mod auth;
mod body;
mod event;
mod handlers;
mod headers;
mod lambda;
mod openapi;
mod path;
#[cfg_attr(not(test), expect(dead_code, reason = "the reading routes use it"))]
mod query;
mod refusal;
mod router;
mod sent_query;

pub use lambda::service;
