//! The service through its front door, against the local world: one binary, one sentence a test.

#![allow(unreachable_pub, reason = "a test binary has no outside")]

mod app;
mod roles;

mod architecture;
mod audit_pages;
mod audits;
mod backfills;
mod changes;
mod claims;
mod coalesced;
mod confirmations;
mod contract;
mod costs;
mod credentials;
mod deadlines;
mod drift;
mod events;
mod failures;
mod held_audits;
mod holders;
mod http;
mod labels;
mod limits;
mod listings;
mod records;
mod removals;
mod repositories;
mod retries;
mod schedule;
mod settling;
mod start;
mod tokens;
mod touches;
mod writes;
