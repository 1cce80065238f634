//! A service of AWS on a free port, with a hand on every request.
//!
//! Counts, logs, delays, fails, cuts and holds what arrives; the answers are
//! those of the service behind it. Checks no signature.

#[cfg(test)]
pub(crate) mod caller;
mod listener;
mod log;
mod orders;
mod subject;

use std::net::Ipv4Addr;
use std::sync::Arc;

use hyper::HeaderMap;
use hyper::body::Bytes;
use tokio::net::TcpListener;
use tokio::sync::watch;

pub use log::{Capacity, Exchange, Outcome};
pub use orders::{Fault, On};

use self::log::Log;
use self::orders::{HowMany, Meeting, Orders, When};
use crate::fault::{Held, Repeated};
use crate::turnstile::Turnstile;

/// What answers the requests that are let through.
pub(crate) trait Upstream: Send + Sync + 'static {
    /// The media type of the service's answers.
    const CONTENT_TYPE: &'static str;
    /// Its name, for a person.
    const NAME: &'static str;
    /// The exception of a caller that asks too often, and its status.
    const THROTTLED: (u16, &'static str);
    /// The exception of the service's own failure, and its status.
    const FAILED: (u16, &'static str);

    /// The refusal of a write that met a transaction on the same item. Panics where there are no transactions.
    fn conflict(operation: &str) -> Answer {
        panic!("{} has no transactions that {operation} could meet", Self::NAME)
    }

    /// Carries out one request.
    fn answer(&self, call: Call) -> impl Future<Output = Answer> + Send;
}

/// One request as it arrived.
pub(crate) struct Call {
    /// AWS's name of the operation; empty when the request names none.
    pub(crate) operation: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What the service says to it.
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

/// A running service. It stops, and every request in it, when this is dropped.
pub struct Proxy<U> {
    url: String,
    shared: Arc<Shared<U>>,
    _running: watch::Sender<()>,
}

struct Shared<U> {
    upstream: U,
    orders: Orders,
    log: Log,
    turnstile: Turnstile,
}

/// The connection is to be reset.
#[derive(Debug, thiserror::Error)]
#[error("the connection is cut")]
struct Cut;

#[expect(private_bounds, reason = "what is behind a proxy is this crate's decision")]
impl<U: Upstream> Proxy<U> {
    pub(crate) async fn in_front_of(upstream: U, turnstile: Turnstile) -> Self {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port on the loopback");
        let address = listener.local_addr().expect("a bound listener has an address");
        let (orders, log) = (Orders::default(), Log::default());
        let shared = Arc::new(Shared { upstream, orders, log, turnstile });
        let (running, stopped) = watch::channel(());
        tokio::spawn(listener::listen(listener, shared.clone(), stopped));
        Self { url: format!("http://{address}"), shared, _running: running }
    }

    pub(crate) fn upstream(&self) -> &U {
        &self.shared.upstream
    }

    /// Where to find it, for the SDK's endpoint variable.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Makes the next matching request go wrong. Several orders for the same requests are met one
    /// after the other.
    pub fn fault(&self, on: On, fault: impl Into<Repeated<Fault>>) {
        self.shared.orders.fault(on, fault.into());
    }

    /// Takes back all faults that were not met yet. Holds stay.
    pub fn heal(&self) {
        self.shared.orders.heal();
    }

    /// Holds the next matching request before it is carried out. Once released it is carried out, even if
    /// its caller has given up by then.
    pub fn hold(&self, on: On) -> Held {
        self.shared.orders.hold(on, When::Asked, HowMany::One)
    }

    /// Holds every matching request before it is carried out.
    pub fn hold_every(&self, on: On) -> Held {
        self.shared.orders.hold(on, When::Asked, HowMany::Every)
    }

    /// Holds the answer of the next matching request, which has been carried out by then.
    pub fn hold_answer(&self, on: On) -> Held {
        self.shared.orders.hold(on, When::CarriedOut, HowMany::One)
    }

    /// The orders that no request has met yet, described for a person.
    pub fn unmet(&self) -> Vec<String> {
        self.shared.orders.unmet()
    }

    /// What has arrived since the start or the last [`Self::clear_requests`], in order of arrival.
    pub fn requests(&self) -> Vec<Exchange> {
        self.shared.log.exchanges()
    }

    /// Forgets what has arrived, and so its capacity.
    pub fn clear_requests(&self) {
        self.shared.log.clear();
    }
}

impl<U: Upstream> Shared<U> {
    /// One request from its arrival to its answer, through all that was ordered for it.
    async fn carry_out(&self, call: Call) -> Result<Answer, Cut> {
        let text = String::from_utf8_lossy(&call.body).into_owned();
        let Meeting { hold, fault, hold_answer } = self.orders.meet(&call.operation, &text);
        let entry = self.log.arrived(&call.operation, &text);
        let what = || format!("{} {}", U::NAME, subject::of(&call.operation, &text));
        let passage = self.turnstile.enter(what).await;
        if let Some(gate) = hold {
            gate.pass().await;
        }
        let instead = match fault {
            None | Some(Fault::LoseAnswer) => None,
            Some(Fault::Status(status)) => {
                Some(Answer { status, body: Bytes::new(), capacity: Capacity::default() })
            }
            Some(Fault::Throttle) => Some(Answer::exception(U::THROTTLED, "Throttled on order.")),
            Some(Fault::InternalError) => Some(Answer::exception(U::FAILED, "Failed on order.")),
            Some(Fault::AccessDenied) => {
                Some(Answer::exception((400, "AccessDeniedException"), "Denied on order."))
            }
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
        passage.carried_out().await;
        if let Some(gate) = hold_answer {
            gate.pass().await;
        }
        if lost { Err(Cut) } else { Ok(answer) }
    }
}
