//! The service through its front door, against the test world: one binary with all tests.

#![allow(unreachable_pub, reason = "a test binary has no outside")]

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod api;
mod audit;
mod board;
mod credentials;
mod feed;
mod limits;
mod operations;
mod reading;
mod records;
mod simulation;
mod support;
mod sweep;
mod sync;
mod verdicts;
