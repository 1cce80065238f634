//! The service through its front door, against the local world: one binary, one sentence a test.

#![allow(unreachable_pub, reason = "a test binary has no outside")]

mod app;
mod log;
mod roles;

mod architecture;
mod audit_pages;
mod audits;
mod backfills;
mod bindings;
mod budgets;
mod changes;
mod claims;
mod coalesced;
mod confirmations;
mod contract;
mod costs;
mod credentials;
mod crowds;
mod deadlines;
mod deferral;
mod drift;
mod events;
mod failures;
mod github_app;
mod github_app_refused;
mod held_audits;
mod histories;
mod histories_edits;
mod histories_told;
mod holders;
mod http;
mod labels;
mod limits;
mod listings;
mod next_heartbeat;
mod pacing;
mod probe;
mod records;
mod removals;
mod repositories;
mod retries;
mod rotations;
mod schedule;
mod settling;
mod simulation;
mod simulation_deaths;
mod simulation_overlaps;
mod start;
mod tokens;
mod touches;
mod without_graphql;
mod writes;
