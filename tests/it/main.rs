//! The service through its front door, against the local world: one binary, one sentence a test.

#![allow(unreachable_pub, reason = "a test binary has no outside")]

mod api;
mod audit;
mod credentials;
mod limits;
mod operations;
mod records;
mod simulation;
mod support;
mod sync;
