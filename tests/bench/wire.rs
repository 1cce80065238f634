//! What the benchmark and the processes it measures say to each other, and the measuring itself.
//!
//! A line of JSON each way over a socket that is the child's standard input; its standard output is free for its
//! log, as in Lambda. Time and processor time are taken in the child, around the work alone: neither the making of
//! the events nor the reading of the answers is in them.

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
    /// Who beats, all at the same time.
    pub agents: Vec<String>,
}

/// What a child did.
#[derive(Debug, Serialize, Deserialize)]
pub struct Done {
    /// The answers' bodies, in the order of the agents.
    pub answers: Vec<String>,
    /// From the first event to the last answer.
    pub wall: Duration,
    /// Processor time of the whole process in between.
    pub cpu: Duration,
    /// The most memory that the process has held since its start, in KiB.
    pub peak_rss_kib: u64,
}

/// What is measured in a child.
pub trait Function {
    /// What it is called with.
    type Event;

    /// The call that `agent` makes.
    fn event(&self, agent: &str) -> Self::Event;

    /// Answers one call.
    async fn invoke(&self, event: Self::Event) -> String;
}

/// The world's time in a child.
#[derive(Clone, Default)]
pub struct Time {
    ahead_millis: Arc<AtomicI64>,
}

impl Time {
    /// The time now.
    pub fn now(&self) -> Timestamp {
        Timestamp::now() + SignedDuration::from_millis(self.ahead_millis.load(Ordering::Relaxed))
    }
}

/// What a child says when it can take orders.
pub const READY: &str = "ready";

/// Carries out orders until nobody gives them any more. Between two of them nothing in this process runs, as
/// between two invocations of a Lambda function.
pub fn serve(runtime: &Runtime, time: &Time, function: &impl Function) -> io::Result<()> {
    let mut answers = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    writeln!(answers, "{READY}")?;
    for line in BufReader::new(answers.try_clone()?).lines() {
        let order: Order = serde_json::from_str(&line?)?;
        time.ahead_millis.store(order.ahead_millis, Ordering::Relaxed);
        let events: Vec<_> = order.agents.iter().map(|agent| function.event(agent)).collect();
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
    kib.ok_or_else(|| io::Error::other("/proc/self/status tells no VmHWM"))
}
