//! `exec`: the command reaches HubSpot through a proxy of its own, and is treated as if there were
//! nobody between it and its caller.
#![cfg(target_os = "linux")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::client::{Answer, Client, exchange};
use crate::home::{Home, Ran};
use crate::proxy::{Setup, TOKEN};
use crate::upstream::{OK, Upstream};
use crate::waiting::until;

/// A command that runs under `exec`, until it is given a line or closed.
pub struct Running {
    pub child: Child,
    lines: BufReader<ChildStdout>,
    stdin: Option<ChildStdin>,
}

impl Running {
    pub fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let stdin = child.stdin.take();
        Self { child, lines, stdin }
    }

    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn say(&mut self, line: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Closes its input, and waits for its end.
    pub fn end(mut self) -> Ran {
        drop(self.stdin.take());
        let mut output = self.child.wait_with_output().unwrap();
        self.lines.read_to_end(&mut output.stdout).unwrap();
        output.into()
    }

    fn send(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }
}

/// `hubspot-proxy exec` of a script, in front of `upstream` with a static token.
fn exec(home: &Home, upstream: &Upstream, script: &str) -> Command {
    let mut command = home.command();
    command
        .args(["exec", "--", "sh", "-c", script])
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HUBSPOT_ACCESS_TOKEN", TOKEN)
        .env("HUBSPOT_PROXY_UPSTREAM__URL", upstream.url());
    command
}

/// Says where its proxy is and waits until its input ends.
const TELL: &str = "echo \"$HUBSPOT_BASE_URL\"; cat; exit 7";

fn port_of(url: &str) -> u16 {
    let after = url.strip_prefix("http://localhost:").unwrap_or_else(|| panic!("{url}"));
    after.split('/').next().unwrap().parse().unwrap()
}

fn get(port: u16, target: &str) -> Answer {
    exchange(port, format!("GET {target} HTTP/1.1\r\nHost: {{host}}\r\n\r\n"))
}

#[test]
fn the_command_is_served_and_its_output_and_status_are_its_own() {
    let (home, upstream) = (Home::new(), Upstream::answering(OK));
    let mut running = Running::start(&mut exec(&home, &upstream, TELL));
    let port = port_of(&running.line());
    assert_eq!(get(port, "/crm/v3/objects/contacts").status(), 200);
    let seen = upstream.only_request();
    assert_eq!(seen.all("authorization"), [format!("Bearer {TOKEN}")]);
    running.say("to the end");
    let ran = running.end();
    assert_eq!((ran.status, ran.stdout.as_str(), ran.stderr.as_str()), (7, "to the end\n", ""));
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "the proxy is gone with it");
}

#[test]
fn curl_prints_contacts_of_the_sandbox_and_the_status_is_the_scripts() {
    if Command::new("curl").arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "CI needs curl");
        eprintln!("skipped: there is no curl");
        return;
    }
    let script = r#"curl -fsS "$HUBSPOT_BASE_URL/crm/v3/objects/contacts"; exit 7"#;
    let path = std::env::var("PATH").unwrap();
    // A detour that leads nowhere.
    let environment = [("PATH", path.as_str()), ("http_proxy", "http://127.0.0.1:9")];
    let ran = Home::new().run(&["exec", "--sandbox", "--", "sh", "-c", script], &environment, "");
    assert_eq!(ran.status, 7, "{ran:?}");
    let contacts: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(contacts["results"][0]["properties"]["email"], "contact1@example.com");
    assert_eq!(ran.stderr, "");
}

#[test]
fn no_credential_is_left_in_the_environment_and_nothing_on_the_disk() {
    let (home, upstream) = (Home::new(), Upstream::answering(OK));
    let file = "[accounts.shop]\ntype = \"access_token\"\ntoken = { env = \"SHOP_TOKEN\" }\n\
        [store]\nkey = { env = \"STORE_KEY\" }\n";
    std::fs::write(home.path().join("proxy.toml"), file).unwrap();
    let stale = [
        "HUBSPOT_CLIENT_ID",
        "HUBSPOT_CLIENT_SECRET",
        "HUBSPOT_REFRESH_TOKEN",
        "HUBSPOT_PERSONAL_ACCESS_KEY",
        "HUBSPOT_API_KEY",
        "SHOP_TOKEN",
        "STORE_KEY",
        "PRIVATE_APP_ACCESS_TOKEN",
    ];
    for sandbox in [false, true] {
        let mut command = home.command();
        command.env("PATH", std::env::var_os("PATH").unwrap());
        command.env("HUBSPOT_PROXY_UPSTREAM__URL", upstream.url()).env("KEPT", "kept-4711");
        let flags: &[&str] = match sandbox {
            // Ambiguous makers of an account do not matter there.
            true => {
                command.envs(stale.map(|name| (name, "stale-4711")));
                &["--sandbox"]
            }
            false => {
                command
                    .env("SHOP_TOKEN", "stale-4711")
                    .env("PRIVATE_APP_ACCESS_TOKEN", "stale-4711");
                &[]
            }
        };
        let output = command.arg("exec").args(flags).args(["--", "env"]).output().unwrap();
        let ran = Ran::from(output);
        assert_eq!(ran.status, 0, "{ran:?}");
        assert!(!ran.stdout.contains("stale-4711"), "{}", ran.stdout);
        assert!(ran.stdout.contains("KEPT=kept-4711"));
        for name in ["HUBSPOT_BASE_URL", "BASE_URL_OVERRIDE", "HUB_SPOT_BASE_URL"] {
            assert!(ran.stdout.contains(&format!("{name}=http://localhost:")), "{}", ran.stdout);
        }
        assert!(ran.stdout.contains("PRIVATE_APP_ACCESS_TOKEN=the-proxy-holds-the-token"));
        assert!(!ran.stdout.contains("@key:"), "a key would show in the process list");
    }
    let left = std::fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(left.collect::<Vec<_>>(), ["proxy.toml"]);
}

#[test]
fn the_status_is_the_one_that_a_shell_would_give() {
    let home = Home::new();
    let script = home.path().join("no-right");
    std::fs::write(&script, "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o600)).unwrap();
    let path = std::env::var("PATH").unwrap();
    let cases: [(&[&str], i32, &str); 8] = [
        (&["true"], 0, ""),
        (&["sh", "-c", "exit 255"], 255, ""),
        (&["sh", "-c", "kill -TERM $$"], 143, ""),
        (&["sh", "-c", "kill -KILL $$"], 137, ""),
        (&["no-such-command-4711"], 127, "there is no command `no-such-command-4711`"),
        (&["./no-right"], 126, "`./no-right` cannot be run"),
        (&["printenv", "--", "NO_SUCH_NAME_4711"], 1, ""),
        (&["echo", "--account", "--help"], 0, ""),
    ];
    for (command, status, said) in cases {
        for dashes in [&["--"][..], &[]] {
            let arguments = [&["exec", "--sandbox"], dashes, command].concat();
            let ran = home.run(&arguments, &[("PATH", &path)], "");
            assert_eq!(ran.status, status, "{command:?}: {ran:?}");
            assert!(ran.stderr.contains(said), "{command:?}: {ran:?}");
        }
    }
}

#[test]
fn what_is_wrong_before_the_command_starts_is_told_and_it_does_not_start() {
    let home = Home::new();
    let file = "[accounts.shop]\ntype = \"access_token\"\ntoken = { env = \"SHOP_TOKEN\" }\n";
    std::fs::write(home.path().join("proxy.toml"), file).unwrap();
    let path = std::env::var("PATH").unwrap();
    let cases: [(&[&str], i32, &str); 5] = [
        (&["exec"], 2, "CMD"),
        (&["exec", "--", "echo", "ran"], 2, "SHOP_TOKEN"),
        (&["exec", "--account", "other", "--", "echo", "ran"], 2, "name one of shop"),
        (
            &["exec", "--sandbox", "--account", "shop", "--", "echo", "ran"],
            2,
            "the sandbox has one",
        ),
        (
            &["--sandbox", "exec", "--", "echo", "ran"],
            2,
            "`exec` takes none of the flags of `serve`",
        ),
    ];
    for (arguments, status, said) in cases {
        let ran = home.run(arguments, &[("PATH", &path)], "");
        assert_eq!((ran.status, ran.stdout.as_str()), (status, ""), "{arguments:?}: {ran:?}");
        assert!(ran.stderr.contains(said), "{arguments:?}: {ran:?}");
    }
}

#[test]
fn signals_are_passed_on_and_the_command_decides() {
    use rustix::process::Signal;
    let (home, upstream) = (Home::new(), Upstream::answering(OK));
    let signals = [
        (Signal::TERM, "TERM"),
        (Signal::INT, "INT"),
        (Signal::HUP, "HUP"),
        (Signal::QUIT, "QUIT"),
        (Signal::USR1, "USR1"),
        (Signal::USR2, "USR2"),
    ];
    for (signal, name) in signals {
        let script =
            format!("trap 'echo got {name}; exit 9' {name}; echo ready; while :; do read x; done");
        // A group and a session of its own, as under a service manager.
        let inner = exec(&home, &upstream, &script);
        let mut command = Command::new("setsid");
        command.arg("--wait").arg(inner.get_program()).args(inner.get_args());
        command.current_dir(home.path()).env_clear();
        command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let mut running = Running::start(&mut command);
        assert_eq!(running.line(), "ready", "{name}");
        // `setsid` hands the process on and is the only parent in between when it forks.
        let pid = descendant(running.child.id());
        rustix::process::kill_process(pid, signal).unwrap();
        assert_eq!(running.line(), format!("got {name}"));
        assert_eq!(running.end().status, 9, "{name}");
    }
}

/// The process `exec` itself: the parent's child where the parent is `setsid`.
fn descendant(pid: u32) -> rustix::process::Pid {
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap();
    let pid = match name.trim() {
        "setsid" => {
            let children = format!("/proc/{pid}/task/{pid}/children");
            std::fs::read_to_string(children).unwrap().trim().parse().unwrap()
        }
        _ => pid,
    };
    rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap()
}

#[test]
fn a_signal_that_ends_the_command_is_its_status() {
    let (home, upstream) = (Home::new(), Upstream::answering(OK));
    let mut running = Running::start(&mut exec(&home, &upstream, "echo ready; exec cat"));
    assert_eq!(running.line(), "ready");
    running.send(rustix::process::Signal::TERM);
    assert_eq!(running.child.wait().unwrap().code(), Some(143));
}

#[test]
fn the_command_has_the_mask_limits_and_ignored_signals_of_its_caller() {
    let (home, upstream) = (Home::new(), Upstream::answering(OK));
    let look = "umask; ulimit -S -c; ulimit -H -c; ulimit -S -n; grep -E 'SigIgn|SigBlk' /proc/self/status";
    let before = "trap '' HUP USR1; umask 027; ulimit -S -n 200; ulimit -S -c 100";
    let direct = Command::new("sh").args(["-c", &format!("{before}; {look}")]).output().unwrap();
    assert!(direct.status.success(), "{direct:?}");
    let inner = exec(&home, &upstream, look);
    let words: Vec<_> = inner.get_args().collect();
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{before}; exec \"$@\""), "sh"]);
    command.arg(inner.get_program()).args(words);
    command.env_clear().envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let under = command.current_dir(home.path()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(text(&under.stdout), text(&direct.stdout), "{}", text(&under.stderr));
    assert!(text(&direct.stdout).starts_with("0027\n100\n"), "{}", text(&direct.stdout));
}

#[test]
fn a_key_of_its_own_is_given_where_users_are_not_told_apart_or_keys_are_required() {
    for setting in ["ALLOWED_USERS", "CLIENT_KEYS"] {
        let (home, upstream) = (Home::new(), Upstream::answering(OK));
        let value = if setting == "CLIENT_KEYS" { "required" } else { "any" };
        let mut command = exec(&home, &upstream, TELL);
        command.env(format!("HUBSPOT_PROXY_SERVER__{setting}"), value);
        let mut running = Running::start(&mut command);
        let url = running.line();
        let (_, key) = url.split_once("/@key:").unwrap_or_else(|| panic!("no key: {url}"));
        assert!(key.starts_with("hsp_") && key.len() == 47, "{key}");
        let port = port_of(&url);
        assert_eq!(get(port, "/a").refusal(), Some("client-key-required"), "{setting}");
        assert_eq!(get(port, &format!("/@key:{key}/a")).status(), 200, "{setting}");
        assert_eq!(upstream.only_request().line, "GET /a HTTP/1.1");
        let ran = running.end();
        assert_eq!((ran.status, ran.stderr.as_str()), (7, ""), "{setting}");
        // Not even a proxy of the same home knows it later.
        let proxy = Setup::in_front_of(&upstream.url()).in_home(&home).start();
        let answer = get(proxy.port, &format!("/@key:{key}/a"));
        assert_eq!(answer.refusal(), Some("client-key-invalid"), "{setting}");
    }
}

#[test]
fn the_only_account_that_it_is_given_is_the_only_one_it_reaches() {
    let (home, upstream) = (Home::new(), Upstream::answering(OK));
    // The other's secret is not read, or this would leave a file.
    let file = "[accounts.shop]\ntype = \"access_token\"\ntoken = { env = \"SHOP_TOKEN\" }\n\
        [accounts.other]\ntype = \"access_token\"\ntoken = { command = [\"touch\", \"read\"] }\n\
        listen = [\"localhost:1\"]\n";
    std::fs::write(home.path().join("proxy.toml"), file).unwrap();
    let mut command = home.command();
    command
        .args(["exec", "--account", "shop", "--", "sh", "-c", TELL])
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("SHOP_TOKEN", "shop-token-4711")
        .env("HUBSPOT_PROXY_UPSTREAM__URL", upstream.url());
    let mut running = Running::start(&mut command);
    let port = port_of(&running.line());
    assert_eq!(get(port, "/a").status(), 200);
    assert_eq!(upstream.only_request().all("authorization"), ["Bearer shop-token-4711"]);
    assert_eq!(get(port, "/@other/a").refusal(), Some("unknown-account"));
    assert_eq!(running.end().status, 7);
    assert!(!home.path().join("read").exists());
}

#[test]
fn a_question_about_the_token_is_answered_here_and_a_token_is_not_given_out() {
    let (home, upstream) = (Home::new(), Upstream::answering(OK));
    let mut running = Running::start(&mut exec(&home, &upstream, TELL));
    let port = port_of(&running.line());
    let post = |target: &str| {
        let body = "{\"tokenKey\":\"the-proxy-holds-the-token\"}";
        exchange(
            port,
            format!(
                "POST {target} HTTP/1.1\r\nHost: {{host}}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            ),
        )
    };
    let information = post("/oauth/v2/private-apps/get/access-token-info");
    assert_eq!(information.status(), 200, "{information:?}");
    assert!(information.json()["scopes"].is_array(), "{information:?}");
    assert!(!information.text().contains(TOKEN));
    assert_eq!(post("/oauth/v1/token").refusal(), Some("credential-path-blocked"));
    assert_eq!(running.end().status, 7);
    assert!(upstream.requests().is_empty());
}

#[test]
fn what_is_under_way_when_the_command_ends_may_end_too() {
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let upstream = Upstream::start(move |peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
        wait.lock().unwrap().recv_timeout(crate::waiting::PATIENCE).unwrap();
        peer.send("world");
    });
    let home = Home::new();
    let mut running = Running::start(&mut exec(&home, &upstream, TELL));
    let port = port_of(&running.line());
    let mut client = Client::connect(port);
    client.send("GET /a HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let head = client.head();
    running.stdin.take();
    until("connections are refused", || TcpStream::connect(("127.0.0.1", port)).is_err());
    go_on.send(()).unwrap();
    assert_eq!(client.rest_of(head, "GET").body, b"helloworld");
    assert_eq!(running.end().status, 7);
}
