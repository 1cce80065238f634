//! The heartbeat service for fleets of coding agents.
//!
//! An agent beats before it starts an expensive model: the service brings its copy of the tracked
//! repositories' GitHub issues up to date, repairs what drifted, records the beat and answers in one compact
//! JSON document. `ARCHITECTURE.md` draws the map; the modules below stand in the order to read them in.

pub mod domain;

pub mod heartbeat;
pub mod pass;

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
