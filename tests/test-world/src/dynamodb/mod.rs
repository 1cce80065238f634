//! DynamoDB: an embedded engine behind a [`Proxy`].
//!
//! The engine (dynoxide) decides what a request means, so conditions, indexes,
//! transactions and errors are real; here are only its start, the meter, the
//! conflicts of transactions, which it does not have, and a view of the rows for
//! arranging and looking. Expired items stay until
//! [`DynamoDb::expire`], as nothing may rely on when DynamoDB deletes them.

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
use crate::template::Template;
use crate::turnstile::Turnstile;

use engine::Engine;

pub use crate::fault::Held;
pub use crate::proxy::{Capacity, Exchange, Fault, On, Outcome};

/// A running DynamoDB.
///
/// Its rows can be arranged and looked at directly; what that costs is neither
/// counted nor logged, and no fault meets it.
pub type DynamoDb = Proxy<Engine>;

/// Where the tables are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// In memory, gone when the server is dropped.
    Memory,
    /// In this file, made if there is none. The engine then expires items by the system's clock.
    File(PathBuf),
}

impl DynamoDb {
    /// Starts one on a free port. Panics when the file cannot be opened.
    pub async fn start(clock: Clock, storage: Storage) -> Self {
        Self::start_behind(Turnstile::default(), clock, storage).await
    }

    /// Starts one that is reached through this turnstile. Panics when the file cannot be opened.
    pub async fn start_behind(turnstile: Turnstile, clock: Clock, storage: Storage) -> Self {
        Self::in_front_of(Engine::start(clock, storage).await, turnstile).await
    }

    /// Makes the table under this name, with its time to live. A file that has it already keeps it
    /// as it is. Panics when the engine refuses the definition.
    pub async fn create_table(&self, name: &str, template: &Template) {
        let database = self.upstream().database();
        match database.create_table(request(template.create_table_request(name))) {
            Ok(_) => {}
            Err(DynoxideError::ResourceInUseException(_)) => return,
            Err(error) => panic!("the table {name} cannot be made: {error}"),
        }
        let enabled = database.update_time_to_live(request(template.time_to_live_request(name)));
        if let Err(error) = enabled {
            panic!("the table {name} cannot have a time to live: {error}");
        }
    }

    /// What the requests since the start or the last [`Self::clear_requests`] cost together.
    pub fn capacity(&self) -> Capacity {
        self.requests().iter().map(|exchange| exchange.capacity).sum()
    }

    /// Deletes every item whose time to live is over, as DynamoDB does within days. Gives their number.
    pub fn expire(&self) -> usize {
        self.upstream().database().sweep_ttl().expect("the engine can delete what it holds")
    }
}

/// A request in the engine's own type.
fn request<T: DeserializeOwned>(body: Value) -> T {
    match serde_json::from_value(body) {
        Ok(request) => request,
        Err(error) => panic!("the engine does not understand the request: {error}"),
    }
}
