//! DynamoDB: an embedded engine behind a [`Proxy`].
//!
//! The engine (dynoxide) executes requests, so conditions, indexes, transactions and errors are real. This module adds
//! its start, the meter, conflicts of transactions, which the engine does not have, and access to the rows for tests.
//! Expired items stay until [`DynamoDb::expire`], because nothing may rely on when DynamoDB deletes them.

mod conflicts;
mod engine;
mod items;
mod meter;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use dynoxide::errors::DynoxideError;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::clock::Clock;
use crate::proxy::Proxy;
use crate::scheduler::Scheduler;
use crate::template::Template;

use engine::Engine;

pub use crate::fault::Held;
pub use crate::proxy::{Capacity, Exchange, Fault, On, Outcome};

/// A running DynamoDB.
///
/// Tests can read and write its rows directly. That is neither counted nor logged, and no fault applies to it.
pub type DynamoDb = Proxy<Engine>;

/// Where the tables are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// In memory, until the server is dropped.
    Memory,
    /// In this file, which is created if needed. The engine then expires items by the system's clock.
    File(PathBuf),
}

impl DynamoDb {
    /// Starts a server on a free port. Panics if the file cannot be opened.
    pub async fn start(clock: Clock, storage: Storage) -> Self {
        Self::start_behind(Scheduler::default(), clock, storage).await
    }

    /// Starts a server whose requests this scheduler admits. Panics if the file cannot be opened.
    pub async fn start_behind(scheduler: Scheduler, clock: Clock, storage: Storage) -> Self {
        Self::in_front_of(Engine::start(clock, storage).await, scheduler).await
    }

    /// Creates the table with its time to live. A table that the file has already stays as it is. Panics if the engine
    /// rejects the definition.
    pub async fn create_table(&self, name: &str, template: &Template) {
        let database = self.upstream().database();
        match database.create_table(request(template.create_table_request(name))) {
            Ok(_) => {}
            Err(DynoxideError::ResourceInUseException(_)) => return,
            Err(error) => panic!("cannot create the table {name}: {error}"),
        }
        let enabled = database.update_time_to_live(request(template.time_to_live_request(name)));
        if let Err(error) = enabled {
            panic!("cannot set the time to live of the table {name}: {error}");
        }
    }

    /// The cost of all requests since the start or the last [`Self::clear_requests`].
    pub fn capacity(&self) -> Capacity {
        self.requests().iter().map(|exchange| exchange.capacity).sum()
    }

    /// Deletes all expired items, as DynamoDB does within days. Returns how many.
    pub fn expire(&self) -> usize {
        self.upstream().database().sweep_ttl().expect("the engine can delete what it holds")
    }
}

/// A request as the engine's type.
fn request<T: DeserializeOwned>(body: Value) -> T {
    match serde_json::from_value(body) {
        Ok(request) => request,
        Err(error) => panic!("the engine does not understand the request: {error}"),
    }
}
