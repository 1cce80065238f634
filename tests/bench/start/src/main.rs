//! The cost of a cold start: the service's function beside a hello function with the same runtime and a Node peer.
//!
//! Each run starts a fresh process against a Runtime API of this program, with the simulated world behind HTTPS, and
//! reads the process's CPU time twice while it waits: when it requests its first event, and after its answer. The event
//! is a heartbeat of an agent that is up to date. The program reports CPU time instead of wall time, because a share of
//! a core slows it down, and other processes on the machine hardly change it.
//!
//! With `--smoke` each function runs once, however it was built, and only figures that are the same in every run are
//! checked against their targets: a miss ends the program with status 1.

mod environment;
mod outside;
mod report;
mod tls;
mod trace;

use std::path::Path;
use std::process::ExitCode;

use environment::{Environment, Function};
use outside::{Outside, heartbeat_answer};
use report::{Report, Row, Run};

/// How many runs of each function are measured.
const RUNS: usize = 15;

/// The requests of a start, in alphabetical order.
const START: &[&str] = &["GetItem", "GetSecretValue", "GetSecretValue", "HEAD"];

/// The requests of a heartbeat of an agent that is up to date.
const HEARTBEAT: &[&str] = &["BatchGetItem", "PutItem", "UpdateItem"];

struct Contestant {
    name: &'static str,
    function: Function,
    /// Whether it does the service's work, whose requests are then checked.
    serves_heartbeats: bool,
}

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let smoke = arguments.first().is_some_and(|argument| argument == "--smoke");
    arguments.drain(..usize::from(smoke));
    let [api, hello, node, report] = arguments.as_slice() else {
        panic!(
            "usage: bench-start [--smoke] <the service's function> <the hello function> <the Node peer's bundle> \
             <the report's file>"
        );
    };
    let runs_of_each = if smoke { 1 } else { RUNS };
    let strace = program("strace");
    if strace.is_none() {
        let skipped = "strace is not installed: the files and hosts that init opens are not checked";
        assert!(smoke, "{skipped}");
        eprintln!("{skipped}");
    }
    let folder = Path::new(report).parent().expect("the report is a file in a folder");
    std::fs::create_dir_all(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let contestant = |name, command: &[&str], serves_heartbeats| Contestant {
        name,
        function: Function { command: command.iter().map(|&word| word.to_owned()).collect() },
        serves_heartbeats,
    };
    let node_program = program("node").expect("node is installed, since it has bundled the peer");
    let contestants = [
        contestant("hello", &[hello], false),
        contestant("the service", &[api], true),
        contestant("the Node peer", &[&node_program, node], true),
    ];
    let outside = Outside::start(&folder.join("start-root.pem")).await;
    outside.prepare_agent(&contestants[1].function).await;
    let mut runs: [Vec<Run>; 3] = Default::default();
    // Round 0 fills the system's caches and is not measured.
    for round in usize::from(smoke)..=runs_of_each {
        eprintln!("Round {round} of {runs_of_each}");
        // The order rotates, so that no function always follows the same other one.
        for place in 0..contestants.len() {
            let next = (round + place) % contestants.len();
            let run = run(&contestants[next], &outside).await;
            if round > 0 {
                runs[next].push(run);
            }
        }
    }
    let touched = match &strace {
        Some(strace) => {
            let file = folder.join("start.strace");
            Some(trace::init(strace, &contestants[1].function, &outside, &file).await)
        }
        None => None,
    };
    let [hello, service, node] = std::array::from_fn(|n| Row::of(contestants[n].name, &runs[n]));
    let found = Report::new(smoke, hello, service, node, touched.as_ref());
    let json = serde_json::to_string_pretty(&found).expect("figures and words are JSON");
    std::fs::write(report, json + "\n").unwrap_or_else(|error| panic!("{report}: {error}"));
    print!("{found}");
    if smoke && !found.meets_its_targets() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

async fn run(contestant: &Contestant, outside: &Outside) -> Run {
    let name = contestant.name;
    let before = outside.connections();
    let mut environment = Environment::start(&contestant.function, &outside.variables()).await;
    environment.is_ready().await;
    let init = environment.cpu_at_rest().await;
    let ready = outside.connections();
    assert_eq!(
        outside.asked(),
        if contestant.serves_heartbeats { START } else { &[] },
        "in the init of {name}"
    );
    let answer = environment.invoke(Outside::event()).await;
    let total = environment.cpu_at_rest().await;
    assert_eq!(
        outside.asked(),
        if contestant.serves_heartbeats { HEARTBEAT } else { &[] },
        "in the first request of {name}"
    );
    if contestant.serves_heartbeats {
        let beat = heartbeat_answer(&answer);
        assert_eq!((&beat["status"], &beat["coalesced"]), (&"ok".into(), &true.into()), "{name}: {beat:#}");
    }
    let peak_resident_megabytes = environment.peak_resident_megabytes();
    environment.end().await;
    Run {
        init,
        first_request: total - init,
        peak_resident_megabytes,
        connections_in_init: ready - before,
        connections_in_first_request: outside.connections() - ready,
    }
}

/// A program's path, if it is installed: the measured processes have no search path.
#[expect(
    clippy::disallowed_methods,
    reason = "the search path of this program, not the service's environment"
)]
fn program(name: &str) -> Option<String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file());
    found.map(|file| file.to_str().expect("a path of text").to_owned())
}
