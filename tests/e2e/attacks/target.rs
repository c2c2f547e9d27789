//! Targets that two readers could take for two different things.

use super::Expected::{Local, Malformed, Refused};
use super::{ask, row, run, sent};

const BAD: super::Expected = Refused(400, "bad-request-target");

const AMBIGUOUS: [&str; 48] = [
    "/a/../b",
    "/a/..",
    "/./a",
    "/a/.",
    "/a/%2e%2e/b",
    "/a/.%2E/b",
    "/a/%2e./b",
    "/a/..;x/b",
    "/a/..%3bx",
    "/a/..%00",
    "/a%2f..%2fb",
    "/a/%2e",
    "/a\\b",
    "/\\evil.example/a",
    "/a%5cb",
    "/a%5C..%5Cb",
    "/a%00/b",
    "/a%01",
    "/a%0d%0aX:y",
    "/a%0a",
    "/a%09",
    "/a%1f",
    "/a%7f",
    "/a%",
    "/a%4",
    "/a%zz",
    "/a%u002e",
    "/a%252e%252e/b",
    "/a/%252e%252e",
    "/a/%25252e%25252e",
    "/a%253b/b",
    "/a%2525/b",
    "/a/b%252fc",
    "/a/b%255cc",
    "/a/%c0%ae%c0%ae/b",
    "/a/%C0%AFb",
    "/a/%e0%80%ae",
    "/a;x%2Fb/c",
    "/a;%2f..%2fb",
    "/a%3b%2fb",
    "/a%00%2fb",
    "/@main/../b",
    "/@main/@main/a",
    "/@main/@other/a",
    "//@main/a",
    "///@main/a",
    "/@main//@main/a",
    "/@main/%2e%2e/@other/a",
];

#[test]
fn a_target_is_refused_or_sent_as_what_it_was_judged_as() {
    let mut rows = Vec::new();
    rows.extend(AMBIGUOUS.map(|target| row(ask("GET", target, ""), BAD)));
    for (target, expected) in [
        ("/a;v=1/b", "/a;v=1/b"),
        ("/a%2Fb", "/a%2Fb"),
        ("/a/100%25", "/a/100%25"),
        ("/a//b/", "/a//b/"),
        ("/a?b=/../c&d=%2e%2e", "/a?b=/../c&d=%2e%2e"),
        ("/a#/../oauth", "/a"),
        ("//evil.example/x", "/evil.example/x"),
        ("///evil.example/x?y=//z", "/evil.example/x?y=//z"),
        ("/@main//evil.example/x", "/evil.example/x"),
        ("/http://evil.example/x", "/http://evil.example/x"),
        ("/%40other/a", "/%40other/a"),
        ("/a/@other/b", "/a/@other/b"),
        ("/@main", "/"),
        ("/@main?x=1", "/?x=1"),
        ("http://{host}/a?b=1", "/a?b=1"),
        ("http://{host}", "/"),
        ("HTTP://{host}//x", "/x"),
    ] {
        rows.push(row(ask("GET", target, ""), sent(&format!("GET {expected}"))));
    }
    for (target, host, status, code) in [
        ("http://evil.example/a", "{host}", 400, "bad-request-target"),
        ("http://evil.example/a", "evil.example", 403, "host-not-allowed"),
        ("https://api.hubapi.com/a", "{host}", 400, "bad-request-target"),
        ("http://127.0.0.1:{port}/a", "{host}", 400, "bad-request"),
        ("http://evil@{host}/a", "{host}", 400, "bad-request-target"),
        ("http://{host}@evil.example/a", "{host}", 400, "bad-request-target"),
        ("http://{host}/a/../b", "{host}", 400, "bad-request-target"),
    ] {
        let text = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        rows.push(row(text, Refused(status, code)));
    }
    for method in ["TRACE", "CONNECT"] {
        let target = if method == "TRACE" { "/a" } else { "{host}" };
        rows.push(row(ask(method, target, ""), Refused(405, "method-not-allowed")));
    }
    let connect = "CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n";
    rows.push(row(connect, Refused(403, "host-not-allowed")));
    rows.push(row(ask("OPTIONS", "*", ""), BAD));
    rows.push(row(ask("GET", "a", ""), BAD));
    for line in [
        "GET  /a HTTP/1.1",
        "GET /a  HTTP/1.1",
        "GET /a b HTTP/1.1",
        "GET /a HTTP/2.0",
        "GET /a HTTP/1.2",
        "GET /a",
        "GET\t/a\tHTTP/1.1",
        " GET /a HTTP/1.1",
        "G@T /a HTTP/1.1",
        "GET /a\0 HTTP/1.1",
        "GET /a\x7f HTTP/1.1",
        "GET /a HTTP/1.1 x",
        "GET /a http/1.1",
        "GET http:///a HTTP/1.1",
    ] {
        rows.push(row(format!("{line}\r\nHost: {{host}}\r\n\r\n"), Malformed));
    }
    for target in ["/_proxy/health", "/@main/_proxy/health", "//_proxy/ready"] {
        rows.push(row(ask("GET", target, ""), Local(200)));
    }
    // The dashboard, which has no data in it.
    rows.push(row(ask("GET", "/_proxy/", ""), Local(200)));
    rows.push(row(ask("GET", "/_proxy", ""), Local(308)));
    for target in [
        "/_proxy/nothing",
        "/_PROXY/x",
        "/%5fproxy/x",
        "/_proxy%2fhealth%2fx",
        "/_proxy;a/x",
        "/favicon.ico",
        "/FAVICON.ICO",
        "/@other/favicon.ico",
    ] {
        rows.push(row(ask("GET", target, ""), Refused(404, "not-found")));
    }
    run(|setup| setup, &rows);
}
