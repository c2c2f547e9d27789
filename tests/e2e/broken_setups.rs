//! Set-ups that are broken, each in one way: the message of what fails, and what `doctor` says of it, name
//! the cause and the mend.

mod accounts;
mod configuration;
mod login;
mod network;
mod secrets;
mod store;

use std::any::Any;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use crate::client::get;
use crate::doctor::Report;
use crate::home::{Home, Ran};
use crate::proxy::{Proxy, Setup};

/// One way to break a set-up.
pub struct Case {
    /// What is wrong, in words.
    pub name: &'static str,
    pub break_it: fn(&mut Bench),
    pub fails: Fails,
    /// What the message of that says: words of the cause and of the mend.
    pub told: &'static [&'static str],
    /// The check of `doctor` that finds it, words of what it has seen, and of the mend.
    pub check: &'static str,
    pub seen: &'static [&'static str],
    pub mend: &'static [&'static str],
}

/// What a user meets first.
pub enum Fails {
    /// A command and its exit status.
    Command(&'static [&'static str], i32),
    /// A request to the proxy, which runs: its refusal.
    Request(&'static str),
    /// A request that HubSpot refuses: `explain` tells why.
    Explained(&'static str),
    /// Nothing yet: the proxy runs, and its log warns.
    Logged,
}

/// A home in which one thing is broken.
pub struct Bench {
    pub home: Home,
    /// Of the sandbox.
    pub url: String,
    environment: Vec<(String, String)>,
    /// What has to last until the end.
    kept: Vec<Box<dyn Any>>,
}

/// A command that fails ends within this time.
const PATIENCE: Duration = Duration::from_secs(10);
pub const SERVE: Fails = Fails::Command(&["serve", "--listen", "localhost:0"], 2);
/// Without the flag, which goes before what the file says.
pub const SERVE_AS_WRITTEN: Fails = Fails::Command(&["serve"], 2);
/// The same where the configuration is not at fault.
pub const SERVE_AT_ALL: Fails = Fails::Command(&["serve", "--listen", "localhost:0"], 1);
pub const CONTACTS: &str = "/crm/v3/objects/contacts";

impl Bench {
    pub fn var(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// A static token that the sandbox knows.
    pub fn token(&mut self) {
        self.upstream();
        self.var("HUBSPOT_ACCESS_TOKEN", "sandbox-access-token");
    }

    pub fn upstream(&mut self) {
        let url = self.url.clone();
        self.var("HUBSPOT_PROXY_UPSTREAM__URL", &url);
    }

    /// An app that the sandbox knows, named `acme` in the file.
    pub fn app(&mut self) {
        self.app_with("sandbox-client", "sandbox-secret", "");
    }

    pub fn app_with(&mut self, id: &str, secret: &str, more: &str) {
        let (url, redirect) = (self.url.clone(), crate::login::free_port());
        self.config(&format!(
            "[upstream]\nurl = \"{url}\"\n[oauth]\nauthorize_url = \"{url}/oauth/authorize\"\n\
             redirect_uri = \"http://localhost:{redirect}/oauth-callback\"\n\
             [accounts.acme]\ntype = \"oauth\"\nclient_id = \"{id}\"\n\
             client_secret = {{ file = \"acme.secret\" }}\n{more}"
        ));
        self.file("acme.secret", secret);
    }

    /// The refresh token that the app begins with, without a login.
    pub fn seed(&mut self, token: &str) {
        self.append("proxy.toml", "refresh_token = { file = \"acme.refresh\" }\n");
        self.file("acme.refresh", token);
    }

    /// Puts a credential of the sandbox's into the store, as `shop`.
    pub fn import(&mut self) {
        let environment = [("HUBSPOT_PROXY_UPSTREAM__URL", self.url.as_str())];
        let ran =
            self.home.run(&["accounts", "import", "shop"], &environment, "sandbox-access-token");
        assert_eq!(ran.status, 0, "{}", ran.stderr);
    }

    pub fn config(&self, text: &str) {
        self.file("proxy.toml", text);
    }

    pub fn file(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(name), text).unwrap();
        self.mode(name, 0o600);
    }

    pub fn append(&self, name: &str, text: &str) {
        let before = fs::read_to_string(self.path(name)).unwrap();
        self.file(name, before + text);
    }

    pub fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub fn keep<T: Any>(&mut self, thing: T) {
        self.kept.push(Box::new(thing));
    }

    fn variables(&self) -> Vec<(&str, &str)> {
        self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    /// A proxy in this home.
    fn serve(&self) -> Proxy {
        let mut setup = Setup::serving().in_home(&self.home);
        for (name, value) in &self.environment {
            setup = setup.env(name, value);
        }
        setup.env("HUBSPOT_PROXY_LOG", "info").start()
    }

    /// A command that has to end by itself.
    fn run(&self, arguments: &[&str]) -> Ran {
        let mut child = self
            .home
            .command()
            .args(arguments)
            .envs(self.variables())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + PATIENCE;
        while child.try_wait().unwrap().is_none() {
            if Instant::now() > deadline {
                // Its status is then none that a case expects.
                child.kill().unwrap();
                break;
            }
            thread::sleep(Duration::from_millis(5));
        }
        child.wait_with_output().unwrap().into()
    }
}

impl Case {
    /// What is missing in what was said; nothing when all is well.
    fn try_on(&self, sandbox: &Proxy) -> Vec<String> {
        let mut bench = Bench {
            home: Home::new(),
            url: sandbox.url(),
            environment: Vec::new(),
            kept: Vec::new(),
        };
        (self.break_it)(&mut bench);
        let mut wrong = Vec::new();
        let (said, proxy) = self.fail(&bench, &mut wrong);
        let lacks = |text: &str, words: &[&str]| {
            words
                .iter()
                .filter(|word| !text.contains(*word))
                .map(|w| (*w).to_owned())
                .collect::<Vec<_>>()
        };
        let missing = lacks(&said, self.told);
        if !missing.is_empty() {
            wrong.push(format!("{}: lacks {missing:?}: {said}", self.name));
        }
        let named: &[&str] = match self.fails {
            Fails::Command(arguments @ ["--config", ..], _) => &arguments[..2],
            _ => &[],
        };
        let report = Report::of(&bench.home, named, &bench.variables());
        let fits = |finding: &&&serde_json::Value| {
            let text = |key: &str| finding[key].as_str().unwrap_or_default().to_owned();
            ["failed", "warning"].contains(&text("outcome").as_str())
                && lacks(&text("seen"), self.seen).is_empty()
                && lacks(&text("mend"), self.mend).is_empty()
        };
        if report.findings(self.check).iter().find(fits).is_none() {
            wrong.push(format!(
                "{}: doctor, {}: {:?} {:?}: {:#?}\nothers: {:#?}",
                self.name,
                self.check,
                self.seen,
                self.mend,
                report.findings(self.check),
                report.complaints()
            ));
        }
        drop(proxy);
        wrong
    }

    /// What a user is told, and the proxy where one runs.
    fn fail(&self, bench: &Bench, wrong: &mut Vec<String>) -> (String, Option<Proxy>) {
        match self.fails {
            Fails::Command(arguments, status) => {
                let ran = bench.run(arguments);
                if ran.status != status || !ran.stderr.contains("error: ") {
                    wrong.push(format!("{}: {ran:?}", self.name));
                }
                (ran.stderr, None)
            }
            Fails::Request(refusal) => {
                let proxy = bench.serve();
                let answer = get(proxy.port, CONTACTS);
                if answer.refusal() != Some(refusal) {
                    wrong.push(format!("{}: {} {}", self.name, answer.status(), answer.text()));
                }
                (answer.json()["message"].as_str().unwrap_or_default().to_owned(), Some(proxy))
            }
            Fails::Explained(target) => {
                let proxy = bench.serve();
                assert!(get(proxy.port, target).status() >= 400, "{}", self.name);
                let ran = bench.home.run(&["explain", "--failed", "--last"], &[], "");
                (ran.stdout, Some(proxy))
            }
            Fails::Logged => {
                let proxy = bench.serve();
                (proxy.stderr(), Some(proxy))
            }
        }
    }
}

#[test]
fn of_each_broken_set_up_both_what_fails_and_doctor_name_cause_and_mend() {
    let sandbox = Setup::sandbox().start();
    let all = [
        configuration::CASES,
        secrets::CASES,
        network::CASES,
        login::CASES,
        store::CASES,
        accounts::CASES,
    ];
    let all: Vec<&Case> = all.into_iter().flatten().collect();
    assert!(all.len() >= 40, "{}", all.len());
    // Some wait for what hangs, the others meanwhile need not.
    let next = std::sync::atomic::AtomicUsize::new(0);
    let wrong = std::sync::Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(case) =
                    all.get(next.fetch_add(1, std::sync::atomic::Ordering::SeqCst))
                {
                    let found = case.try_on(&sandbox);
                    wrong.lock().unwrap().extend(found);
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
