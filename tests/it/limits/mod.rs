//! GitHub's rate limits and budgets, and the service's own.

pub mod budgets;
pub mod installation_budgets;
pub mod limit_words;
pub mod rate_limits;
pub mod refusals;
pub mod request_rate;
