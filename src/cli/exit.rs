//! Exit statuses, and the error that ends a command.

use std::fmt;
use std::process::ExitCode;

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// What was asked for could not be done.
    Failed = 1,
    /// The command line or the configuration is wrong.
    Usage = 2,
    /// The command that `exec` was to run cannot be run, in the way of a shell.
    NotExecutable = 126,
    /// There is no such command, in the way of a shell.
    NotFound = 127,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// One sentence that names the thing and what to do, and the status.
#[derive(Debug)]
pub struct Failure {
    pub exit: Exit,
    message: String,
}

impl Failure {
    /// Something could not be done.
    pub fn failed(message: impl fmt::Display) -> Self {
        Self { exit: Exit::Failed, message: message.to_string() }
    }

    /// The command that `exec` was to run has not been.
    pub fn not_run(exit: Exit, message: String) -> Self {
        Self { exit, message }
    }

    /// The command line or the configuration is wrong.
    pub fn usage(message: impl fmt::Display) -> Self {
        Self { exit: Exit::Usage, message: message.to_string() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
