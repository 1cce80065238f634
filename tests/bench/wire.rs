//! The protocol between the benchmark and the processes that it measures, and the measuring itself.
//!
//! Each message is a line of JSON on a socket, which is the child's standard input; its standard output is free for the
//! log, as in Lambda. The child measures time and processor time around the work alone, without building the events and
//! reading the answers.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;

/// Work for a child.
#[derive(Debug, Serialize, Deserialize)]
pub struct Order {
    /// By how much the world's clock is ahead of the system's.
    pub ahead_millis: i64,
    /// The requests, which arrive at the same time.
    pub requests: Vec<Request>,
}

/// A request to the service.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Request {
    /// The heartbeat of this agent.
    Heartbeat {
        agent: String,
        /// Its body; `None` if it has none.
        body: Option<String>,
    },
    /// A read.
    Read {
        /// The path with its query.
        target: String,
        /// The tag of what the client has.
        tag: Option<String>,
    },
}

/// The result of an order.
#[derive(Debug, Serialize, Deserialize)]
pub struct Done {
    /// The answers' bodies, in the order of the requests. A read is answered with its status, its tag and the
    /// length of its text, too.
    pub answers: Vec<String>,
    /// From the first event to the last answer.
    pub wall: Duration,
    /// Processor time of the whole process in between.
    pub cpu: Duration,
    /// The most memory of the process since its start, in KiB.
    pub peak_rss_kib: u64,
}

/// A function that is measured in a child.
pub trait Function {
    /// The input of a call.
    type Event;

    /// The input of a request.
    fn event(&self, request: &Request) -> Self::Event;

    /// Answers one call.
    async fn invoke(&self, event: Self::Event) -> String;
}

/// The world's time in a child.
#[derive(Clone, Default)]
pub struct Time {
    ahead_millis: Arc<AtomicI64>,
}

impl Time {
    /// The current time.
    pub fn now(&self) -> Timestamp {
        Timestamp::now() + SignedDuration::from_millis(self.ahead_millis.load(Ordering::Relaxed))
    }
}

/// A child's message that it can take orders.
pub const READY: &str = "ready";

/// Executes orders until the benchmark closes the connection. Between two orders nothing in this process runs, as
/// between two invocations of a Lambda function.
pub fn serve(runtime: &Runtime, time: &Time, function: &impl Function) -> io::Result<()> {
    let mut answers = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    writeln!(answers, "{READY}")?;
    for line in BufReader::new(answers.try_clone()?).lines() {
        let order: Order = serde_json::from_str(&line?)?;
        time.ahead_millis.store(order.ahead_millis, Ordering::Relaxed);
        let events: Vec<_> = order.requests.iter().map(|request| function.event(request)).collect();
        let (began, cpu_before) = (Instant::now(), processor_time());
        let bodies = runtime.block_on(join_all(events.into_iter().map(|event| function.invoke(event))));
        let (wall, cpu) = (began.elapsed(), processor_time() - cpu_before);
        let done = Done { answers: bodies, wall, cpu, peak_rss_kib: peak_rss_kib()? };
        writeln!(answers, "{}", serde_json::to_string(&done)?)?;
    }
    Ok(())
}

fn processor_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).expect("a process has run for some time")
}

fn peak_rss_kib() -> io::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
    kib.ok_or_else(|| io::Error::other("/proc/self/status has no VmHWM"))
}
