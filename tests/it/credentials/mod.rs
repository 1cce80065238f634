//! GitHub's tokens and Apps, TLS, and secrets, which never leave the service.

pub mod github_app;
pub mod github_app_refused;
pub mod github_token;
pub mod hostile_secrets;
pub mod installations;
pub mod leaks;
pub mod new_tokens;
pub mod rotations;
pub mod tls;
