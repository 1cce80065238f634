//! The heartbeat service for fleets of coding agents.
