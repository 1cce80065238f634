//! GitHub's tokens and Apps, TLS, and that no secret leaves the service.

pub mod github_app;
pub mod github_app_refused;
pub mod github_token;
pub mod hostile_secrets;
pub mod installations;
pub mod marks;
pub mod new_tokens;
pub mod rotations;
pub mod tls;
