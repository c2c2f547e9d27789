//! A new configuration while the proxy runs: as a whole or not at all, and without disturbing anybody.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Answer, Client, get};
use crate::h2_client::{self, block_on};
use crate::home::Home;
use crate::proxy::{Proxy, Setup};
use crate::tokens::{CONTACTS, arrived};
use crate::waiting::until;

/// Requests whose token has to be fetched.
const FETCHES: &str = "/localdevauth";

fn account(name: &str, more: &str) -> String {
    format!(
        "[accounts.{name}]\ntype = \"personal_access_key\"\nkey = {{ file = \"{name}.key\" }}\n{more}\n"
    )
}

/// Puts the file in place as editors do.
fn replace(home: &Home, text: &str) {
    let new = home.path().join("proxy.toml.new");
    fs::write(&new, text).unwrap();
    fs::rename(new, home.path().join("proxy.toml")).unwrap();
}

fn start(sandbox: &Proxy, home: &Home, file: &str) -> Proxy {
    let key = "sandbox-personal-access-key";
    Setup::without_account(&sandbox.url())
        .env("HUBSPOT_PROXY_LOG", "info")
        .in_home(home)
        .file("a.key", key)
        .file("b.key", key)
        .file("proxy.toml", file)
        .start()
}

fn said(proxy: &Proxy, words: &str) -> usize {
    proxy.stderr().matches(words).count()
}

fn ask(client: &mut Client, method: &str, target: &str) -> Answer {
    let text = format!("{method} {target} HTTP/1.1\r\nHost: {{host}}\r\nContent-Length: 0\r\n\r\n");
    client.send(text).answer_to(method)
}

#[test]
fn accounts_and_policies_change_for_open_connections_and_tokens_are_kept() {
    let (sandbox, home) = (Setup::sandbox().start(), Home::new());
    let proxy = start(&sandbox, &home, &account("a", ""));
    let mut parked = Client::connect(proxy.port);
    assert_eq!(ask(&mut parked, "GET", CONTACTS).status(), 200);
    assert_eq!(arrived(&sandbox, FETCHES).len(), 1);
    // The connection is parked by now.
    thread::sleep(Duration::from_millis(150));
    let two = "default_account = \"a\"\n".to_owned()
        + &account("a", "policy.mode = \"read-only\"")
        + &account("b", "");
    replace(&home, &two);
    until("it is reloaded", || said(&proxy, "was reloaded: changed") == 1);
    let log = proxy.stderr();
    for key in ["accounts.a.policy.mode", "accounts.b.key", "accounts.b.type", "default_account"] {
        assert!(log.contains(key), "{key}: {log}");
    }
    assert_eq!(
        ask(&mut parked, "DELETE", "/crm/v3/objects/contacts/1").refusal(),
        Some("policy-denied")
    );
    assert_eq!(ask(&mut parked, "GET", CONTACTS).status(), 200);
    assert_eq!(arrived(&sandbox, FETCHES).len(), 1, "the token was kept");
    assert_eq!(ask(&mut parked, "GET", &format!("/@b{CONTACTS}")).status(), 200);
    assert_eq!(arrived(&sandbox, FETCHES).len(), 2);
    replace(&home, &account("b", ""));
    until("it is reloaded", || said(&proxy, "was reloaded: changed") == 2);
    let gone = ask(&mut parked, "GET", &format!("/@a{CONTACTS}"));
    assert_eq!(gone.refusal(), Some("unknown-account"));
    assert_eq!(ask(&mut parked, "GET", CONTACTS).status(), 200, "the only one is the default");
    assert_eq!(arrived(&sandbox, FETCHES).len(), 2);
}

#[test]
fn a_file_with_a_mistake_changes_nothing_and_the_mistake_is_named() {
    let (sandbox, home) = (Setup::sandbox().start(), Home::new());
    let proxy = start(&sandbox, &home, &account("a", ""));
    let no_header = "[server]\nresponse_header = false\n";
    for (number, (file, problem)) in [
        (no_header.to_owned() + "threds = 1\n" + &account("a", ""), "threds"),
        (no_header.to_owned() + &account("a", "") + &account("missing", ""), "missing.key"),
        (no_header.to_owned() + "[accounts", "this is not TOML"),
        (no_header.to_owned(), "no account is configured"),
        (String::new(), "is empty"),
    ]
    .into_iter()
    .enumerate()
    {
        replace(&home, &file);
        until("it is refused", || said(&proxy, "was not reloaded") == number + 1);
        let log = proxy.stderr();
        let line = log.lines().rfind(|line| line.contains("was not reloaded")).unwrap();
        assert!(line.contains(problem), "{problem}: {line}");
        let answer = get(proxy.port, CONTACTS);
        assert_eq!(answer.status(), 200);
        assert!(answer.header("x-hubspot-proxy").is_some(), "{problem}");
    }
    fs::remove_file(home.path().join("proxy.toml")).unwrap();
    until("it is missed", || said(&proxy, "proxy.toml is gone") == 1);
    assert_eq!(get(proxy.port, CONTACTS).status(), 200);
    replace(&home, &(no_header.to_owned() + &account("a", "")));
    until("it is back", || said(&proxy, "changed server.response_header") == 1);
    assert_eq!(get(proxy.port, CONTACTS).header("x-hubspot-proxy"), None);
    assert_eq!(arrived(&sandbox, FETCHES).len(), 1);
}

#[test]
fn a_file_that_is_being_written_is_not_taken_before_it_is_whole() {
    let (sandbox, home) = (Setup::sandbox().start(), Home::new());
    let proxy = start(&sandbox, &home, &account("a", ""));
    let path = home.path().join("proxy.toml");
    let whole = "[server]\nresponse_header = false\n".to_owned() + &account("a", "");
    fs::write(&path, "").unwrap();
    thread::sleep(Duration::from_millis(500));
    for end in (0..whole.len()).step_by(8) {
        fs::write(&path, &whole[..end]).unwrap();
        thread::sleep(Duration::from_millis(10));
    }
    fs::write(&path, &whole).unwrap();
    until("it is reloaded", || said(&proxy, "changed server.response_header") == 1);
    assert_eq!(said(&proxy, "was not reloaded"), 0);
}

#[test]
fn a_hangup_reads_secrets_anew_and_says_what_waits_for_the_next_start() {
    let (sandbox, home) = (Setup::sandbox().start(), Home::new());
    let token = "[accounts.a]\ntype = \"access_token\"\ntoken = { file = \"a.key\" }\n";
    let proxy = start(&sandbox, &home, token);
    assert_eq!(get(proxy.port, CONTACTS).status(), 401);
    proxy.hang_up();
    until("nothing has changed", || said(&proxy, "nothing to change") == 1);
    fs::write(home.path().join("a.key"), "sandbox-access-token").unwrap();
    proxy.hang_up();
    until("the token is read", || said(&proxy, "changed the secret of account a") == 1);
    assert_eq!(get(proxy.port, CONTACTS).status(), 200);
    replace(&home, &("[server]\nthreads = 1\nidle_timeout = \"9s\"\n".to_owned() + token));
    until("it is named", || {
        said(&proxy, "takes effect at the next start: server.idle_timeout, server.threads") == 1
    });
    let log = proxy.stderr();
    assert!(!log.contains("sandbox-access-token"), "{log}");
}

#[test]
fn two_hundred_reloads_under_load_fail_no_request() {
    const RELOADS: usize = 200;
    let sandbox = Setup::sandbox().start();
    let home = Home::new();
    let proxy = start(&sandbox, &home, &account("a", ""));
    assert_eq!(get(proxy.port, CONTACTS).status(), 200);
    let first_token = arrived(&sandbox, "/crm")[0]["headers"]["authorization"].clone();
    let (done, served) = (&AtomicBool::new(false), &AtomicUsize::new(0));
    let (port, began) = (proxy.port, Instant::now());
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(move || {
                let mut client = Client::connect(port);
                while !done.load(Ordering::SeqCst) {
                    let answer = ask(&mut client, "GET", &format!("/@a{CONTACTS}"));
                    assert_eq!(answer.status(), 200, "{answer:?}");
                    served.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        scope.spawn(move || {
            block_on(async {
                let sender = h2_client::connect(port).await;
                while !done.load(Ordering::SeqCst) {
                    let target = format!("/@a{CONTACTS}");
                    let request = h2_client::request("GET", port, &target).body(()).unwrap();
                    let answer = h2_client::send(&sender, request, None).await.unwrap();
                    assert_eq!(answer.status, 200, "{answer:?}");
                    assert!(answer.body.is_ok(), "{answer:?}");
                    served.fetch_add(1, Ordering::SeqCst);
                }
            });
        });
        let download = scope.spawn(move || {
            let mut client = Client::connect(port);
            let target = "/@a/sandbox-data/v1/stream?chunks=60&interval_ms=100&size=1000";
            let answer = ask(&mut client, "GET", target);
            assert!(answer.whole && answer.status() == 200, "{:?}", answer.head);
            answer.body.len()
        });
        for number in 0..RELOADS / 2 {
            let mode = ["read-only", "read-write"][number % 2];
            let more = if number % 3 == 0 { account("b", "") } else { String::new() };
            let policy = format!("policy.mode = \"{mode}\"\n");
            let good = format!("default_account = \"a\"\n{policy}{}{more}", account("a", ""));
            for (file, verdict) in
                [(good.clone(), "changed "), (good + "nonsense = 1\n", "was not reloaded")]
            {
                let before = said(&proxy, verdict);
                replace(&home, &file);
                proxy.hang_up();
                until("it has been read", || said(&proxy, verdict) > before);
                // So that requests come in between.
                thread::sleep(Duration::from_millis(20));
            }
        }
        assert_eq!(download.join().unwrap(), 60_000);
        done.store(true, Ordering::SeqCst);
    });
    assert!(served.load(Ordering::SeqCst) > RELOADS, "{served:?} in {:?}", began.elapsed());
    assert!(said(&proxy, "was reloaded: changed") >= RELOADS / 2);
    assert!(said(&proxy, "was not reloaded") >= RELOADS / 2);
    // The emulator keeps its latest requests only, so a fetch may be gone, but not what it brought.
    let seen = arrived(&sandbox, "/crm");
    let token = |entry: &serde_json::Value| entry["headers"]["authorization"].clone();
    assert!(seen.iter().all(|entry| token(entry) == first_token), "the token was fetched again");
}
