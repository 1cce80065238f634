//! A stateful GitHub over HTTP, for tests and for people who try the service out.
//!
//! The state is plain data ([`World`]), and all answers come from it. A test arranges the state, lets the service send
//! requests, and checks the result. Single requests can fail ([`GitHub::fault`]), follow a change of the state
//! ([`GitHub::before`]) or wait ([`GitHub::hold`]). REST and GraphQL ([`Matching::graphql`]) answer from the same state
//! with separate budgets. A token is any text, or one that a GitHub App got ([`World::install_app`]). What the service
//! does not use is absent: conditional requests, writes (except opening and changing an issue, for people), and
//! secondary rate limits other than as faults.
//!
//! ```
//! # use test_world::{clock::Clock, github::{Fault, GitHub, Matching}};
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let github = GitHub::start(Clock::system()).await;
//! let number = github.arrange(|world| {
//!     world.create_repository("acme/api");
//!     world.open_issue("acme/api", "The login page is slow")
//! });
//!
//! github.fault(Matching::listing("acme/api"), Fault::Status(502).times(2));
//! github.before(Matching::listing("acme/api").nth(3), move |world| world.close_issue("acme/api", number));
//! # }
//! ```

mod answer;
mod api_version;
mod apps;
mod budget;
mod edits;
mod faults;
mod graphql;
mod issue;
mod listing;
mod log;
mod matching;
mod order;
mod pace;
pub mod refusals;
mod render;
mod repository;
mod root;
mod script;
pub mod seed;
mod server;
mod target;
#[cfg(test)]
mod tests;
mod wire;
mod world;
mod writes;

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::routing::any;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub use apps::{APP_KEY, APP_KEY_PKCS8, app_jwt};
pub use faults::{Change, Fault};
pub use graphql::{Partial, Poison};
pub use issue::{Issue, State};
pub use log::{GraphQlCall, Request, fingerprint};
pub use matching::Matching;
pub use repository::Repository;
pub use world::{LinkStyle, World};

use self::server::{Shared, lock};
use crate::clock::Clock;
use crate::fault::{Held, Repeated};
use crate::scheduler::Scheduler;

/// A handle of a running GitHub, which stops when the last handle is dropped.
#[derive(Clone)]
pub struct GitHub {
    shared: Arc<Shared>,
    // The server's task, which is aborted with the last handle.
    _serving: Arc<JoinSet<std::io::Result<()>>>,
}

impl GitHub {
    /// Starts an empty GitHub on a free port of this machine, with the time of `clock`.
    pub async fn start(clock: Clock) -> Self {
        Self::start_behind(Scheduler::default(), clock).await
    }

    /// Starts a server whose requests this scheduler admits.
    pub async fn start_behind(scheduler: Scheduler, clock: Clock) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("the system has a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let shared = Arc::new(Shared {
            url: format!("http://{address}"),
            world: Mutex::new(World::new(clock)),
            script: Mutex::default(),
            log: Mutex::default(),
            pages: pace::Pages::default(),
            scheduler,
        });
        let router = Router::new()
            .fallback(any(server::serve))
            .with_state(Arc::clone(&shared))
            .into_make_service_with_connect_info::<wire::Cutter>();
        let mut serving = JoinSet::new();
        serving.spawn(axum::serve(wire::Wires(listener), router).into_future());
        Self { shared, _serving: Arc::new(serving) }
    }

    /// The URL of the API: `http://127.0.0.1:PORT`, without a trailing slash.
    pub fn url(&self) -> &str {
        &self.shared.url
    }

    /// The state, to read and to change. Requests wait while this guard is held, so do not hold it across an `await`.
    pub fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.shared.world)
    }

    /// Changes or reads the state in a closure, where the guard of [`GitHub::world`] would be held across an `await`.
    pub fn arrange<T>(&self, arrangement: impl FnOnce(&mut World) -> T) -> T {
        arrangement(&mut self.world())
    }

    /// Makes the next matching request fail. Several faults for the same requests take effect one after the other.
    pub fn fault(&self, matching: Matching, fault: impl Into<Repeated<Fault>>) {
        lock(&self.shared.script).fault(matching, fault.into());
    }

    /// Removes all remaining faults.
    pub fn heal(&self) {
        lock(&self.shared.script).heal();
    }

    /// Changes the state just before the next matching request is answered.
    pub fn before(&self, matching: Matching, edit: impl FnOnce(&mut World) + Send + 'static) {
        lock(&self.shared.script).edit(matching, Box::new(edit));
    }

    /// Makes matching requests wait until they are released.
    pub fn hold(&self, matching: Matching) -> Held {
        lock(&self.shared.script).hold(matching)
    }

    /// Faults, edits and holds that no request has used, in words.
    pub fn unused(&self) -> Vec<String> {
        lock(&self.shared.script).unused()
    }

    /// The requests since the start or the last [`GitHub::clear_requests`], in order of arrival.
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.shared.log).requests()
    }

    /// Clears the log of requests.
    pub fn clear_requests(&self) {
        lock(&self.shared.log).clear();
    }
}
