//! A process that never outlives its owner.

use std::io::{self, BufRead as _, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::JoinHandle;
use std::time::SystemTime;

use super::Failure;

/// How a line of metrics begins. It is for CloudWatch, which is not here.
const METRICS: &str = r#"{"_aws":"#;

/// A running process. Dropping it kills the process and waits for its end.
pub(crate) struct Process {
    name: String,
    command: Command,
    child: Child,
    /// Passes its output on, until it ends.
    output: Option<JoinHandle<()>>,
    /// When its program was built, as far as that is known.
    built: Option<SystemTime>,
}

impl Process {
    /// Starts it without input, with all its output on standard error, but for metrics.
    pub(crate) fn start(name: String, mut command: Command) -> Result<Self, Failure> {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            // Ctrl-C in a terminal reaches this program alone, which then ends its processes in order.
            .process_group(0);
        let built = built(&command);
        match command.spawn() {
            Ok(mut child) => {
                let output = child.stdout.take().map(pass_on);
                Ok(Self { name, command, child, output, built })
            }
            Err(error) => Err(not_started(&command, error)),
        }
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> Option<Failure> {
        let status = self.child.try_wait().expect("a child of ours can be asked for")?;
        // What it said last is to stand above what is said of its end.
        self.output.take().map(JoinHandle::join);
        Some(Failure::LastPass(self.name.clone(), status))
    }

    /// Ends it and starts it anew if its program was built again meanwhile. Tells its name if so.
    pub(crate) fn renew(&mut self) -> Result<Option<&str>, Failure> {
        // Nothing is there while cargo replaces the file.
        let Some(built) = built(&self.command).filter(|built| Some(*built) != self.built) else {
            return Ok(None);
        };
        let mut child = match self.command.spawn() {
            Ok(child) => child,
            // Still being written.
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => return Ok(None),
            Err(error) => return Err(not_started(&self.command, error)),
        };
        self.kill();
        self.output = child.stdout.take().map(pass_on);
        self.child = child;
        self.built = Some(built);
        Ok(Some(&self.name))
    }

    fn kill(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Passes a process's output on to standard error, line by line, until it ends: standard output is for answers.
fn pass_on(output: ChildStdout) -> JoinHandle<()> {
    let lines = BufReader::new(output).lines().map_while(Result::ok);
    let shown = lines.filter(|line| !line.starts_with(METRICS));
    std::thread::spawn(move || shown.for_each(|line| eprintln!("{line}")))
}

fn built(command: &Command) -> Option<SystemTime> {
    std::fs::metadata(command.get_program()).and_then(|file| file.modified()).ok()
}

fn not_started(command: &Command, error: io::Error) -> Failure {
    Failure::NotStarted { program: command.get_program().into(), error }
}
