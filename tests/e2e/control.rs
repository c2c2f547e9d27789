//! The control plane: how commands find the running proxy, and who may ask it.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::PathBuf;

use serde_json::Value;

use crate::client::{exchange, get};
use crate::home::Home;
use crate::proxy::{Proxy, Setup};
use crate::upstream::{OK, Upstream};

const CONTACTS: &str = "/crm/v3/objects/contacts?limit=1";

fn folder(home: &Home, proxy: &Proxy) -> PathBuf {
    home.path().join("hubspot-proxy").join(proxy.port.to_string())
}

fn json(home: &Home, arguments: &[&str]) -> Value {
    let ran = home.run(arguments, &[], "");
    assert_eq!(ran.status, 0, "{arguments:?}: {}", ran.stderr);
    serde_json::from_str(&ran.stdout).unwrap()
}

fn in_sandbox(home: &Home) -> (Proxy, Proxy) {
    let sandbox = Setup::sandbox().start();
    let proxy = Setup::without_account(&sandbox.url())
        .env("HUBSPOT_ACCESS_TOKEN", "sandbox-access-token")
        .in_home(home)
        .start();
    (sandbox, proxy)
}

#[test]
fn the_runtime_folder_is_for_its_user_alone_and_goes_with_the_proxy() {
    let (home, upstream) = (Home::new(), Upstream::answering(OK));
    let mut proxy = Setup::in_front_of(&upstream.url()).in_home(&home).start();
    let folder = folder(&home, &proxy);
    let mode = |name: &str| fs::symlink_metadata(folder.join(name)).unwrap().mode() & 0o777;
    assert_eq!((mode("."), mode("admin.key"), mode("control.sock")), (0o700, 0o600, 0o600));
    let socket = fs::symlink_metadata(folder.join("control.sock")).unwrap();
    assert!(socket.file_type().is_socket());
    proxy.terminate();
    assert!(proxy.exit_status().success());
    assert!(!folder.exists());
}

#[test]
fn what_a_killed_proxy_leaves_is_passed_over_and_replaced() {
    let (home, upstream) = (Home::new(), Upstream::answering(OK));
    let killed = Setup::in_front_of(&upstream.url()).in_home(&home).start();
    let (port, left) = (killed.port, folder(&home, &killed));
    // A dropped proxy is killed.
    drop(killed);
    assert!(left.join("control.sock").exists());
    let none = home.run(&["status"], &[], "");
    assert_eq!(none.status, 1);
    assert!(none.stderr.contains("no proxy of yours is running"), "{}", none.stderr);
    let old_key = fs::read_to_string(left.join("admin.key")).unwrap();
    let listen = format!("localhost:{port}");
    let next = Setup::in_front_of(&upstream.url()).in_home(&home).arg("--listen").arg(&listen);
    let next = next.start();
    let status = json(&home, &["status", "--json"]);
    assert_eq!(status["pid"], next.pid());
    let keys = home.path().join("hubspot-proxy");
    let keys = fs::read_dir(keys).unwrap().map(|entry| entry.unwrap().path().join("admin.key"));
    let keys: Vec<_> = keys.filter_map(|key| fs::read_to_string(key).ok()).collect();
    assert!(keys.iter().any(|key| *key != old_key));
}

#[test]
fn the_admin_api_opens_to_the_admin_key_alone() {
    let (home, upstream) = (Home::new(), Upstream::answering(OK));
    let proxy = Setup::in_front_of(&upstream.url()).in_home(&home).start();
    let key = fs::read_to_string(folder(&home, &proxy).join("admin.key")).unwrap();
    let key = key.trim();
    let ask = |path: &str, more: &str| {
        exchange(proxy.port, format!("GET {path} HTTP/1.1\r\nHost: {{host}}\r\n{more}\r\n"))
    };
    let bearer = format!("Authorization: Bearer {key}\r\n");
    let answer = ask("/_proxy/api/status", &bearer);
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.json()["pid"], proxy.pid());
    for (path, more) in [
        ("/_proxy/api/status", String::new()),
        ("/_proxy/api/nothing", String::new()),
        ("/_proxy/api/status", format!("X-HubSpot-Proxy-Key: {key}\r\n")),
        ("/_proxy/api/status", format!("Authorization: Bearer {key}x\r\n")),
        ("/_proxy/api/status", format!("{bearer}{bearer}")),
        ("/_proxy/api%2Fstatus", "Authorization: Bearer pat-na1-x\r\n".to_owned()),
    ] {
        let answer = ask(path, &more);
        assert_eq!(
            (answer.status(), answer.refusal()),
            (401, Some("admin-key-required")),
            "{path}"
        );
        assert!(answer.header("www-authenticate").is_some());
    }
    for (path, more, status) in [
        ("/_proxy/api/nothing", bearer.clone(), 404),
        ("/_proxy/api/requests?limit=0", bearer.clone(), 400),
        ("/_proxy/api/requests/nonsense", bearer.clone(), 400),
        ("/_proxy/api/status", format!("{bearer}Origin: http://evil.example\r\n"), 403),
        ("/_proxy/api/status", format!("{bearer}Sec-Fetch-Site: cross-site\r\n"), 403),
    ] {
        assert_eq!(ask(path, &more).status(), status, "{path}");
    }
    let post = format!(
        "POST /_proxy/api/status HTTP/1.1\r\nHost: {{host}}\r\n{bearer}Content-Length: 0\r\n\r\n"
    );
    assert_eq!(exchange(proxy.port, post).status(), 405);
    assert!(upstream.requests().is_empty());
    assert!(!format!("{}{}", proxy.stdout(), proxy.stderr()).contains(key));
}

#[test]
fn status_tells_of_accounts_and_their_traffic() {
    let home = Home::new();
    let (_sandbox, proxy) = in_sandbox(&home);
    for (target, status) in [(CONTACTS, 200), (CONTACTS, 200), ("/crm/v3/objects/contacts/0", 404)]
    {
        assert_eq!(get(proxy.port, target).status(), status);
    }
    get(proxy.port, "/oauth/v1/token");
    let status = json(&home, &["status", "--json"]);
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    let account = &status["accounts"][0];
    assert_eq!((&account["name"], &account["default"]), (&"default".into(), &true.into()));
    assert_eq!(account["token"]["state"], "static");
    assert_eq!(account["traffic"]["requests"], 4);
    assert_eq!(account["traffic"]["by_status"]["2xx"], 2);
    assert_eq!(account["traffic"]["refused"], 1);
    assert_eq!(account["rate_limits"]["max"], 190);
    assert_eq!(status["refusals"]["credential-path-blocked"], 1);
    let text = home.run(&["status"], &[], "").stdout;
    assert!(text.contains("default *") && text.contains("of 190"), "{text}");
    assert!(!text.contains("sandbox-access-token"));
}

#[test]
fn a_request_is_explained_by_its_id_and_by_hubspots() {
    let home = Home::new();
    let (_sandbox, proxy) = in_sandbox(&home);
    let answer = get(proxy.port, "/@default/automation/v4/flows?secret=query");
    assert_eq!(answer.status(), 403);
    let own = answer.header("x-hubspot-proxy").unwrap();
    let own = own.strip_prefix("id=").unwrap().split(';').next().unwrap().to_owned();
    let theirs = answer.json()["correlationId"].as_str().unwrap().to_owned();
    assert_ne!(own, theirs);
    for id in [&own, &theirs, &own.to_uppercase()] {
        let told = json(&home, &["explain", id, "--json"]);
        assert_eq!(told["id"], own.as_str());
        assert_eq!(told["path"], "/automation/v4/flows");
        assert_eq!(told["status"], 403);
        assert_eq!(told["upstream"]["category"], "MISSING_SCOPES");
        let stages = told["stages"].as_array().unwrap().iter().map(|stage| &stage["stage"]);
        let stages: Vec<_> = stages.collect();
        assert_eq!(stages, ["gate", "route", "policy", "authorize", "forward", "response"]);
        let cause = told["cause"].as_str().unwrap();
        assert!(cause.contains("the scope automation"), "{cause}");
    }
    let text = home.run(&["explain", "--last"], &[], "").stdout;
    assert!(text.contains("named in the path") && text.contains("Mend: "), "{text}");
    assert!(!text.contains("query"), "{text}");
    let unknown = home.run(&["explain", "01234567-89ab-cdef-0123-456789abcdef"], &[], "");
    assert_eq!(unknown.status, 1);
    assert!(unknown.stderr.contains("does not remember"), "{}", unknown.stderr);
}

#[test]
fn each_kind_of_failure_has_its_cause() {
    let home = Home::new();
    let (sandbox, proxy) = in_sandbox(&home);
    let fault = |fault: &str| {
        let length = fault.len();
        let request = format!(
            "POST /sandbox/faults HTTP/1.1\r\nHost: {{host}}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{fault}"
        );
        assert!(exchange(sandbox.port, request).status() < 300);
    };
    for (status, word) in [
        ("\"status\": 429", "ten seconds"),
        ("\"status\": 401", "static token"),
        ("\"status\": 503", "failed on the request"),
        ("\"drop\": \"before-head\"", "closed the connection"),
        ("\"drop\": \"mid-body\"", "before it was whole"),
    ] {
        fault(&format!("[{{\"path\": \"/crm/**\", \"times\": 2, {status}}}]"));
        // Whole or not: `None` where it is closed without an answer.
        let _ = crate::client::Client::connect(proxy.port)
            .send(format!("GET {CONTACTS} HTTP/1.1\r\nHost: {{host}}\r\nConnection: close\r\n\r\n"))
            .try_answer_to("GET");
        let told = json(&home, &["explain", "--failed", "--last", "--json"]);
        let cause = told["cause"].as_str().unwrap_or_default();
        assert!(cause.contains(word), "{status}: {told:#}");
        let request = "DELETE /sandbox/faults HTTP/1.1\r\nHost: {host}\r\n\r\n";
        assert!(exchange(sandbox.port, request).status() < 300);
    }
    get(proxy.port, "/@nobody/x");
    let told = json(&home, &["explain", "--last", "--json"]);
    assert_eq!((&told["error"], &told["account"]), (&"unknown-account".into(), &Value::Null));
}

#[test]
fn of_several_proxies_one_has_to_be_named() {
    let (home, upstream) = (Home::new(), Upstream::answering(OK));
    let one = Setup::in_front_of(&upstream.url()).in_home(&home).start();
    let two = Setup::in_front_of(&upstream.url()).in_home(&home).start();
    let ran = home.run(&["status"], &[], "");
    assert_eq!(ran.status, 2);
    assert!(ran.stderr.contains(&format!("localhost:{}", one.port)), "{}", ran.stderr);
    assert!(ran.stderr.contains("--listen"));
    for listen in [format!("localhost:{}", two.port), format!("127.0.0.1:{}", two.port)] {
        assert_eq!(json(&home, &["status", "--json", "--listen", &listen])["pid"], two.pid());
    }
    assert_eq!(home.run(&["status", "--listen", "localhost:1"], &[], "").status, 1);
    assert_eq!(home.run(&["status", "--listen", "nonsense:x:y"], &[], "").status, 2);
}

#[test]
fn metrics_count_operations_by_template_and_not_by_id() {
    let home = Home::new();
    let (_sandbox, proxy) = in_sandbox(&home);
    for target in ["/crm/v3/objects/contacts/1001", "/crm/v3/objects/contacts/1002?secret=query"] {
        assert_eq!(get(proxy.port, target).status(), 200);
    }
    get(proxy.port, "/@nobody/x");
    let answer = get(proxy.port, "/_proxy/metrics");
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = answer.text();
    for line in [
        "hubspot_proxy_requests_total{account=\"default\",method=\"GET\",path=\"/crm/v3/objects/contacts/{id}\",status=\"200\"} 2",
        "hubspot_proxy_refusals_total{cause=\"unknown-account\"} 1",
        "hubspot_proxy_upstream_seconds_count{account=\"default\"} 2",
        "hubspot_proxy_account_ready{account=\"default\"} 1",
        "hubspot_proxy_upstream_requests_total{connection=\"reused\",protocol=\"HTTP/1.1\"} ",
        "hubspot_proxy_client_connections 1",
        "hubspot_proxy_client_connections_max 4096",
    ] {
        assert!(text.lines().any(|found| found.starts_with(line)), "{line}\n{text}");
    }
    for hidden in ["1001", "secret", "sandbox-access-token"] {
        assert!(!text.contains(hidden), "{hidden}: {text}");
    }
    let post = "POST /_proxy/metrics HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(exchange(proxy.port, post).refusal(), Some("method-not-allowed"));
    let page = "GET /_proxy/metrics HTTP/1.1\r\nHost: {host}\r\nSec-Fetch-Site: cross-site\r\n\r\n";
    assert_eq!(exchange(proxy.port, page).refusal(), Some("origin-not-allowed"));
}

#[test]
fn where_keys_are_required_metrics_are_for_who_has_one() {
    let (home, upstream) = (Home::new(), Upstream::answering(OK));
    let key = home.run(&["keys", "create", "--name", "prometheus"], &[], "");
    let proxy = Setup::in_front_of(&upstream.url())
        .in_home(&home)
        .env("HUBSPOT_PROXY_SERVER__CLIENT_KEYS", "required")
        .start();
    let admin = fs::read_to_string(folder(&home, &proxy).join("admin.key")).unwrap();
    for (shown, status) in [("", 401), (key.stdout.trim(), 200), (admin.trim(), 200)] {
        let request = format!(
            "GET /_proxy/metrics HTTP/1.1\r\nHost: {{host}}\r\nAuthorization: Bearer {shown}\r\n\r\n"
        );
        assert_eq!(exchange(proxy.port, request).status(), status);
    }
}

#[test]
fn a_body_that_does_not_come_is_not_waited_for() {
    let (home, upstream) = (Home::new(), Upstream::answering(OK));
    let proxy = Setup::in_front_of(&upstream.url()).in_home(&home).start();
    let key = fs::read_to_string(folder(&home, &proxy).join("admin.key")).unwrap();
    let answer = exchange(
        proxy.port,
        format!(
            "POST /_proxy/api/status HTTP/1.1\r\nHost: {{host}}\r\nAuthorization: Bearer {}\r\nContent-Length: 9\r\n\r\nhalf",
            key.trim()
        ),
    );
    assert_eq!((answer.status(), answer.refusal()), (400, Some("bad-request")));
}
