//! The service through its front door, against the local world: one binary, one sentence a test.

#![allow(unreachable_pub, reason = "a test binary has no outside")]

mod app;

mod architecture;
mod audits;
mod backfills;
mod claims;
mod contract;
mod events;
mod failures;
mod held_audits;
mod http;
mod labels;
mod listings;
mod repositories;
mod schedule;
mod settling;
mod tokens;
mod touches;
