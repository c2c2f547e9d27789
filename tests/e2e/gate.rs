//! Who may talk to the proxy. What it refuses and never sends on is in `attacks`.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::client::{Answer, Client, exchange, get, post};
use crate::proxy::{Proxy, Setup};
use crate::upstream::{OK, Upstream};
use crate::waiting::PATIENCE;

/// A proxy whose upstream must not be reached by what a test refuses.
fn guarded() -> (Upstream, Proxy) {
    let upstream = Upstream::answering(OK);
    let proxy = Setup::in_front_of(&upstream.url()).start();
    (upstream, proxy)
}

fn assert_refused(answer: &Answer, status: u16, code: &str, case: &str) {
    assert_eq!((answer.status(), answer.refusal()), (status, Some(code)), "{case}: {answer:?}");
    assert_eq!(answer.header("x-should-retry"), Some("false"), "{case}");
    assert_eq!(answer.header("content-type"), Some("application/json;charset=utf-8"), "{case}");
    let body = answer.json();
    assert_eq!(body["status"], "error", "{case}");
    let category = format!("PROXY_{}", code.replace('-', "_").to_uppercase());
    assert_eq!(body["category"], category.as_str(), "{case}");
    let id = body["correlationId"].as_str().unwrap();
    let header = answer.header("x-hubspot-proxy").unwrap();
    assert!(id.len() == 36 && header.contains(id), "{case}: {header}");
}

#[test]
fn both_loopback_families_are_served_under_one_port() {
    let (_upstream, proxy) = guarded();
    let Ok(mut stream) = TcpStream::connect(("::1", proxy.port)) else { return };
    let request = format!("GET /a HTTP/1.0\r\nHost: [::1]:{}\r\n\r\n", proxy.port);
    stream.write_all(request.as_bytes()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains(" 200 ") && answer.ends_with("ok"), "{answer}");
}

#[test]
fn what_a_browser_gets_never_runs_at_our_origin() {
    let (_upstream, proxy) = guarded();
    for path in ["/a", "/_proxy/nothing"] {
        let text =
            format!("GET {path} HTTP/1.1\r\nHost: {{host}}\r\nSec-Fetch-Dest: document\r\n\r\n");
        let answer = exchange(proxy.port, text);
        let policy = answer.header("content-security-policy");
        assert_eq!(policy, Some("sandbox; default-src 'none'"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
    }
    assert_eq!(get(proxy.port, "/a").header("content-security-policy"), None);
}

#[test]
fn local_paths_are_answered_here_in_every_spelling() {
    let (upstream, proxy) = guarded();
    for target in ["/_proxy/health", "/_proxy/ready", "/@default/_proxy/health", "//_proxy/health"]
    {
        let answer = get(proxy.port, target);
        assert_eq!((answer.status(), answer.refusal()), (200, None), "{target}");
    }
    let dashboard = get(proxy.port, "/_proxy");
    assert_eq!((dashboard.status(), dashboard.header("location")), (308, Some("/_proxy/")));
    assert_eq!((get(proxy.port, "/_proxy/").status(), dashboard.refusal()), (200, None));
    for target in [
        "/_proxy/nothing",
        "/_PROXY/x",
        "/%5fproxy/x",
        "/_proxy%2fhealth%2fx",
        "/_proxy;a/x",
        "/favicon.ico",
        "/@default/favicon.ico",
    ] {
        assert_refused(&get(proxy.port, target), 404, "not-found", target);
    }
    let answer = post(proxy.port, "/_proxy/health", "");
    assert_refused(&answer, 405, "method-not-allowed", "POST");
    let mut client = Client::connect(proxy.port);
    client.send("HEAD /_proxy/health HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let head = client.answer_to("HEAD");
    assert_eq!(head.status(), 200);
    client.send("GET /_proxy/health HTTP/1.1\r\nHost: {host}\r\n\r\n");
    assert_eq!(client.answer_to("GET").json()["status"], "ok");
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn heads_that_are_too_large_are_refused() {
    let upstream = Upstream::answering(OK);
    let proxy = Setup::in_front_of(&upstream.url())
        .env("HUBSPOT_PROXY_SERVER__MAX_HEADER_SIZE", "4KiB")
        .env("HUBSPOT_PROXY_SERVER__MAX_HEADERS", "20")
        .env("HUBSPOT_PROXY_SERVER__MAX_BODY_SIZE", "1KiB")
        .start();
    let many = "A: b\r\n".repeat(21);
    let long = format!("A: {}\r\n", "b".repeat(4096));
    for (case, lines) in [("many", many.as_str()), ("long", long.as_str())] {
        let text = format!("GET /a HTTP/1.1\r\nHost: {{host}}\r\n{lines}\r\n");
        assert_refused(&exchange(proxy.port, text), 431, "headers-too-large", case);
    }
    let long = format!("/{}", "a".repeat(4096));
    assert_refused(&get(proxy.port, &long), 431, "headers-too-large", "target");
    // Far beyond the parser's own limits it answers without our header, and closes.
    let huge = "A: b\r\n".repeat(2000);
    let answer = exchange(proxy.port, format!("GET /a HTTP/1.1\r\nHost: {{host}}\r\n{huge}\r\n"));
    assert_eq!(answer.status(), 431);
    assert_eq!(upstream.connections(), 0);
    let answer = post(proxy.port, "/a", &"x".repeat(1025));
    assert_refused(&answer, 413, "payload-too-large", "announced");
    assert_eq!(upstream.connections(), 0);
    let chunk = format!("401\r\n{}\r\n0\r\n\r\n", "x".repeat(1025));
    let text =
        format!("POST /a HTTP/1.1\r\nHost: {{host}}\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}");
    assert_refused(&exchange(proxy.port, text), 413, "payload-too-large", "chunked");
    assert_eq!(post(proxy.port, "/a", &"x".repeat(1024)).status(), 200);
}
