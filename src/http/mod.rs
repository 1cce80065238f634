//! What callers see: the routes, who may call them, and how a request without a beat is refused.

mod auth;
mod event;
mod headers;
mod lambda;
mod openapi;
mod path;
mod refusal;
mod router;

pub use auth::Authorized;
pub use lambda::service;
pub use refusal::Refusal;
