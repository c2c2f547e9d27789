//! The dashboard: how a browser gets in, what its page may do, and what it is told.

use std::fs;

use serde_json::Value;

use crate::client::{Answer, Client, exchange, get};
use crate::home::Home;
use crate::proxy::{Proxy, Setup};
use crate::upstream::{OK, Upstream};

const BROWSER: &str =
    "Sec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n";
const SANDBOX: &str = "sandbox; default-src 'none'";

pub fn code(home: &Home) -> String {
    let ran = home.run(&["dashboard", "--no-browser"], &[], "");
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let (address, code) = ran.stdout.trim().split_once("/_proxy/#code=").unwrap();
    assert!(address.starts_with("http://localhost:"), "{address}");
    code.to_owned()
}

pub fn exchanged(port: u16, code: &str, more: &str) -> Answer {
    let body = format!("{{\"code\":\"{code}\"}}");
    let length = body.len();
    let head = format!("Host: {{host}}\r\n{more}Content-Length: {length}\r\n\r\n{body}");
    exchange(port, format!("POST /_proxy/api/dashboard/session HTTP/1.1\r\n{head}"))
}

pub fn token(home: &Home, proxy: &Proxy) -> String {
    let answer = exchanged(proxy.port, &code(home), "Sec-Fetch-Site: same-origin\r\n");
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("set-cookie"), None);
    answer.json()["token"].as_str().unwrap().to_owned()
}

pub fn asked(port: u16, method: &str, path: &str, token: &str) -> Answer {
    let head = format!("Host: {{host}}\r\nAuthorization: Bearer {token}\r\nContent-Length: 0\r\n");
    exchange(port, format!("{method} {path} HTTP/1.1\r\n{head}\r\n"))
}

/// A connection at the stream, and the updates that come on it.
struct Stream(Client, Vec<u8>);

impl Stream {
    fn open(port: u16, token: &str) -> Self {
        let mut client = Client::connect(port);
        let head = format!("Host: {{host}}\r\nAuthorization: Bearer {token}\r\n\r\n");
        client.send(format!("GET /_proxy/api/stream HTTP/1.1\r\n{head}"));
        let answered = client.head();
        assert_eq!(answered.status, 200);
        assert_eq!(answered.header("content-type"), Some("application/x-ndjson"));
        Self(client, Vec::new())
    }

    fn next(&mut self) -> Value {
        loop {
            // A chunk is a line: its size, the line, and an empty one.
            let text = String::from_utf8_lossy(&self.1).into_owned();
            let mut lines = text.splitn(3, "\r\n");
            if let (Some(_), Some(line), Some(rest)) = (lines.next(), lines.next(), lines.next()) {
                self.1 = rest.as_bytes().to_vec();
                return serde_json::from_str(line).unwrap();
            }
            let more = self.0.some_bytes();
            self.1.extend(more);
        }
    }
}

#[test]
fn the_page_is_static_and_has_a_policy_of_its_own() {
    let (home, upstream) = (Home::new(), Upstream::answering(OK));
    let proxy = Setup::in_front_of(&upstream.url()).in_home(&home).start();
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: {{host}}\r\n{BROWSER}\r\n");
    let page = exchange(proxy.port, request("/_proxy/"));
    assert_eq!(page.status(), 200);
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"), "{policy}");
    assert!(policy.ends_with("frame-ancestors 'none'"), "{policy}");
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(page.header("set-cookie"), None);
    assert!(page.body.len() < 120 * 1024);
    assert_eq!(page.body, get(proxy.port, "/_proxy/").body, "it is the same for everybody");
    let head = exchange(proxy.port, "HEAD /_proxy/ HTTP/1.1\r\nHost: {host}\r\n\r\n");
    assert_eq!(head.header("content-length"), Some(page.body.len().to_string().as_str()));
    // Nothing else loses the sandbox.
    for path in
        ["/_proxy/health", "/_proxy", "/_proxy/x", "/_proxy/api/status", "/_proxy/metrics", "/crm"]
    {
        let answer = exchange(proxy.port, request(path));
        assert_eq!(answer.header("content-security-policy"), Some(SANDBOX), "{path}");
    }
    assert_eq!(get(proxy.port, "/_proxy").header("location"), Some("/_proxy/"));
    let post = "POST /_proxy/ HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(exchange(proxy.port, post).refusal(), Some("method-not-allowed"));
    let framed = "GET /_proxy/ HTTP/1.1\r\nHost: {host}\r\nSec-Fetch-Site: cross-site\r\n\r\n";
    assert_eq!(exchange(proxy.port, framed).refusal(), Some("origin-not-allowed"));
}

#[test]
fn a_code_opens_the_api_once_and_for_reading_alone() {
    let (home, upstream) = (Home::new(), Upstream::answering(OK));
    let proxy = Setup::in_front_of(&upstream.url()).in_home(&home).start();
    let code = code(&home);
    for foreign in ["Sec-Fetch-Site: cross-site\r\n", "Origin: http://evil.example\r\n"] {
        assert_eq!(exchanged(proxy.port, &code, foreign).refusal(), Some("origin-not-allowed"));
    }
    let answer = exchanged(proxy.port, &code, "");
    let token = answer.json()["token"].as_str().unwrap().to_owned();
    assert_eq!(exchanged(proxy.port, &code, "").status(), 403, "it works once");
    assert_eq!(exchanged(proxy.port, "", "").status(), 403);
    for path in ["status", "requests", "keys", "requests?failed=true"] {
        let answer = asked(proxy.port, "GET", &format!("/_proxy/api/{path}"), &token);
        assert_eq!(answer.status(), 200, "{path}");
    }
    let own = [code.as_str(), &token[..token.len() - 1], "hspsession_", ""];
    for (method, shown) in
        own.map(|shown| ("GET", shown)).into_iter().chain([("POST", token.as_str())])
    {
        for path in ["/_proxy/api/dashboard/codes", "/_proxy/api/status"] {
            let answer = asked(proxy.port, method, path, shown);
            assert_eq!(answer.refusal(), Some("admin-key-required"), "{method} {path}");
        }
    }
    let garbage = "POST /_proxy/api/dashboard/session HTTP/1.1\r\nHost: {host}\r\nContent-Length: 2\r\n\r\n{}";
    assert_eq!(exchange(proxy.port, garbage).status(), 400);
    let key = home.path().join(format!("hubspot-proxy/{}/admin.key", proxy.port));
    let key = fs::read_to_string(key).unwrap();
    let made = asked(proxy.port, "POST", "/_proxy/api/dashboard/codes", key.trim());
    let made = made.json()["code"].as_str().unwrap().to_owned();
    assert_eq!(exchanged(proxy.port, &made, "").status(), 200);
    let printed = proxy.stdout() + &proxy.stderr();
    assert!(!printed.contains(&code) && !printed.contains(&token));
    assert!(upstream.requests().is_empty());
}

#[test]
fn the_stream_tells_of_requests_as_they_end_but_not_of_each() {
    let (home, upstream) = (Home::new(), Upstream::answering(OK));
    let proxy = Setup::in_front_of(&upstream.url()).in_home(&home).start();
    let token = token(&home, &proxy);
    let mut stream = Stream::open(proxy.port, &token);
    let first = stream.next();
    assert_eq!(first["status"]["accounts"][0]["name"], "default");
    assert_eq!(first["upstream_seconds"]["count"], 0);
    let mut client = Client::connect(proxy.port);
    for number in 0..200 {
        client.send(format!("GET /crm/{number}?secret=query HTTP/1.1\r\nHost: {{host}}\r\n\r\n"));
        assert_eq!(client.answer_to("GET").status(), 200);
    }
    get(proxy.port, "/@nobody/x");
    let (mut told, mut failed) = (Vec::new(), Vec::new());
    let last = loop {
        let update = stream.next();
        let requests = update["requests"].as_array().unwrap().clone();
        assert!(requests.len() <= 40, "{}", requests.len());
        let (bad, good): (Vec<_>, Vec<_>) =
            requests.into_iter().partition(|request| request["error"].is_string());
        told.extend(good);
        failed.extend(bad);
        if update["status"]["refusals"]["unknown-account"] == 1 && !failed.is_empty() {
            break update;
        }
    };
    assert!(last["status"]["traffic"]["by_status"]["2xx"].as_u64() >= Some(200));
    assert_eq!(last["upstream_seconds"]["count"], 200);
    assert!(!told.is_empty() && told.iter().all(|request| request["account"] == "default"));
    assert!(told.iter().all(|request| request["stages"][0]["stage"] == "gate"));
    let text = format!("{told:?}{last}");
    assert!(!text.contains("query") && !text.contains("/_proxy/") && !text.contains(&token));
    assert_eq!(failed[0]["error"], "unknown-account");
    assert_eq!(last["retiring"], Value::Array(Vec::new()));
    client.send(
        "GET /contacts/v1/contact/vid/1 HTTP/1.1\r\nHost: {host}\r\nUser-Agent: old/1\r\n\r\n",
    );
    client.answer_to("GET");
    let retiring = loop {
        let update = stream.next();
        if update["retiring"] != Value::Array(Vec::new()) {
            break update["retiring"][0].clone();
        }
    };
    assert_eq!((&retiring["user_agent"], &retiring["count"]), (&"old/1".into(), &1.into()));
    assert_eq!(retiring["successor"], "/crm/objects/2026-03/contacts");
}

#[test]
fn the_end_of_the_proxy_does_not_wait_for_who_watches() {
    let (home, upstream) = (Home::new(), Upstream::answering(OK));
    let mut proxy = Setup::in_front_of(&upstream.url())
        .in_home(&home)
        .env("HUBSPOT_PROXY_SERVER__SHUTDOWN_GRACE", "10m")
        .start();
    let token = token(&home, &proxy);
    let mut stream = Stream::open(proxy.port, &token);
    stream.next();
    proxy.terminate();
    assert!(proxy.exit_status().success());
    assert!(!proxy.stderr().contains("are cut"));
}

#[test]
fn only_so_many_may_watch_at_once() {
    let (home, upstream) = (Home::new(), Upstream::answering(OK));
    let proxy = Setup::in_front_of(&upstream.url()).in_home(&home).start();
    let token = token(&home, &proxy);
    let open: Vec<_> = (0..16).map(|_| Stream::open(proxy.port, &token)).collect();
    let refused = asked(proxy.port, "GET", "/_proxy/api/stream", &token);
    assert_eq!(refused.status(), 503);
    drop(open);
    // A place is free once the next update finds nobody.
    let end = std::time::Instant::now() + crate::waiting::PATIENCE;
    loop {
        let mut client = Client::connect(proxy.port);
        let head = format!("Host: {{host}}\r\nAuthorization: Bearer {token}\r\n\r\n");
        client.send(format!("GET /_proxy/api/stream HTTP/1.1\r\n{head}"));
        if client.head().status == 200 {
            break;
        }
        assert!(std::time::Instant::now() < end, "no place becomes free");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn who_watches_and_reads_nothing_holds_up_nobody() {
    let (home, upstream) = (Home::new(), Upstream::answering(OK));
    let proxy = Setup::in_front_of(&upstream.url()).in_home(&home).start();
    let token = token(&home, &proxy);
    let mut silent: Vec<_> = (0..8).map(|_| Stream::open(proxy.port, &token)).collect();
    let mut reading = Stream::open(proxy.port, &token);
    let mut client = Client::connect(proxy.port);
    for number in 0..8 {
        for _ in 0..50 {
            client.send("GET /crm HTTP/1.1\r\nHost: {host}\r\n\r\n");
            assert_eq!(client.answer_to("GET").status(), 200);
        }
        let update = reading.next();
        assert!(update.is_object(), "{number}");
    }
    // And it is still being served.
    assert!(silent.iter_mut().all(|stream| stream.next()["status"].is_object()));
}

#[test]
fn the_list_of_keys_shows_no_key() {
    let (home, upstream) = (Home::new(), Upstream::answering(OK));
    let made = ["keys", "create", "--name", "ci", "--policy", "read-only", "--expires", "1h"];
    let key = home.run(&made, &[], "").stdout.trim().to_owned();
    let proxy = Setup::in_front_of(&upstream.url())
        .in_home(&home)
        .env("HUBSPOT_PROXY_SERVER__CLIENT_KEYS", "required")
        .start();
    // The page and the exchange need no client key, though all else does.
    assert_eq!(get(proxy.port, "/_proxy/").status(), 200);
    let answer = asked(proxy.port, "GET", "/_proxy/api/keys", &token(&home, &proxy));
    let told = answer.json();
    assert_eq!(told["required"], true);
    let told = &told["keys"][0];
    assert_eq!((&told["name"], &told["policy"]), (&"ci".into(), &"read-only".into()));
    assert_eq!((&told["account"], &told["expired"]), (&Value::Null, &false.into()));
    assert!(told["expires_at"].is_string());
    assert!(key.starts_with("hsp_") && !answer.text().contains(&key));
}

#[test]
fn a_proxy_that_no_browser_reaches_says_so() {
    let (home, upstream) = (Home::new(), Upstream::answering(OK));
    let none = home.run(&["dashboard"], &[], "");
    assert_eq!(none.status, 1);
    assert!(none.stderr.contains("no proxy of yours is running"), "{}", none.stderr);
    let path = home.path().join("proxy.sock");
    let mut child = home
        .command()
        .args(["serve", "--listen", &format!("unix:{}", path.display())])
        .envs([
            ("HUBSPOT_PROXY_UPSTREAM__URL", upstream.url()),
            ("HUBSPOT_ACCESS_TOKEN", "x".into()),
        ])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let end = std::time::Instant::now() + crate::waiting::PATIENCE;
    let ran = loop {
        let ran = home.run(&["dashboard"], &[], "");
        if !ran.stderr.contains("no proxy of yours") || std::time::Instant::now() > end {
            break ran;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(ran.status, 1);
    assert!(ran.stderr.contains("a browser cannot reach"), "{}", ran.stderr);
}
