//! What callers see: requests, answers, refusals, tokens, and the description of the API.

pub mod bindings;
pub mod coalesced;
pub mod contract;
pub mod declarations;
pub mod description;
pub mod events;
pub mod heartbeat_limit;
pub mod hostile_requests;
pub mod http;
pub mod idempotency;
pub mod idempotency_deaths;
pub mod next_heartbeat;
pub mod tokens;
