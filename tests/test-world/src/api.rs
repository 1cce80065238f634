//! The address of the service's API, behind a [`Proxy`]: it answers every request with 200, unless a fault says otherwise.
//!
//! The schedule function requests its health. Tests call the function behind it directly.

use hyper::body::Bytes;

use crate::proxy::{Answer, Call, Capacity, Proxy, Upstream};
use crate::scheduler::Scheduler;

pub use crate::proxy::{Exchange, Fault, On, Outcome};

/// A running address.
pub type Api = Proxy<Door>;

/// What is behind an [`Api`].
pub struct Door;

impl Api {
    /// Starts a server whose requests this scheduler admits.
    pub async fn start_behind(scheduler: Scheduler) -> Self {
        Self::in_front_of(Door, scheduler).await
    }
}

impl Upstream for Door {
    const NAME: &'static str = "API";
    const CONTENT_TYPE: &'static str = "application/json";
    const THROTTLED: (u16, &'static str) = (429, "Too Many Requests");
    const FAILED: (u16, &'static str) = (500, "Internal Server Error");

    async fn answer(&self, _: Call) -> Answer {
        Answer { status: 200, body: Bytes::from_static(b"{}"), capacity: Capacity::default() }
    }
}
