//! What the command says: help, and one sentence for each mistake.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod audit;
mod help;
mod init;
mod mistakes;
mod secrets;
#[cfg(target_os = "linux")]
mod service;
mod shell;

use std::path::Path;
use std::process::Output;

use assert_cmd::Command;
use tempfile::TempDir;

/// A run of the program in an empty home, where nothing of the machine's is seen.
pub struct Run {
    pub home: TempDir,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
}

impl Run {
    pub fn of(arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|a| (*a).to_owned()).collect();
        Self { home: tempfile::tempdir().unwrap(), arguments, environment: Vec::new() }
    }

    /// `serve` on a free port with a token, which fails only by what a test adds.
    pub fn of_serve() -> Self {
        Self::of(&["serve", "--listen", "localhost:0"]).env("HUBSPOT_ACCESS_TOKEN", "pat-na1-x")
    }

    pub fn arg(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Another command in the same home, with the same environment.
    #[cfg(target_os = "linux")]
    pub fn and_then(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Writes a file into the folder in which the program runs.
    pub fn file(self, name: &str, text: &str) -> Self {
        std::fs::write(self.home.path().join(name), text).unwrap();
        self.mode(name, 0o600)
    }

    #[cfg(unix)]
    pub fn mode(self, name: &str, mode: u32) -> Self {
        use std::os::unix::fs::PermissionsExt;
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(self.home.path().join(name), permissions).unwrap();
        self
    }

    #[cfg(not(unix))]
    pub fn mode(self, _: &str, _: u32) -> Self {
        self
    }

    pub fn path(&self) -> &Path {
        self.home.path()
    }

    pub fn output(&self) -> Output {
        self.command(&self.arguments).output().unwrap()
    }

    fn command(&self, arguments: &[impl AsRef<std::ffi::OsStr>]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hubspot-proxy"));
        command
            .args(arguments)
            .current_dir(self.home.path())
            .env_clear()
            .env("HOME", self.home.path())
            .env("XDG_CONFIG_HOME", self.home.path().join("config"))
            .env("XDG_STATE_HOME", self.home.path().join("state"))
            .env("XDG_RUNTIME_DIR", self.home.path())
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .timeout(std::time::Duration::from_secs(20));
        command
    }

    /// Expects a failure with `status` and one line on standard error; returns that line.
    pub fn error(&self, status: i32) -> String {
        let output = self.output();
        let said = String::from_utf8(output.stderr).unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(status), "said {said:?}, printed {printed:?}");
        assert!(said.starts_with("error: "), "{said:?}");
        assert_eq!(said.lines().count(), 1, "{said:?}");
        assert!(printed.is_empty(), "{printed:?}");
        said
    }
}
