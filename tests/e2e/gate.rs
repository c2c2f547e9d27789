//! Who may talk to the proxy, and what it never sends on.

use std::io::{Read, Write};
use std::net::TcpStream;

use http::Method;

use crate::client::{Answer, Client, exchange, get, post};
use crate::h2_client::{block_on, connect, request, send};
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
fn only_a_single_host_header_with_a_loopback_name_and_our_port_gets_through() {
    let (upstream, proxy) = guarded();
    let port = proxy.port;
    let cases = [
        (format!("Host: localhost:{port}"), None),
        (format!("host: LocalHost:{port}"), None),
        (format!("Host: localhost.:{port}"), None),
        (format!("Host: 127.0.0.1:{port}"), None),
        (format!("Host: [::1]:{port}"), None),
        ("Host: evil.example".to_owned(), Some((403, "host-not-allowed"))),
        (format!("Host: evil.example:{port}"), Some((403, "host-not-allowed"))),
        (format!("Host: localhost.evil.example:{port}"), Some((403, "host-not-allowed"))),
        (format!("Host: 127.0.0.1.nip.io:{port}"), Some((403, "host-not-allowed"))),
        (format!("Host: 127.1:{port}"), Some((403, "host-not-allowed"))),
        (format!("Host: 0.0.0.0:{port}"), Some((403, "host-not-allowed"))),
        (format!("Host: [::ffff:127.0.0.1]:{port}"), Some((403, "host-not-allowed"))),
        (format!("Host: user@localhost:{port}"), Some((403, "host-not-allowed"))),
        (format!("Host: localhost:{}", port ^ 1), Some((403, "host-not-allowed"))),
        ("Host: localhost".to_owned(), Some((403, "host-not-allowed"))),
        ("Host: ".to_owned(), Some((403, "host-not-allowed"))),
        ("X-No: host".to_owned(), Some((400, "bad-request"))),
        (format!("Host: localhost:{port}\r\nHost: localhost:{port}"), Some((400, "bad-request"))),
        (format!("Host: localhost:{port}\r\nHost: evil.example"), Some((400, "bad-request"))),
        (format!("Host: localhost:{port}, evil.example"), Some((403, "host-not-allowed"))),
    ];
    for (line, refusal) in &cases {
        for path in ["/crm/v3/x", "/_proxy/health"] {
            upstream.forget();
            let answer = exchange(port, format!("GET {path} HTTP/1.1\r\n{line}\r\n\r\n"));
            match refusal {
                None => assert_eq!(answer.status(), 200, "{line}"),
                Some((status, code)) => assert_refused(&answer, *status, code, line),
            }
            let forwarded = refusal.is_none() && path == "/crm/v3/x";
            assert_eq!(upstream.requests().len(), usize::from(forwarded), "{line}");
        }
    }
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
fn the_absolute_form_is_taken_for_our_own_name_alone() {
    let (upstream, proxy) = guarded();
    let own = format!("localhost:{}", proxy.port);
    let cases = [
        (format!("http://{own}/a?b=1"), own.as_str(), None),
        ("http://evil.example/a".to_owned(), own.as_str(), Some((400, "bad-request-target"))),
        ("http://evil.example/a".to_owned(), "evil.example", Some((403, "host-not-allowed"))),
        ("https://api.hubapi.com/a".to_owned(), own.as_str(), Some((400, "bad-request-target"))),
        (format!("http://127.0.0.1:{}/a", proxy.port), own.as_str(), Some((400, "bad-request"))),
        (format!("http://evil@{own}/a"), own.as_str(), Some((400, "bad-request-target"))),
    ];
    for (target, host, refusal) in &cases {
        upstream.forget();
        let answer = exchange(proxy.port, format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        match refusal {
            Some((status, code)) => {
                assert_refused(&answer, *status, code, target);
                assert!(upstream.requests().is_empty(), "{target}");
            }
            None => {
                let seen = upstream.only_request();
                assert_eq!(seen.line, "GET /a?b=1 HTTP/1.1");
                let expected = format!("localhost:{}", upstream.port);
                assert_eq!(seen.all("host"), [expected]);
            }
        }
    }
}

#[test]
fn a_target_that_looks_like_another_host_goes_to_the_upstream_as_a_path() {
    let (upstream, proxy) = guarded();
    for (target, expected) in [
        ("//evil.example/x", "/evil.example/x"),
        ("///evil.example/x?y=//z", "/evil.example/x?y=//z"),
        ("/@default//evil.example/x", "/evil.example/x"),
        ("/http://evil.example/x", "/http://evil.example/x"),
    ] {
        upstream.forget();
        assert_eq!(get(proxy.port, target).status(), 200, "{target}");
        let seen = upstream.only_request();
        assert_eq!(seen.target(), expected, "{target}");
        assert_eq!(seen.all("host"), [format!("localhost:{}", upstream.port)], "{target}");
    }
}

#[test]
fn methods_and_targets_that_are_not_for_an_origin_are_refused() {
    let (upstream, proxy) = guarded();
    let answer = exchange(proxy.port, "TRACE /a HTTP/1.1\r\nHost: {host}\r\n\r\n");
    assert_refused(&answer, 405, "method-not-allowed", "TRACE");
    assert!(answer.header("allow").unwrap().contains("GET"));
    let answer = exchange(proxy.port, "OPTIONS * HTTP/1.1\r\nHost: {host}\r\n\r\n");
    assert_refused(&answer, 400, "bad-request-target", "asterisk");
    for target in ["evil.example:443", "{host}"] {
        let text = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n");
        let answer = exchange(proxy.port, text);
        assert!(matches!(answer.status(), 400 | 403 | 405), "{target}: {answer:?}");
        assert!(answer.refusal().is_some(), "{target}: {answer:?}");
    }
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn a_web_page_gets_nothing_through() {
    let (upstream, proxy) = guarded();
    let port = proxy.port;
    let own = format!("Origin: http://localhost:{port}");
    let referer = format!("Referer: http://localhost:{port}.evil.example/");
    let userinfo = format!("Referer: http://localhost:{port}@evil.example/");
    let refused = [
        // A blind cross-site POST without a body, which browsers send without asking first.
        ("POST", "Origin: https://evil.example\r\nContent-Length: 0"),
        ("POST", "Origin: https://evil.example"),
        ("POST", "Origin: null"),
        ("POST", "Origin: "),
        ("POST", own.as_str()),
        ("GET", own.as_str()),
        ("GET", "Sec-Fetch-Site: cross-site"),
        ("GET", "Sec-Fetch-Site: same-site"),
        ("GET", "Sec-Fetch-Site: same-origin"),
        ("GET", "Sec-Fetch-Site: NONE"),
        ("GET", "Sec-Fetch-Site: none\r\nSec-Fetch-Site: cross-site"),
        ("POST", "Sec-Fetch-Site: none\r\nContent-Length: 0"),
        ("DELETE", "Sec-Fetch-Site: none"),
        ("GET", "Referer: https://evil.example/page"),
        ("GET", referer.as_str()),
        ("GET", userinfo.as_str()),
        ("GET", "Sec-Fetch-Site: none\r\nReferer: https://evil.example/"),
        ("OPTIONS", "Origin: https://evil.example\r\nAccess-Control-Request-Method: GET"),
    ];
    for (method, lines) in refused {
        for path in ["/crm/v3/objects/contacts", "/%5fproxy/health"] {
            let text = format!("{method} {path} HTTP/1.1\r\nHost: {{host}}\r\n{lines}\r\n\r\n");
            let answer = exchange(port, text);
            assert_refused(&answer, 403, "origin-not-allowed", lines);
            assert_eq!(answer.header("access-control-allow-origin"), None, "{lines}");
        }
    }
    assert_eq!(upstream.connections(), 0);
    for lines in ["Sec-Fetch-Mode: cors", "Sec-Fetch-Site: none", "X-None: 1"] {
        let text = format!("GET /a HTTP/1.1\r\nHost: {{host}}\r\n{lines}\r\n\r\n");
        assert_eq!(exchange(port, text).status(), 200, "{lines}");
    }
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
fn dot_segments_and_ambiguous_bytes_are_refused_in_every_spelling() {
    let (upstream, proxy) = guarded();
    let refused = [
        "/a/../b",
        "/a/..",
        "/./a",
        "/a/%2e%2e/b",
        "/a/.%2E/b",
        "/a/..;x/b",
        "/a/..%3bx",
        "/a%2f..%2fb",
        "/a/%2e",
        "/a\\b",
        "/a%5cb",
        "/a%5C..%5Cb",
        "/a%00/b",
        "/a%0d%0aX:y",
        "/a%09",
        "/a%7f",
        "/a%",
        "/a%4",
        "/a%zz",
        "/a%252e%252e/b",
        "/a%253b/b",
        "/@default/../oauth/v1/token",
        "/@default/@default/a",
        "//@default/a",
        "/@default//@default/a",
    ];
    for target in refused {
        let answer = get(proxy.port, target);
        assert_refused(&answer, 400, "bad-request-target", target);
    }
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn credential_paths_are_blocked_in_every_spelling() {
    let (upstream, proxy) = guarded();
    let blocked = [
        ("GET", "/oauth"),
        ("GET", "/oauth/v1/access-tokens/secret"),
        ("POST", "/oauth/v1/token"),
        ("POST", "/oauth/2026-03/token"),
        ("POST", "//oauth/v1/token"),
        ("POST", "/@default/oauth/v1/token"),
        ("POST", "/@default//oauth/v1/token"),
        ("POST", "/OAuth/v1/token"),
        ("POST", "/%6fauth/v1/token"),
        ("POST", "/%4Fauth/v1/token"),
        ("POST", "/oauth%2fv1%2ftoken"),
        ("POST", "/%2foauth/v1/token"),
        ("POST", "/;a=b/oauth/v1/token"),
        ("POST", "/oauth;a=b/v1/token"),
        ("POST", "/oauth?x=y"),
        ("POST", "/oauth/"),
        ("POST", "/localdevauth/v1/auth/refresh"),
        ("POST", "/LocalDevAuth/v1/auth/refresh"),
        ("DELETE", "/appinstalls/v3/external-install"),
        ("DELETE", "/appinstalls/v3/external-install/?a=b"),
        ("DELETE", "/appinstalls/v3/External%2dinstall;x"),
    ];
    for (method, target) in blocked {
        let length = if method == "POST" { "Content-Length: 0\r\n" } else { "" };
        let text = format!("{method} {target} HTTP/1.1\r\nHost: {{host}}\r\n{length}\r\n");
        let answer = exchange(proxy.port, text);
        assert_refused(&answer, 403, "credential-path-blocked", target);
    }
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn local_paths_are_answered_here_in_every_spelling() {
    let (upstream, proxy) = guarded();
    for target in ["/_proxy/health", "/_proxy/ready", "/@default/_proxy/health", "//_proxy/health"]
    {
        let answer = get(proxy.port, target);
        assert_eq!((answer.status(), answer.refusal()), (200, None), "{target}");
    }
    for target in [
        "/_proxy",
        "/_proxy/",
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

#[test]
fn the_gate_is_the_same_over_http_2() {
    let (upstream, proxy) = guarded();
    let port = proxy.port;
    block_on(async {
        let client = connect(port).await;
        let own = || request("GET", port, "/a");
        let elsewhere =
            |uri: &str| http::Request::builder().method(Method::GET).uri(uri.to_owned());
        let trace = request("TRACE", port, "/a");
        let cases = [
            (own().header("origin", "https://evil.example"), 403, "origin-not-allowed"),
            (own().header("sec-fetch-site", "cross-site"), 403, "origin-not-allowed"),
            (own().header("host", "evil.example"), 403, "host-not-allowed"),
            (own().header("host", format!("127.0.0.1:{port}")), 400, "bad-request"),
            (elsewhere("http://evil.example/a"), 403, "host-not-allowed"),
            (elsewhere(&format!("http://localhost:{}/a", port ^ 1)), 403, "host-not-allowed"),
            (request("GET", port, "/a/%2e%2e/b"), 400, "bad-request-target"),
            (request("POST", port, "/oauth/v1/token"), 403, "credential-path-blocked"),
            (request("GET", port, "/_proxy/x"), 404, "not-found"),
            (trace, 405, "method-not-allowed"),
        ];
        for (case, (builder, status, code)) in cases.into_iter().enumerate() {
            let answer = send(&client, builder.body(()).unwrap(), None).await.unwrap();
            assert_eq!(answer.status, status, "case {case}: {answer:?}");
            assert_eq!(answer.refusal(), Some(code), "case {case}");
        }
        assert_eq!(upstream.connections(), 0);
        let answer = send(&client, own().body(()).unwrap(), None).await.unwrap();
        assert_eq!(answer.status, 200);
        assert_eq!(answer.body.unwrap(), b"ok");
    });
    let seen = upstream.only_request();
    assert_eq!(seen.line, "GET /a HTTP/1.1");
}
