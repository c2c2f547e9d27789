//! The standard output of a program, as a place of a secret.

use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::{SecretError, read_bounded};

/// How often it is looked whether a program that has closed its output has also ended.
const POLL: Duration = Duration::from_millis(5);

/// Runs a program without a shell and returns what it prints. Its standard error is the user's
/// terminal, where a password manager says what it wants; its standard input is empty.
pub(super) fn output(words: &[String], limit: Duration) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let [program, arguments @ ..] = words else { return Ok(Zeroizing::new(Vec::new())) };
    let deadline = Instant::now() + limit;
    let not_run = |source| SecretError::NotRun { program: program.clone(), source };
    let timed_out = || SecretError::TimedOut { program: program.clone(), limit };

    let spawned = Command::new(program)
        .args(arguments)
        // What is the service manager's business with the proxy is not the program's.
        .env_remove("NOTIFY_SOCKET")
        .env_remove("LISTEN_PID")
        .env_remove("LISTEN_FDS")
        .env_remove("LISTEN_FDNAMES")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn();
    let mut child = Reaped(spawned.map_err(not_run)?);
    let (sender, receiver) = mpsc::channel();
    if let Some(stdout) = child.0.stdout.take() {
        // A thread of its own, since a read has no time-out. It is left behind when time is up:
        // a grandchild may hold the pipe open for ever.
        thread::Builder::new()
            .name("secret-command".to_owned())
            .spawn(move || sender.send(read_bounded(stdout)))
            .map_err(not_run)?;
    }
    let left = || deadline.saturating_duration_since(Instant::now());
    let printed = receiver.recv_timeout(left()).map_err(|_| timed_out())?.map_err(not_run)?;
    let status = child.wait(&left).map_err(not_run)?.ok_or_else(timed_out)?;
    // One that was cut off at the limit fails because of us; its output says so by its length.
    if status.success() || printed.len() > super::MAX_SECRET {
        Ok(printed)
    } else {
        Err(SecretError::Failed { program: program.clone(), status })
    }
}

/// A child that does not outlive the wait for it, however that ends.
struct Reaped(Child);

impl Reaped {
    /// `None` when no time is left.
    fn wait(&mut self, left: &dyn Fn() -> Duration) -> std::io::Result<Option<ExitStatus>> {
        loop {
            if let Some(status) = self.0.try_wait()? {
                return Ok(Some(status));
            }
            if left().is_zero() {
                return Ok(None);
            }
            thread::sleep(POLL);
        }
    }
}

impl Drop for Reaped {
    fn drop(&mut self) {
        // Both fail only for a child that has ended and was waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
