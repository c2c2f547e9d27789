//! The command: started, handed the signals that are meant for it, and waited for.

use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::process::{ExitCode, ExitStatus};

use tokio::process::Command;

use super::super::exit::Exit;
use super::super::hygiene::Before;
use super::environment::ChildEnvironment;
use super::signals::{self, Signals};
use crate::cli::Failure;

/// A running command. It shares the process group and the terminal with this process.
pub struct Child(tokio::process::Child);

impl Child {
    /// Starts the command. Must be called inside a runtime.
    pub fn start(
        command: &[OsString],
        environment: &ChildEnvironment,
        before: &Before,
    ) -> Result<Self, Failure> {
        // clap asks for at least one word.
        let (program, arguments) = command.split_first().ok_or_else(|| {
            Failure::usage("there is no command to run: write it behind `exec --`")
        })?;
        let mut command = Command::new(program);
        command.args(arguments);
        environment.apply_to(command.as_std_mut());
        let started = before.restored(|| command.spawn());
        started.map(Self).map_err(|error| not_started(program, &error))
    }

    /// Waits for the end, and passes signals on until then. From then on a signal ends this process
    /// at once: what the proxy still does can only be for a process that the command has left behind.
    pub async fn attend(&mut self, mut signals: Signals) -> io::Result<ExitStatus> {
        let status = loop {
            tokio::select! {
                status = self.0.wait() => break status?,
                signal = signals.next() => signals::send(signal, self.0.id()),
            }
        };
        let code = code(status);
        tokio::spawn(async move {
            signals.next().await;
            std::process::exit(code.into());
        });
        Ok(status)
    }

    /// Asks the command to end, and waits until it does.
    pub async fn stop(&mut self) -> io::Result<ExitStatus> {
        signals::ask_to_end(&mut self.0);
        self.0.wait().await
    }
}

fn not_started(program: &OsString, error: &io::Error) -> Failure {
    let program = program.display();
    match error.kind() {
        ErrorKind::NotFound => Failure::not_run(
            Exit::NotFound,
            format!("there is no command `{program}`: check its spelling and PATH"),
        ),
        _ => Failure::not_run(Exit::NotExecutable, format!("`{program}` cannot be run: {error}")),
    }
}

/// The command's status as this process's own.
pub fn exit_code(status: ExitStatus) -> ExitCode {
    code(status).into()
}

#[cfg(unix)]
fn code(status: ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt;
    // Of a process that has ended there is one or the other, and both are below 256.
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

/// Statuses are wider here: what does not fit is a failure all the same.
#[cfg(not(unix))]
fn code(status: ExitStatus) -> u8 {
    status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}
