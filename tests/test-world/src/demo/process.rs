//! A child process that ends with its owner.

use std::io::{self, BufRead as _, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::JoinHandle;
use std::time::SystemTime;

use super::Failure;

/// The first characters of a line of metrics. Such lines are for CloudWatch, which the test world lacks.
const METRICS: &str = r#"{"_aws":"#;

/// A running process. Dropping it kills the process and waits for its end.
pub(crate) struct Process {
    name: String,
    command: Command,
    child: Child,
    /// Copies its output until it ends.
    output: Option<JoinHandle<()>>,
    /// When its program was built, if known.
    built: Option<SystemTime>,
}

impl Process {
    /// Starts it without input. Its output goes to standard error, except lines of metrics.
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

    /// [`Failure::ProcessEnded`] if it has ended.
    pub(crate) fn ended(&mut self) -> Option<Failure> {
        let status = self.child.try_wait().expect("the state of a child can be read")?;
        // Its last lines must appear before the message about its end.
        self.output.take().map(JoinHandle::join);
        Some(Failure::ProcessEnded(self.name.clone(), status))
    }

    /// Restarts it if its program was rebuilt in the meantime, and then returns its name.
    pub(crate) fn restart_if_rebuilt(&mut self) -> Result<Option<&str>, Failure> {
        // The file is missing while cargo replaces it.
        let Some(built) = built(&self.command).filter(|built| Some(*built) != self.built) else {
            return Ok(None);
        };
        let mut child = match self.command.spawn() {
            Ok(child) => child,
            // cargo is still writing it.
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
        // Both fail only if it has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Copies a process's output to standard error line by line, because standard output is for answers.
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
