//! The client for GitHub's REST and GraphQL APIs: single requests within a deadline.
//!
//! It checks each redirect before it follows it, since a redirect means a rename or a transfer. It obeys GitHub's
//! limits and repeats requests after transient failures. It decides nothing about issues.

mod allowances;
mod answer;
mod app_key;
mod body;
mod client;
mod closing_down;
mod credentials;
mod effort;
mod error;
mod exchange;
mod failure;
mod forbidden;
mod foreign;
mod graphql;
mod inquiry;
mod installation;
mod link;
mod listing;
mod meter;
mod open_issues;
mod pages;
mod probe;
mod probed;
mod received;
mod records;
mod repository;
mod retry;
mod session;
mod split;
mod tokens;
mod unicode;
mod unreachable;
mod web;
mod wire;
mod words;

pub use body::ReservedMemory;
pub use client::{Addresses, GitHub, Unreachable};
pub use credentials::{Account, Credentials, Identity, Installation, ParsedCredentials, Token};
pub use error::{BadCredentials, Blocked, GitHubError, NoGraphql, Policy, Refusal, Unauthorized};
pub use failure::{Failure, ProxyFailure, TlsFailure};
pub use listing::{Complete, Listing, Page, Scope};
pub use open_issues::{OpenIssues, OpenPage, SeenOpen};
pub use probed::{Learned, NotProbed, ProbeTerms, Probed};
pub use records::OddRecord;
pub use repository::{IssueAnswer, Probe, Repository, Target};
pub use retry::RetryPolicy;
pub use session::Session;
