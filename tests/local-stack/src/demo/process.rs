//! A process that never outlives its owner.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use super::Failure;

/// A running process. Dropping it kills the process and waits for its end.
pub(crate) struct Process {
    name: String,
    child: Child,
}

impl Process {
    /// Starts it without input, with all its output on standard error.
    pub(crate) fn start(name: String, mut command: Command) -> Result<Self, Failure> {
        let child = command
            .stdin(Stdio::null())
            // Standard output is for answers.
            .stdout(io::stderr())
            // Ctrl-C in a terminal reaches this program alone, which then ends its processes in order.
            .process_group(0)
            .spawn();
        match child {
            Ok(child) => Ok(Self { name, child }),
            Err(error) => Err(Failure::NotStarted {
                program: command.get_program().into(),
                error,
            }),
        }
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> Option<Failure> {
        let status = self.child.try_wait().expect("a child of ours can be asked for")?;
        Some(Failure::Ended(self.name.clone(), status))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
