//! The audit log: what stands in it, and that whatever is done to it afterwards is found.

mod tampering;

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::Value;

use crate::client::{Client, exchange, get};
use crate::home::{Home, Ran};
use crate::keys::create;
use crate::proxy::{Proxy, Setup};
use crate::tokens::CONTACTS;
use crate::waiting::until;

const ACCOUNT: &str = "
[accounts.acme]
type = \"oauth\"
client_id = \"sandbox-client\"
client_secret = { env = \"ACME_CS\" }
refresh_token = { env = \"ACME_RT\" }
";

/// A home whose proxies write `log/audit.log`.
struct Audited {
    home: Home,
    sandbox: Proxy,
    file: String,
}

impl Audited {
    fn with(audit: &str) -> Self {
        let file = format!("[audit]\nfile = \"log/audit.log\"\n{audit}\n{ACCOUNT}");
        let audited = Self { home: Home::new(), sandbox: Setup::sandbox().start(), file };
        audited.configure("");
        audited
    }

    fn configure(&self, more: &str) {
        let new = self.home.path().join("proxy.toml.new");
        fs::write(&new, self.file.clone() + more).unwrap();
        fs::rename(new, self.home.path().join("proxy.toml")).unwrap();
    }

    fn serve(&self) -> Proxy {
        let setup = Setup::without_account(&self.sandbox.url()).in_home(&self.home);
        setup.env("ACME_CS", "sandbox-secret").env("ACME_RT", "sandbox-refresh-token").start()
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        let url = self.sandbox.url();
        let environment = [
            ("ACME_CS", "sandbox-secret"),
            ("ACME_RT", "sandbox-refresh-token"),
            ("HUBSPOT_PROXY_UPSTREAM__URL", url.as_str()),
        ];
        self.home.run(arguments, &environment, "sandbox-access-token")
    }

    fn verify(&self) -> Ran {
        self.run(&["audit", "verify"])
    }

    /// The files, the oldest first.
    fn files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.home.path().join("log")).unwrap();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        files.retain(|path| path.extension().unwrap() != "lock");
        // The current one has the shortest name.
        files.sort_by_key(|path| (path.as_os_str().len() < files_name_length(path), path.clone()));
        files
    }

    fn text(&self) -> String {
        loop {
            let read: std::io::Result<String> =
                self.files().iter().map(fs::read_to_string).collect();
            match read {
                // Under a proxy that runs, the current file gets another name now and then.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                read => return read.unwrap(),
            }
        }
    }

    fn lines(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The lines about events of this name.
    fn events(&self, event: &str) -> Vec<Value> {
        let lines = self.text();
        let lines = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["event"] == event).collect()
    }
}

/// As long as the name of a full file in this folder is.
fn files_name_length(path: &std::path::Path) -> usize {
    path.with_file_name("audit.log.20261125T093025.123Z").as_os_str().len()
}

fn ended(mut proxy: Proxy) {
    proxy.terminate();
    assert!(proxy.exit_status().success());
}

fn with_key(proxy: &Proxy, method: &str, target: &str, key: &str) -> u16 {
    exchange(
        proxy.port,
        format!("{method} {target} HTTP/1.1\r\nHost: {{host}}\r\nX-HubSpot-Proxy-Key: {key}\r\nContent-Length: 4\r\n\r\nBODY"),
    )
    .status()
}

#[test]
fn each_request_and_each_event_of_a_credential_is_a_line_without_secrets() {
    let audited = Audited::with("");
    let early = create(&audited.home, &["--name", "early", "--policy", "read-only"]);
    let proxy = audited.serve();
    assert_eq!(get(proxy.port, &format!("{CONTACTS}&q=QUERYVALUE")).status(), 200);
    assert_eq!(get(proxy.port, "/crm/v3/objects/contacts/0?q=QUERYVALUE").status(), 404);
    assert_eq!(with_key(&proxy, "GET", CONTACTS, &early), 200);
    assert_eq!(with_key(&proxy, "DELETE", "/crm/v3/objects/contacts/1", &early), 403);
    assert_eq!(get(proxy.port, "/oauth/v1/access-tokens/PATHTOKEN").status(), 403);
    assert_eq!(get(proxy.port, "/crm/pat-na1-PATHTOKEN-4567-89ab-cdef01234567").status(), 404);
    let late = create(&audited.home, &["--name", "late"]);
    until("the key works", || with_key(&proxy, "GET", CONTACTS, &late) == 200);
    assert_eq!(audited.run(&["keys", "revoke", "late"]).status, 0);
    until("it is refused", || with_key(&proxy, "GET", CONTACTS, &late) == 401);
    let imported = audited.run(&["accounts", "import", "shop"]);
    assert_eq!(imported.status, 0, "{}", imported.stderr);
    audited.configure("[policy]\nmode = \"read-only\"\n");
    until("the policy is on record", || !audited.events("policy-changed").is_empty());
    assert_eq!(audited.run(&["logout", "shop", "--keep-remote"]).status, 0);
    assert_eq!(audited.run(&["accounts", "remove", "shop"]).status, 0);
    until("the removal is on record", || !audited.events("account-removed").is_empty());
    ended(proxy);

    let lines = audited.lines();
    for (at, line) in lines.iter().enumerate() {
        assert_eq!(line["seq"], at + 1);
    }
    for (event, field, value) in [
        ("start", "detail", "hubspot-proxy"),
        ("seeded", "account", "acme"),
        ("refresh", "account", "acme"),
        ("key-created", "key", "early"),
        ("key-created", "key", "late"),
        ("key-revoked", "key", "late"),
        ("import", "detail", "access_token, Hub ID 1234567"),
        ("policy-changed", "detail", "policy.mode"),
        ("logout", "account", "shop"),
        ("account-removed", "account", "shop"),
    ] {
        let found = audited.events(event);
        let is_it = |line: &&Value| line[field].as_str().is_some_and(|text| text.contains(value));
        assert!(found.iter().any(|line| is_it(&line)), "{event} {value}: {found:#?}");
    }
    assert_eq!(lines.last().unwrap()["event"], "stop");
    // Those of several cores are not in the order in which they ended.
    let request = |field: &str, value: &str| {
        let found = lines.iter().find(|line| line["status"].is_u64() && line[field] == value);
        found.unwrap_or_else(|| panic!("{field} {value}: {lines:#?}"))
    };
    let contacts = request("path", "/crm/v3/objects/contacts");
    let missing = request("path", "/crm/v3/objects/contacts/0");
    let denied = request("error", "policy-denied");
    let revoked = request("detail", "it has been revoked");
    for (field, value) in [("event", "request"), ("account", "acme"), ("method", "GET")] {
        assert_eq!(contacts[field], value);
    }
    assert_eq!((&contacts["status"], &contacts["token_generation"]), (&200.into(), &1.into()));
    assert!(contacts["bytes"].as_u64().unwrap() > 0 && contacts["ms"].as_f64().unwrap() > 0.0);
    assert!(missing["correlation_id"].is_string() && missing["request_id"].is_string());
    assert_eq!((&missing["status"], &missing["error"]), (&404.into(), &Value::Null));
    assert_eq!((&denied["event"], &denied["method"]), (&"refusal".into(), &"DELETE".into()));
    assert_eq!(request("key", "early")["account"], "acme");
    assert_eq!(request("error", "credential-path-blocked")["path"], "/oauth/...");
    assert_eq!(request("path", "/crm/{redacted}")["status"], 404);
    assert_eq!(revoked["error"], "client-key-invalid");

    let text = audited.text();
    for secret in ["QUERYVALUE", "PATHTOKEN", "BODY", "sandbox-", &early[4..12], &late[4..12]] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    let verified = audited.verify();
    assert_eq!(verified.status, 0, "{}{}", verified.stdout, verified.stderr);
    let expected = format!("Sound: lines 1 to {} in 1 file are as they were written.", lines.len());
    assert_eq!(verified.stdout.trim(), expected);

    let tail = audited.run(&["audit", "tail", "--lines", "2", "--failed", "--account", "acme"]);
    assert_eq!(tail.stdout.lines().count(), 2, "{}", tail.stdout);
    let summary = audited.run(&["audit", "summary"]).stdout;
    for expected in [
        "acme     early",
        "since it has been revoked (client-key-invalid)",
        "1 call refused",
        "that the policy denies (policy-denied)",
        "for tokens or other credentials (credential-path-blocked)",
        "key-revoked of key late: 1",
    ] {
        assert!(summary.contains(expected), "{expected}: {summary}");
    }
}

#[test]
fn a_kill_while_it_is_written_leaves_a_log_that_verifies_to_its_last_whole_line() {
    let audited = Audited::with("max_size = \"16KiB\"\nkeep = 1000");
    for round in 0..4 {
        let proxy = audited.serve();
        let (port, done) = (proxy.port, AtomicBool::new(false));
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut client = Client::connect(port);
                    let ask = "GET /_proxy/health HTTP/1.1\r\nHost: {host}\r\n\r\n";
                    while !done.load(Ordering::Relaxed) {
                        let is_sent = client.try_send(ask).is_ok();
                        if !is_sent || client.try_answer_to("GET").is_none() {
                            return;
                        }
                    }
                });
            }
            let before = audited.text().lines().count();
            let enough = before + 100 + 60 * round;
            until("lines are written", || audited.text().lines().count() > enough);
            // With signal 9, in the middle of it.
            drop(proxy);
            done.store(true, Ordering::Relaxed);
        });
        let ran = audited.verify();
        assert_eq!(ran.status, 0, "round {round}: {}{}", ran.stdout, ran.stderr);
        let is_whole = |line: &&str| line.ends_with("\"}");
        let last = audited.text().lines().filter(is_whole).count();
        assert!(ran.stdout.contains(&format!("Sound: lines 1 to {last} in ")), "{}", ran.stdout);
        assert!(ran.stdout.contains("lines are unanchored"), "{}", ran.stdout);
        // What a kill between the two halves of a write leaves.
        let mut torn = fs::read(audited.home.path().join("log/audit.log")).unwrap();
        torn.extend_from_slice(b"{\"seq\":99,\"time\":\"20");
        fs::write(audited.home.path().join("log/audit.log"), torn).unwrap();
        let ran = audited.verify();
        assert_eq!(ran.status, 0, "{}", ran.stdout);
        assert!(ran.stdout.contains("it ends in a torn line of 20 bytes"), "{}", ran.stdout);
    }
    ended(audited.serve());
    let ran = audited.verify();
    assert_eq!(ran.status, 0, "{}", ran.stdout);
    assert_eq!(ran.stdout.matches("as the start after it says").count(), 4, "{}", ran.stdout);
    assert!(!ran.stdout.contains("unanchored"), "a stop saves the end: {}", ran.stdout);
}

#[test]
fn the_head_is_saved_every_second_and_a_log_outlives_a_change_of_the_store_key() {
    let audited = Audited::with("");
    let proxy = audited.serve();
    get(proxy.port, CONTACTS);
    until("the head is saved", || {
        let ran = audited.verify();
        ran.status == 0 && !ran.stdout.contains("unanchored")
    });
    let rekeyed = audited.run(&["accounts", "rekey"]);
    assert_eq!(rekeyed.status, 0, "{}", rekeyed.stderr);
    get(proxy.port, CONTACTS);
    ended(proxy);
    assert_eq!(audited.verify().status, 0);
    ended(audited.serve());
    let ran = audited.verify();
    assert_eq!(ran.status, 0, "{}", ran.stdout);
    let starts = audited.events("start");
    assert_ne!(starts[0]["chain"]["key"], starts[1]["chain"]["key"]);
    let cut = audited.text().lines().take(3).map(|line| format!("{line}\n")).collect::<String>();
    fs::write(audited.home.path().join("log/audit.log"), cut).unwrap();
    assert!(audited.verify().stdout.contains("truncated: at the end"));
}

#[test]
fn a_file_that_is_moved_away_is_replaced_and_followed() {
    let audited = Audited::with("");
    let proxy = audited.serve();
    get(proxy.port, CONTACTS);
    until("there is a line", || !audited.events("request").is_empty());
    let mut follower = audited.home.command();
    let mut follower = follower
        .args(["audit", "tail", "-n", "1", "--follow", "--json"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines =
        std::io::BufRead::lines(std::io::BufReader::new(follower.stdout.take().unwrap()));
    lines.next().unwrap().unwrap();
    let current = audited.home.path().join("log/audit.log");
    fs::rename(&current, current.with_extension("log.20200101T000000.000Z")).unwrap();
    until("a new file is begun", || {
        get(proxy.port, "/crm/v3/owners");
        current.exists() && fs::read_to_string(&current).unwrap().contains("owners")
    });
    let in_new_file = lines.map(Result::unwrap).find(|line| line.contains("\"rotated\""));
    assert!(in_new_file.is_some());
    follower.kill().unwrap();
    follower.wait().unwrap();
    ended(proxy);
    let ran = audited.verify();
    assert_eq!((ran.status, audited.files().len()), (0, 2), "{}", ran.stdout);
}

#[test]
fn a_log_that_cannot_be_kept_fails_the_start_and_says_why() {
    let audited = Audited::with("");
    let _proxy = audited.serve();
    let second = audited.run(&["serve", "--listen", "localhost:0"]);
    assert_eq!(second.status, 1);
    assert!(second.stderr.contains("is being written by another proxy"), "{}", second.stderr);

    let audited = Audited::with("");
    fs::create_dir_all(audited.home.path().join("log/audit.log")).unwrap();
    let folder = audited.run(&["serve", "--listen", "localhost:0"]);
    assert!(folder.status == 1 && folder.stderr.contains("is not a file"), "{}", folder.stderr);
}
