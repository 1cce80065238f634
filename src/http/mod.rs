//! The HTTP API: its routes, who may call them, and how requests are refused.

mod auth;
mod body;
mod event;
mod handlers;
mod headers;
mod lambda;
mod openapi;
mod path;
mod refusal;
mod router;

pub use lambda::service;
