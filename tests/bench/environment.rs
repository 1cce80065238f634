//! The benchmark's side of a child process, and a measured heartbeat in it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::wire::{Done, Order, READY, Request};
use crate::world::{Counted, World};

/// The longest wait for a child, longer than any row takes: a child that hangs ends the run.
const PATIENCE: Duration = Duration::from_secs(120);

/// The most passes that reading a world for the first time may take.
const MAX_PASSES: usize = 10;

/// A process that answers heartbeats in a world. It ends when this is dropped.
pub struct Environment<'w> {
    world: &'w World,
    child: Child,
    orders: UnixStream,
    done: BufReader<UnixStream>,
}

/// The result of one request, or of several at once.
pub struct Sample {
    /// The answers, in the order of the requests.
    pub answers: Vec<Answer>,
    /// The requests to the world meanwhile.
    pub counted: Counted,
    /// Whether the last pass deferred a repository to the next one.
    has_deferred: bool,
    /// From the first event to the last answer.
    pub wall: Duration,
    /// Processor time of the child.
    pub cpu: Duration,
    /// The most memory that the child has held since its start, in KiB.
    pub peak_rss_kib: u64,
}

/// The answer to a heartbeat, or to a read with its status, its tag and its length.
#[derive(Debug)]
pub struct Answer(Value);

impl<'w> Environment<'w> {
    /// Starts a process of this program in `role`. Its environment contains only the world's variables.
    pub fn start(world: &'w World, role: &str) -> Self {
        let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
        ours.set_read_timeout(Some(PATIENCE)).expect("sockets take a timeout");
        let child = Command::new(std::env::current_exe().expect("this program has a path"))
            .arg(role)
            .env_clear()
            .envs(world.environment())
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .spawn()
            .expect("this program can be started again");
        let done = BufReader::new(ours.try_clone().expect("sockets can be cloned"));
        let mut environment = Self { world, child, orders: ours, done };
        assert_eq!(environment.read_line().trim_end(), READY, "the child did not start");
        environment
    }

    /// Sends an agent's heartbeats until a pass has read every repository completely.
    pub fn catch_up(&mut self, agent: &str) {
        for _ in 0..MAX_PASSES {
            self.world.outlive_freshness();
            let sample = self.beat(agent);
            let [answer] = &sample.answers[..] else { panic!("one answer to one heartbeat") };
            answer.expect_nothing_lasting();
            if !answer.is_coalesced() && answer.is_fresh() && !sample.has_deferred {
                return;
            }
        }
        panic!("{MAX_PASSES} passes were not enough");
    }

    /// Sends an agent's heartbeat, and counts and measures its cost.
    pub fn beat(&mut self, agent: &str) -> Sample {
        self.beat_at_once(&[agent.to_owned()])
    }

    /// Sends the heartbeats of several agents at the same time.
    pub fn beat_at_once(&mut self, agents: &[String]) -> Sample {
        self.send(
            agents.iter().map(|agent| Request::Heartbeat { agent: agent.clone(), body: None }).collect(),
        )
    }

    /// Sends a heartbeat of an agent that works on these issues, by their pages.
    pub fn beat_at_work(&mut self, agent: &str, urls: &[String]) -> Sample {
        self.beat_with(agent, &serde_json::json!({ "activeIssueUrls": urls }))
    }

    /// Sends an agent's heartbeat with this body.
    pub fn beat_with(&mut self, agent: &str, body: &Value) -> Sample {
        self.send(vec![Request::Heartbeat { agent: agent.to_owned(), body: Some(body.to_string()) }])
    }

    /// Reads a path with its query, as a client that has the version with this tag.
    pub fn read(&mut self, target: &str, tag: Option<&str>) -> Sample {
        self.read_at_once(&[target], &[tag])
    }

    /// Reads several paths at the same time, each as a client that has the version with the tag in its place.
    pub fn read_at_once(&mut self, targets: &[&str], tags: &[Option<&str>]) -> Sample {
        let read = |(target, tag): (&&str, &Option<&str>)| Request::Read {
            target: (*target).to_owned(),
            tag: tag.map(str::to_owned),
        };
        self.send(targets.iter().zip(tags).map(read).collect())
    }

    fn send(&mut self, requests: Vec<Request>) -> Sample {
        self.world.forget_requests();
        let order = Order { ahead_millis: self.world.ahead_millis(), requests };
        let order = serde_json::to_string(&order).expect("an order is JSON");
        writeln!(self.orders, "{order}")
            .expect("the child listens; if it has ended, its last lines are above");
        let mut line = String::new();
        self.done.read_line(&mut line).expect("the child answers in time");
        let done = serde_json::from_str(&line).expect("the child answers the order");
        let Done { answers, wall, cpu, peak_rss_kib } = done;
        let answer = |body: &String| Answer(serde_json::from_str(body).expect("an answer is JSON"));
        Sample {
            answers: answers.iter().map(answer).collect(),
            counted: self.world.counted(),
            has_deferred: self.world.has_deferred(),
            wall,
            cpu,
            peak_rss_kib,
        }
    }

    /// The child's next line. If it has ended instead, its last lines are on standard error.
    fn read_line(&mut self) -> String {
        let mut line = String::new();
        self.done.read_line(&mut line).expect("the child answers in time");
        assert!(!line.is_empty(), "the child has ended");
        line
    }
}

impl Drop for Environment<'_> {
    fn drop(&mut self) {
        // Both fail only if it has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Sample {
    /// The only answer.
    pub fn answer(&self) -> &Answer {
        let [answer] = &self.answers[..] else { panic!("{} answers to one request", self.answers.len()) };
        answer
    }

    /// This work and more, done after it.
    pub fn and(mut self, next: Self) -> Self {
        self.answers.extend(next.answers);
        self.counted = self.counted.and(next.counted);
        Self {
            has_deferred: next.has_deferred,
            wall: self.wall + next.wall,
            cpu: self.cpu + next.cpu,
            peak_rss_kib: self.peak_rss_kib.max(next.peak_rss_kib),
            ..self
        }
    }

    /// The only answer is that of a pass without problems which changed this many issues.
    pub fn ran_a_pass(self, changed: u64) -> Self {
        let [answer] = &self.answers[..] else { panic!("{} answers to one heartbeat", self.answers.len()) };
        answer.expect_well();
        assert!(!answer.is_coalesced(), "another heartbeat ran the pass: {answer:#?}");
        assert!(!self.has_deferred && answer.is_fresh(), "the pass deferred repositories: {answer:#?}");
        assert_eq!(answer.touched(), changed, "reported in {answer:#?}");
        assert_eq!(self.counted.refused, 0, "conditions were refused");
        self
    }

    /// The only answer came from the table and reports no change.
    pub fn was_coalesced(self) -> Self {
        let [answer] = &self.answers[..] else { panic!("{} answers to one heartbeat", self.answers.len()) };
        answer.expect_well();
        assert!(answer.is_coalesced(), "the heartbeat ran a pass: {answer:#?}");
        assert_eq!(answer.touched(), 0, "reported in {answer:#?}");
        self
    }
}

impl Answer {
    /// The status of a read.
    pub fn status(&self) -> u64 {
        self.0["status"].as_u64().expect("a status")
    }

    /// The tag of a read.
    pub fn tag(&self) -> String {
        self.0["tag"].as_str().expect("a tag").to_owned()
    }

    /// A member of what was read.
    pub fn member(&self, name: &str) -> &Value {
        &self.0["body"][name]
    }

    /// Aborts the run if the heartbeat met a problem.
    pub fn expect_well(&self) {
        let is_well = self.0["status"] == "ok" && self.0["problems"].as_array().is_some_and(Vec::is_empty);
        assert!(is_well, "a heartbeat met problems: {self:#?}");
    }

    /// Aborts the run if the heartbeat met a problem that no later pass solves.
    fn expect_nothing_lasting(&self) {
        let problems = self.0["problems"].as_array().expect("a list");
        let is_fine =
            self.0["status"] != "error" && problems.iter().all(|problem| problem["retryable"] == true);
        assert!(is_fine, "a heartbeat met lasting problems: {self:#?}");
    }

    /// Whether the answer is that of an earlier or another heartbeat's pass.
    pub fn is_coalesced(&self) -> bool {
        self.0["coalesced"].as_bool().expect("a flag")
    }

    /// How many changed issues it reports.
    pub fn touched(&self) -> u64 {
        self.0["touchedCount"].as_u64().expect("a count")
    }

    /// Whether some pass has synced every repository completely.
    fn is_fresh(&self) -> bool {
        self.0["freshAt"].is_string()
    }

    /// A number in the peer's answer, or beside what was read.
    pub fn number(&self, field: &str) -> u64 {
        self.0[field].as_u64().expect("a number")
    }
}
