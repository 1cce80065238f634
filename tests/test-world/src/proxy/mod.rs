//! A server for an AWS service on a free port. It counts, logs, delays, fails, cuts and holds requests.
//!
//! The answers come from the service behind it. Signatures are not checked.

#[cfg(test)]
pub(crate) mod caller;
mod faults;
mod listener;
mod log;
mod subject;

use std::net::Ipv4Addr;
use std::sync::Arc;

use hyper::HeaderMap;
use hyper::body::Bytes;
use tokio::net::TcpListener;
use tokio::sync::watch;

pub use faults::{Fault, On};
pub use log::{Capacity, Exchange, Outcome};

use self::faults::{Faults, HowMany, Matched, When};
use self::log::Log;
use crate::fault::{Held, Repeated};
use crate::scheduler::Scheduler;

/// The service behind a proxy.
pub(crate) trait Upstream: Send + Sync + 'static {
    /// The media type of the service's answers.
    const CONTENT_TYPE: &'static str;
    /// Its name in descriptions of requests.
    const NAME: &'static str;
    /// The status and the exception of a throttled request.
    const THROTTLED: (u16, &'static str);
    /// The status and the exception of an internal error.
    const FAILED: (u16, &'static str);
    /// The status and the exception of a request that is not allowed.
    const DENIED: (u16, &'static str) = (400, "AccessDeniedException");

    /// An error, as the service renders it.
    fn exception(code: (u16, &str), message: &str) -> Answer {
        Answer::exception(code, message)
    }

    /// The answer to a write that conflicts with a transaction on the same item. Panics for a service without
    /// transactions.
    fn conflict(operation: &str) -> Answer {
        panic!("{} has no transactions, so {operation} cannot conflict with one", Self::NAME)
    }

    /// Executes one request.
    fn answer(&self, call: Call) -> impl Future<Output = Answer> + Send;
}

/// One request as it arrived.
pub(crate) struct Call {
    /// AWS's name of the operation; method and path if the request names none.
    pub(crate) operation: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// The answer to a request.
#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Bytes,
    pub(crate) capacity: Capacity,
}

impl Answer {
    /// An error as AWS's JSON protocols render it.
    pub(crate) fn exception((status, code): (u16, &str), message: &str) -> Self {
        let body = serde_json::json!({ "__type": code, "message": message }).to_string();
        Self { status, body: body.into(), capacity: Capacity::default() }
    }
}

/// A running service. Dropping it ends the server and all its requests.
pub struct Proxy<U> {
    url: String,
    shared: Arc<Shared<U>>,
    _running: watch::Sender<()>,
}

struct Shared<U> {
    upstream: U,
    faults: Faults,
    log: Log,
    scheduler: Scheduler,
}

/// The connection must be reset.
#[derive(Debug, thiserror::Error)]
#[error("the connection is cut")]
struct Cut;

#[expect(private_bounds, reason = "only this crate implements services")]
impl<U: Upstream> Proxy<U> {
    pub(crate) async fn in_front_of(upstream: U, scheduler: Scheduler) -> Self {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port on the loopback");
        let address = listener.local_addr().expect("a bound listener has an address");
        let (faults, log) = (Faults::default(), Log::default());
        let shared = Arc::new(Shared { upstream, faults, log, scheduler });
        let (running, stopped) = watch::channel(());
        tokio::spawn(listener::listen(listener, shared.clone(), stopped));
        Self { url: format!("http://{address}"), shared, _running: running }
    }

    pub(crate) fn upstream(&self) -> &U {
        &self.shared.upstream
    }

    /// The URL for the SDK's endpoint variable.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Makes the next matching request fail. Several faults for the same requests take effect one after the other.
    pub fn fault(&self, on: On, fault: impl Into<Repeated<Fault>>) {
        self.shared.faults.add(on, fault.into());
    }

    /// Removes all remaining faults. Holds stay.
    pub fn heal(&self) {
        self.shared.faults.heal();
    }

    /// Holds the next matching request before it takes effect. Once released it takes effect, even if its caller has
    /// given up.
    pub fn hold(&self, on: On) -> Held {
        self.shared.faults.hold(on, When::Arrived, HowMany::One)
    }

    /// Holds every matching request before it takes effect.
    pub fn hold_every(&self, on: On) -> Held {
        self.shared.faults.hold(on, When::Arrived, HowMany::Every)
    }

    /// Holds the answer to the next matching request, after the request took effect.
    pub fn hold_answer(&self, on: On) -> Held {
        self.shared.faults.hold(on, When::Executed, HowMany::One)
    }

    /// Faults and holds that no request has used, in words.
    pub fn unused(&self) -> Vec<String> {
        self.shared.faults.unused()
    }

    /// The requests since the start or the last [`Self::clear_requests`], in order of arrival.
    pub fn requests(&self) -> Vec<Exchange> {
        self.shared.log.exchanges()
    }

    /// Clears the log of requests, and with it [`DynamoDb::capacity`](crate::dynamodb::DynamoDb::capacity).
    pub fn clear_requests(&self) {
        self.shared.log.clear();
    }
}

impl<U: Upstream> Shared<U> {
    /// Handles one request from its arrival to its answer, with its faults and holds.
    async fn handle(&self, call: Call) -> Result<Answer, Cut> {
        let text = String::from_utf8_lossy(&call.body).into_owned();
        let Matched { hold, fault, hold_answer } = self.faults.take(&call.operation, &text);
        let entry = self.log.arrived(&call.operation, &text);
        let what = || format!("{} {}", U::NAME, subject::of(&call.operation, &text));
        let passage = self.scheduler.enter(what).await;
        if let Some(gate) = hold {
            gate.pass().await;
        }
        let instead = match fault {
            None | Some(Fault::LoseAnswer) => None,
            Some(Fault::Status(status)) => {
                Some(Answer { status, body: Bytes::new(), capacity: Capacity::default() })
            }
            Some(Fault::Throttle) => Some(U::exception(U::THROTTLED, "Throttled by a fault.")),
            Some(Fault::InternalError) => Some(U::exception(U::FAILED, "Failed by a fault.")),
            Some(Fault::AccessDenied) => Some(U::exception(U::DENIED, "Denied by a fault.")),
            Some(Fault::Conflict) => Some(U::conflict(&call.operation)),
            Some(Fault::Cut) => {
                self.log.ended(entry, Outcome::Cut, Capacity::default());
                return Err(Cut);
            }
            Some(Fault::Delay(by)) => {
                tokio::time::sleep(by).await;
                None
            }
            Some(Fault::Hang) => {
                self.log.ended(entry, Outcome::Hung, Capacity::default());
                return std::future::pending().await;
            }
        };
        let answer = match instead {
            Some(answer) => answer,
            None => self.upstream.answer(call).await,
        };
        let lost = fault == Some(Fault::LoseAnswer);
        let outcome = if lost { Outcome::AnswerLost } else { Outcome::of(&answer) };
        self.log.ended(entry, outcome, answer.capacity);
        passage.executed().await;
        if let Some(gate) = hold_answer {
            gate.pass().await;
        }
        if lost { Err(Cut) } else { Ok(answer) }
    }
}
