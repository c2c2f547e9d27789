//! What a person types at a terminal: a pseudo-terminal stands for it.
#![cfg(target_os = "linux")]

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::home::Home;
use crate::proxy::Setup;
use crate::waiting::until;

/// A command at a terminal of its own.
struct Terminal {
    child: std::process::Child,
    keyboard: File,
    screen: Arc<Mutex<String>>,
    reader: thread::JoinHandle<()>,
}

impl Terminal {
    fn run(home: &Home, environment: &[(&str, &str)], arguments: &[&str]) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave = || {
            let file = File::options().read(true).write(true).open(name.to_str().unwrap());
            Stdio::from(file.unwrap())
        };
        // It gives the command the terminal for its own, as a shell does.
        let child = Command::new("setsid")
            .args(["--ctty", "--wait", env!("CARGO_BIN_EXE_hubspot-proxy")])
            .args(arguments)
            .current_dir(home.path())
            .env_clear()
            .env("HOME", home.path())
            .env("XDG_CONFIG_HOME", home.path().join("config"))
            .env("XDG_STATE_HOME", home.path().join("state"))
            .envs(environment.iter().copied())
            .stdin(slave())
            .stdout(slave())
            .stderr(slave())
            .spawn()
            .unwrap();
        let mut output = File::from(master.try_clone().unwrap());
        let screen = Arc::new(Mutex::new(String::new()));
        let seen = Arc::clone(&screen);
        let reader = thread::spawn(move || {
            let mut part = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut part) {
                seen.lock().unwrap().push_str(&String::from_utf8_lossy(&part[..count]));
            }
        });
        Self { child, keyboard: File::from(master), screen, reader }
    }

    fn shows(&self, text: &str) {
        until(text, || self.screen.lock().unwrap().contains(text));
    }

    /// Waits until the command reads a secret: it has asked, and the terminal shows no more what is typed.
    fn asks_for_secret(&self, question: &str) {
        self.shows(question);
        until("what is typed is hidden", || {
            let modes = rustix::termios::tcgetattr(&self.keyboard).unwrap().local_modes;
            !modes.contains(rustix::termios::LocalModes::ECHO)
        });
    }

    fn types(&mut self, line: &str) {
        writeln!(self.keyboard, "{line}").unwrap();
    }

    fn end(mut self) -> (bool, String) {
        let ok = self.child.wait().unwrap().success();
        // With the last who has the terminal open, reading ends.
        self.reader.join().unwrap();
        let screen = self.screen.lock().unwrap().clone();
        (ok, screen)
    }
}

#[test]
fn a_secret_that_is_typed_is_never_shown() {
    let sandbox = Setup::sandbox().start();
    let home = Home::new();
    let url = sandbox.url();
    let environment = [("HUBSPOT_PROXY_UPSTREAM__URL", url.as_str())];
    let import = ["accounts", "import", "shop", "--kind", "access_token"];
    let mut terminal = Terminal::run(&home, &environment, &import);
    terminal.asks_for_secret("(not shown): ");
    terminal.types("sandbox-access-token");
    let (ok, screen) = terminal.end();
    assert!(ok && screen.contains("Account shop has a static token"), "{screen}");
    assert!(!screen.contains("sandbox-access-token"), "{screen}");
}

#[test]
fn a_login_without_any_configuration_asks_for_the_app_and_where_to_keep_its_secret() {
    let sandbox = Setup::sandbox().start();
    let authorize = format!("{}/oauth/authorize", sandbox.url());
    let (url, home) = (sandbox.url(), Home::new());
    let environment = [
        ("HUBSPOT_PROXY_UPSTREAM__URL", url.as_str()),
        ("HUBSPOT_PROXY_OAUTH__AUTHORIZE_URL", authorize.as_str()),
    ];
    for keep in ["s", "f"] {
        let login = ["login", keep, "--no-browser", "--timeout", "1s"];
        let mut terminal = Terminal::run(&home, &environment, &login);
        terminal.shows("Client ID");
        terminal.types("sandbox-client");
        terminal.asks_for_secret("Client secret of your app (not shown): ");
        terminal.types("sandbox-secret");
        terminal.shows("in a file (f)?");
        terminal.types(keep);
        if keep == "f" {
            terminal.shows("File [");
            terminal.types("");
        }
        let (_, screen) = terminal.end();
        assert!(screen.contains("/oauth/authorize?"), "{screen}");
        assert!(!screen.contains("sandbox-secret"), "{screen}");
        // The wait is longer than what is not worth a line that moves; its last is written over.
        assert!(screen.contains("\r| Waiting for HubSpot's answer at http://"), "{screen:?}");
        assert!(screen.contains(&format!("\r{:79}\rerror: no answer", "")), "{screen:?}");
        let kept = home.path().join("config/hubspot-proxy/f.secret");
        assert_eq!(kept.exists(), keep == "f");
        assert!(keep == "s" || screen.contains("client_secret = { file = "), "{screen}");
    }
}

#[test]
fn init_asks_for_what_no_flag_says_and_again_for_what_makes_no_sense() {
    let home = Home::new();
    let mut terminal = Terminal::run(&home, &[], &["init"]);
    let answers = [
        ("here or user [here]: ", "there"),
        ("Answer with `here` or `user`.", ""),
        ("Number [1]: ", "5"),
        ("Answer with 1, 2, 3 or 4.", "1"),
        ("Name of the account [default]: ", "Not A Name"),
        ("starts with", "acme"),
        ("Client ID of your app", "client-4711"),
        ("Scopes that the app requires", "crm.objects.contacts.read"),
        ("Place [store]: ", "hush-4711"),
        ("That is no place: write store, env:NAME", "env:ACME_SECRET"),
        ("read-write, no-destructive or read-only? [read-write]: ", "read-only"),
    ];
    for (question, answer) in answers {
        terminal.shows(question);
        terminal.types(answer);
    }
    let (ok, screen) = terminal.end();
    assert!(ok && screen.contains("hubspot-proxy login acme"), "{screen}");
    let text = std::fs::read_to_string(home.path().join("proxy.toml")).unwrap();
    for line in [
        "mode = \"read-only\"",
        "[accounts.acme]",
        "client_id = \"client-4711\"",
        "client_secret = { env = \"ACME_SECRET\" }",
        "scopes = [\"oauth\", \"crm.objects.contacts.read\"]",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
    assert!(!text.contains("hush-4711"), "{text}");
    // What is there is said before the first question.
    let (ok, screen) = Terminal::run(&home, &[], &["init"]).end();
    assert!(!ok && screen.contains("proxy.toml is there already"), "{screen}");
    assert!(!screen.contains('?'), "{screen}");
}

#[test]
fn ctrl_c_reaches_the_command_under_exec_once_and_ends_only_what_it_ends() {
    let home = Home::new();
    // Whatever this process had sent on would arrive before the signal that it is asked to send on.
    let script = "n=0; trap 'n=$((n+1)); kill -USR1 $PPID' INT; trap 'echo \"interrupted $n\"' USR1; \
        echo ready; while ! read line; do :; done; echo \"read $line\"; exit 7";
    let path = std::env::var("PATH").unwrap();
    let exec = ["exec", "--sandbox", "--", "sh", "-c", script];
    let mut terminal = Terminal::run(&home, &[("PATH", &path)], &exec);
    terminal.shows("ready");
    terminal.keyboard.write_all(b"\x03").unwrap();
    terminal.shows("interrupted 1");
    terminal.types("typed");
    terminal.shows("read typed");
    assert_eq!(terminal.child.wait().unwrap().code(), Some(7));
}

#[test]
fn what_takes_long_shows_that_it_lives_and_in_colour_unless_none_is_wanted() {
    let silent = crate::upstream::Upstream::start(|peer| {
        while peer.request().is_some() {
            std::thread::sleep(std::time::Duration::from_secs(20));
        }
    });
    let url = silent.url();
    for (no_color, red) in [(None, true), (Some(("NO_COLOR", "1")), false)] {
        let home = Home::new();
        let mut environment = vec![("HUBSPOT_PROXY_UPSTREAM__URL", url.as_str())];
        environment.extend(no_color);
        let terminal = Terminal::run(&home, &environment, &["doctor"]);
        terminal.shows("Checking ...");
        let (ok, screen) = terminal.end();
        assert!(!ok && screen.contains("reachable") && screen.contains("failed"), "{screen}");
        assert_eq!(screen.contains("\x1b[31m  failed"), red, "{screen}");
        // The sign of life is gone before the first line.
        let wiped = format!("| Checking ...\r{:14}\rConfiguration", "");
        assert!(screen.contains(&wiped), "{screen:?}");
    }
}
