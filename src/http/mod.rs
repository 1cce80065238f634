//! What callers see: the routes, who may call them, and how a request without a beat is refused.

mod auth;
mod event;
mod headers;
mod openapi;
mod refusal;
mod router;

pub use auth::Authorized;
pub use event::EventAnswer;
pub use refusal::Refusal;
pub use router::service;
