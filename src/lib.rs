//! The heartbeat service for fleets of coding agents.
//!
//! An agent sends a heartbeat before it starts an expensive model. The service syncs its cached copy of the tracked
//! repositories' GitHub issues, repairs drift, records the run, and reports the changed issues in one compact JSON
//! document. `ARCHITECTURE.md` maps the modules; they are listed below in reading order.

pub mod domain;

pub mod feed;
pub mod heartbeat;
pub mod pass;
pub mod sweep;

pub mod views;

mod names;

pub mod github;
pub mod store;

pub mod app;
pub mod clock;
pub mod config;
pub mod http;
pub mod schedule;
pub mod secrets;
pub mod start;
pub mod telemetry;
pub mod transport;
