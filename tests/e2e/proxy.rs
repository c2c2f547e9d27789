//! The binary under test, as a process of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStderr, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crate::home::Home;
use crate::waiting::PATIENCE;

/// The token that a proxy holds unless a test says otherwise.
pub const TOKEN: &str = "pat-na1-ourtoken-4711";

/// A proxy, or a sandbox, that is not started yet.
pub struct Setup {
    command: &'static str,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    files: Vec<(String, String)>,
    home: Option<Home>,
}

/// A running process; it is killed when this is dropped.
pub struct Proxy {
    child: Child,
    pub port: u16,
    output: Arc<Mutex<String>>,
    errors: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
    /// What it was given to keep, and must not have printed.
    secrets: Vec<String>,
    _home: Home,
}

impl Setup {
    /// A proxy in front of `upstream`, with [`TOKEN`] as its static token.
    pub fn in_front_of(upstream: &str) -> Self {
        Self::without_account(upstream).env("HUBSPOT_ACCESS_TOKEN", TOKEN)
    }

    /// A proxy in front of `upstream` whose account the test sets.
    pub fn without_account(upstream: &str) -> Self {
        Self::serving().env("HUBSPOT_PROXY_UPSTREAM__URL", upstream)
    }

    /// A proxy whose upstream and account the test sets. It logs all that it can, so that every test
    /// sees what it must not log.
    pub fn serving() -> Self {
        Self::of("serve").env("HUBSPOT_PROXY_LOG", "trace")
    }

    /// The emulator alone.
    pub fn sandbox() -> Self {
        Self::of("sandbox")
    }

    fn of(command: &'static str) -> Self {
        let (arguments, environment, files) = (Vec::new(), Vec::new(), Vec::new());
        Self { command, arguments, environment, files, home: None }
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn arg(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Puts a file, which nobody else can read, into the folder in which it runs.
    pub fn file(mut self, name: &str, text: &str) -> Self {
        self.files.push((name.to_owned(), text.to_owned()));
        self
    }

    /// Adds to the end of a file.
    pub fn more(mut self, name: &str, text: &str) -> Self {
        let file = self.files.iter_mut().find(|(known, _)| known == name);
        file.expect("a file of this name").1.push_str(text);
        self
    }

    /// Runs in a folder that others share.
    pub fn in_home(mut self, home: &Home) -> Self {
        self.home = Some(home.clone());
        self
    }

    /// Trusts the certificates in `file` as well.
    pub fn trusting(self, file: &Path) -> Self {
        self.env("HUBSPOT_PROXY_UPSTREAM__CA_FILE", file.to_str().unwrap())
    }

    /// Starts it and waits until it listens.
    pub fn start(self) -> Proxy {
        let home = self.home.clone().unwrap_or_else(Home::new);
        for (name, text) in &self.files {
            write_private(&home.path().join(name), text);
        }
        let secrets = self.secrets();
        let mut child = home
            .command()
            .arg(self.command)
            .args(["--listen", "localhost:0"])
            .args(self.arguments)
            .envs(self.environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (errors, errors_reader) = collected(child.stderr.take().unwrap());
        let output = Arc::new(Mutex::new(String::new()));
        let (lines, output_reader) = lines_of(&mut child, Arc::clone(&output));
        let readers = vec![errors_reader, output_reader];
        let mut proxy = Proxy { child, port: 0, output, errors, readers, secrets, _home: home };
        proxy.port = proxy.port_in(&lines);
        proxy
    }
}

impl Setup {
    /// The secrets among the variables and files, and how those begin that a sandbox issues. The
    /// sandbox itself prints its demo credentials.
    fn secrets(&self) -> Vec<String> {
        if self.command == "sandbox" {
            return Vec::new();
        }
        let is_secret = |name: &str| {
            let parts = ["TOKEN", "SECRET", "KEY", "RT", "CS", "AT"];
            !name.starts_with("HUBSPOT_PROXY_") && parts.iter().any(|part| name.contains(part))
        };
        let variables = self.environment.iter().filter(|(name, _)| is_secret(name));
        let files = self.files.iter().filter(|(name, _)| !name.ends_with(".toml"));
        let given = variables.chain(files).map(|(_, text)| text.trim().to_owned());
        let issued = ["sandbox-issued-", "sandbox-refresh-", "sandbox-code-"].map(str::to_owned);
        // Shorter ones are words of the log as well.
        given.filter(|secret| secret.len() >= 8).chain(issued).collect()
    }
}

impl Proxy {
    fn port_in(&self, lines: &Receiver<String>) -> u16 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if line.starts_with("Listening on ") || line.contains("emulator on") => {
                    let after = line.split("http://localhost:").nth(1).expect("an address");
                    let digits = after.split(|c: char| !c.is_ascii_digit()).next().unwrap();
                    return digits.parse().unwrap();
                }
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => panic!("it does not say where it listens"),
                Err(RecvTimeoutError::Disconnected) => panic!("it ended: {}", self.stderr()),
            }
        }
    }

    pub fn url(&self) -> String {
        format!("http://localhost:{}", self.port)
    }

    pub fn stdout(&self) -> String {
        self.output.lock().unwrap().clone()
    }

    pub fn stderr(&self) -> String {
        self.errors.lock().unwrap().clone()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The number of files and sockets that the process has open.
    #[cfg(target_os = "linux")]
    pub fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap().count()
    }

    /// The same once it no longer changes: a proxy listens before all its threads run.
    #[cfg(target_os = "linux")]
    pub fn settled_files(&self) -> usize {
        let (mut count, mut same) = (0, 0);
        while same < 10 {
            let now = self.open_files();
            same = if now == count { same + 1 } else { 0 };
            count = now;
            thread::sleep(std::time::Duration::from_millis(20));
        }
        count
    }

    /// The most memory that the process has held, in KiB.
    #[cfg(target_os = "linux")]
    pub fn peak_memory(&self) -> u64 {
        self.status("VmHWM:")
    }

    /// The memory that the process holds now, in KiB.
    #[cfg(target_os = "linux")]
    pub fn memory(&self) -> u64 {
        self.status("VmRSS:")
    }

    #[cfg(target_os = "linux")]
    fn status(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Asks it to end, as a service manager does.
    #[cfg(unix)]
    pub fn terminate(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }

    /// Asks it to read its configuration again.
    #[cfg(unix)]
    pub fn hang_up(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    }

    /// Whether the process has ended by now.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for its end.
    pub fn exit_status(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the process does not end");
            thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
        if thread::panicking() {
            eprintln!("--- stderr of {}:\n{}", self.pid(), self.stderr());
            return;
        }
        let printed = self.stdout() + &self.stderr();
        let told = self.secrets.iter().find(|secret| printed.contains(secret.as_str()));
        assert!(told.is_none(), "it printed the secret {told:?}");
    }
}

fn write_private(path: &Path, text: &str) {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

fn lines_of(child: &mut Child, kept: Arc<Mutex<String>>) -> (Receiver<String>, JoinHandle<()>) {
    let (sender, receiver) = channel();
    let reader = BufReader::new(child.stdout.take().unwrap());
    let reader = thread::spawn(move || {
        for line in reader.lines().map_while(Result::ok) {
            kept.lock().unwrap().push_str(&format!("{line}\n"));
            // Nobody listens once the address is known.
            let _ = sender.send(line);
        }
    });
    (receiver, reader)
}

fn collected(mut pipe: ChildStderr) -> (Arc<Mutex<String>>, JoinHandle<()>) {
    let all = Arc::new(Mutex::new(String::new()));
    let kept = Arc::clone(&all);
    let reader = thread::spawn(move || {
        let mut part = [0; 4096];
        while let Ok(count @ 1..) = pipe.read(&mut part) {
            kept.lock().unwrap().push_str(&String::from_utf8_lossy(&part[..count]));
        }
    });
    (all, reader)
}
