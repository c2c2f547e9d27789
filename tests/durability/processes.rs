//! The processes of one test: a sandbox, and proxies that share one home folder and its clock.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_hubspot-proxy");
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(90);

/// The library that is preloaded.
pub struct Shim(PathBuf);

/// What it is told beside the clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct Told {
    /// Whether the writing calls are logged.
    pub log: bool,
    /// The call to die at, and whether before or after it.
    pub kill: Option<(usize, &'static str)>,
    /// Whether there is an audit log, at [`Home::audit`], that can be made to hang.
    pub audit: bool,
}

impl Shim {
    pub fn build() -> Self {
        // Tests run at once, and each builds its own.
        let name = format!("shim-{:?}.so", thread::current().id());
        let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name.replace(['(', ')'], "-"));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/durability/shim.c");
        let cc = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
        let built = Command::new(cc)
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([&library, &source])
            .arg("-ldl")
            .status()
            .expect("a C compiler");
        assert!(built.success());
        Self(library)
    }

    fn preload(&self, command: &mut Command, home: &Home, told: Told) {
        command.env("LD_PRELOAD", &self.0).env("SHIM_CLOCK", home.clock());
        if told.log {
            command.env("SHIM_LOG", home.log());
        }
        if told.audit {
            command.env("SHIM_HANG", home.audit()).env("HUBSPOT_PROXY_AUDIT__FILE", home.audit());
        }
        if let Some((at, when)) = told.kill {
            command.env("SHIM_KILL_AT", at.to_string()).env("SHIM_KILL_WHEN", when);
        }
    }
}

/// A home folder that outlives the processes in it.
pub struct Home(TempDir);

impl Home {
    pub fn new() -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        home.set_clock(0);
        home
    }

    /// Where the store is.
    pub fn state_folder(&self) -> PathBuf {
        self.0.path().join("state/hubspot-proxy")
    }

    fn clock(&self) -> PathBuf {
        self.0.path().join("clock")
    }

    /// Sets by how many seconds the clocks of processes with the shim are ahead.
    pub fn set_clock(&self, ahead: i64) {
        // Written in place: it is mapped into memory.
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(false).open(self.clock()).unwrap();
        file.write_all(&ahead.to_ne_bytes()).unwrap();
    }

    fn log(&self) -> PathBuf {
        self.0.path().join("calls")
    }

    /// Where the audit log is; its folder is its own.
    pub fn audit(&self) -> PathBuf {
        self.0.path().join("audit/audit.log")
    }

    /// Runs a command in this home, and returns what it printed and whether it succeeded.
    pub fn run(&self, arguments: &[&str]) -> (bool, String) {
        let mut command = self.command();
        let output = command.args(arguments).env("HUBSPOT_ACCESS_TOKEN", "x").output().unwrap();
        let printed = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&printed).into_owned())
    }

    fn command(&self) -> Command {
        let root = self.0.path();
        let mut command = Command::new(BINARY);
        command
            .current_dir(root)
            .env_clear()
            .env("HOME", root)
            .env("XDG_CONFIG_HOME", root.join("config"))
            .env("XDG_STATE_HOME", root.join("state"))
            .env("XDG_RUNTIME_DIR", root);
        command
    }

    /// The writing calls of the process that logged them, in order.
    pub fn calls(&self) -> Vec<String> {
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }

    /// Waits until the process that logs its calls has, after the first `known` of them, committed
    /// something and then sent something.
    pub fn until_sent(&self, known: usize) {
        let deadline = Instant::now() + PATIENCE;
        let is_commit = |call: &String| call.contains("sync ") && call.contains("-wal");
        loop {
            let calls = self.calls();
            let new = calls.iter().skip(known).skip_while(|call| !is_commit(call));
            if new.into_iter().any(|call| call.contains(" socket:")) {
                return;
            }
            assert!(Instant::now() < deadline, "nothing is sent\n{calls:#?}");
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// What the last process said on standard error.
    pub fn last_output(&self) -> String {
        fs::read_to_string(self.0.path().join("stderr")).unwrap_or_default()
    }
}

/// An emulator of its own.
pub struct Sandbox {
    child: Child,
    origin: String,
}

impl Sandbox {
    /// With the clock of a home folder, where one is given.
    pub fn start(rotation: &str, clock: Option<(&Shim, &Home)>) -> Self {
        let mut command = Command::new(BINARY);
        command.args(["sandbox", "--listen", "localhost:0", "--rotation", rotation]);
        if let Some((shim, home)) = clock {
            shim.preload(&mut command, home, Told::default());
        }
        let (child, origin) = started(command, Stdio::null());
        Self { child, origin: origin.expect("the sandbox says where it listens") }
    }

    /// How many token calls have been answered with a token.
    pub fn tokens_issued(&self) -> usize {
        self.token_calls().filter(|call| call["status"] == 200).count()
    }

    fn token_calls(&self) -> impl Iterator<Item = Value> {
        let (_, answer) = get(&self.origin, "/sandbox/requests").expect("the ledger");
        let body = answer.split_once("\n\n").map_or("", |(_, body)| body).to_owned();
        let ledger: Vec<Value> = serde_json::from_str(&body).expect("a list of requests");
        let is_token = |call: &Value| call["path"].as_str().is_some_and(|p| p.ends_with("/token"));
        ledger.into_iter().filter(is_token)
    }

    /// Has each token call answered after `delay`.
    pub fn delay_tokens(&self, delay: &str) {
        let fault = format!(r#"[{{"path":"/oauth/**","times":1000,"delay":"{delay}"}}]"#);
        self.control("POST", "/sandbox/faults", &fault);
    }

    /// From now on the tokens that have been issued are refused.
    pub fn expire_tokens(&self) {
        self.control("POST", "/sandbox/tokens/expire", "");
    }

    fn control(&self, method: &str, path: &str, body: &str) {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            authority(&self.origin),
            body.len()
        );
        let (status, answer) = ask(&self.origin, &request).unwrap();
        assert!(status < 300, "{answer}");
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// A proxy whose one account grows from the sandbox's refresh token.
pub struct Proxy {
    child: Child,
    origin: String,
}

impl Proxy {
    /// Starts it; `None` when it dies before it listens.
    pub fn start(home: &Home, sandbox: &Sandbox, shim: Option<(&Shim, Told)>) -> Option<Self> {
        let root = home.0.path();
        let _ = fs::remove_file(home.log());
        let mut command = home.command();
        command
            .args(["serve", "--listen", "localhost:0"])
            .env("HUBSPOT_PROXY_UPSTREAM__URL", &sandbox.origin)
            .env("HUBSPOT_PROXY_SERVER__THREADS", "1")
            .env("HUBSPOT_CLIENT_ID", "sandbox-client")
            .env("HUBSPOT_CLIENT_SECRET", "sandbox-secret")
            .env("HUBSPOT_REFRESH_TOKEN", "sandbox-refresh-token");
        if let Some((shim, told)) = shim {
            shim.preload(&mut command, home, told);
        }
        let stderr = fs::File::create(root.join("stderr")).unwrap();
        let (mut child, origin) = started(command, stderr.into());
        if origin.is_none() {
            end(&mut child);
        }
        Some(Self { child, origin: origin? })
    }

    /// The status and the text of an answer; status 0 where there is none.
    pub fn get(&mut self) -> (u16, String) {
        get(&self.origin, "/crm/v3/objects/contacts?limit=1").unwrap_or_default()
    }

    /// An address for connections of one's own.
    pub fn address(&self) -> &str {
        authority(&self.origin)
    }

    /// Asks it to end, as a service manager does, and waits until it has; whether it succeeded.
    pub fn terminate(&mut self) -> bool {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap().success()
    }

    /// What `/_proxy/ready` says.
    pub fn ready(&mut self) -> (u16, String) {
        get(&self.origin, "/_proxy/ready").unwrap_or_default()
    }

    /// Waits for its death.
    pub fn until_dead(&mut self) {
        self.child.wait().unwrap();
    }

    pub fn id(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// Starts a program, and finds the origin that it says it listens on; `None` when its output ends
/// before.
fn started(mut command: Command, stderr: Stdio) -> (Child, Option<String>) {
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr);
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let origin = lines.find_map(|line| {
        let (_, rest) = line.split_once(" on http://")?;
        Some(format!("http://{}", rest.split_whitespace().next()?))
    });
    // What it prints later has to go somewhere.
    thread::spawn(move || lines.for_each(drop));
    (child, origin)
}

fn authority(origin: &str) -> &str {
    origin.strip_prefix("http://").unwrap_or(origin)
}

fn get(origin: &str, target: &str) -> Option<(u16, String)> {
    let host = authority(origin);
    ask(origin, &format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"))
}

fn ask(origin: &str, request: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(authority(origin)).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, format!("{}\n\n{body}", head.replace('\r', ""))))
}
