//! Web pages that may call the proxy, since their origin is on the list, and all others.

use crate::client::{Answer, exchange};
use crate::h2_client::{block_on, connect, request, send};
use crate::proxy::{Proxy, Setup};
use crate::upstream::Upstream;

const APP: &str = "http://localhost:3000";
const ALLOWED: &str = "http://localhost:3000,https://app.example";

/// An answer with CORS headers of its own, as if HubSpot's were meant for the page.
const PERMISSIVE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nVary: Accept-Encoding\r\n\
     Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Credentials: true\r\n\
     Access-Control-Expose-Headers: X-Other\r\nX-HubSpot-RateLimit-Max: 100\r\n\r\nok";

fn open_to_two() -> (Upstream, Proxy) {
    let upstream = Upstream::answering(PERMISSIVE);
    let proxy = Setup::in_front_of(&upstream.url())
        .env("HUBSPOT_PROXY_SERVER__ALLOWED_ORIGINS", ALLOWED)
        .start();
    (upstream, proxy)
}

fn sent(proxy: &Proxy, method: &str, path: &str, lines: &str) -> Answer {
    let text = format!("{method} {path} HTTP/1.1\r\nHost: {{host}}\r\n{lines}\r\n\r\n");
    exchange(proxy.port, text)
}

/// The CORS headers of an answer, in order.
fn cors(answer: &Answer) -> Vec<String> {
    let all = answer.head.headers.iter().map(|(name, _)| name.to_ascii_lowercase());
    let mut names: Vec<_> = all.filter(|name| name.starts_with("access-control-")).collect();
    names.sort();
    names
}

#[test]
fn a_page_of_an_allowed_origin_is_served_and_can_read_its_answer() {
    let (upstream, proxy) = open_to_two();
    for (method, origin, more) in [
        ("GET", APP, "Sec-Fetch-Site: same-site\r\nSec-Fetch-Mode: cors"),
        ("POST", APP, "Content-Length: 0"),
        ("PATCH", "https://app.example", "Sec-Fetch-Site: cross-site\r\nContent-Length: 0"),
        ("DELETE", "https://app.example", "Referer: https://app.example/page"),
        ("OPTIONS", APP, "X-Not: a-preflight"),
    ] {
        upstream.forget();
        let answer = sent(&proxy, method, "/a", &format!("Origin: {origin}\r\n{more}"));
        assert_eq!(answer.status(), 200, "{method} {origin}: {answer:?}");
        assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
        assert_eq!(answer.head.all("vary"), ["Accept-Encoding", "Origin"]);
        let exposed = answer.header("access-control-expose-headers").unwrap();
        for name in ["X-HubSpot-Proxy", "X-HubSpot-Proxy-Error", "X-HubSpot-RateLimit-Max"] {
            assert!(exposed.split(", ").any(|exposed| exposed == name), "{exposed}");
        }
        assert_eq!(cors(&answer), ["access-control-allow-origin", "access-control-expose-headers"]);
        let seen = upstream.only_request();
        assert_eq!(seen.method(), method);
        assert!(seen.all("origin").is_empty() && seen.all("referer").is_empty(), "{seen:?}");
    }
}

#[test]
fn what_a_page_embeds_without_reading_it_is_known_by_its_referer() {
    let (upstream, proxy) = open_to_two();
    let lines =
        "Sec-Fetch-Site: same-site\r\nSec-Fetch-Dest: image\r\nReferer: http://localhost:3000/";
    let answer = sent(&proxy, "GET", "/a", lines);
    assert_eq!(answer.status(), 200);
    // A browser that keeps this answer must not take it for one that the page may read.
    assert_eq!(answer.head.all("vary"), ["Accept-Encoding", "Origin"]);
    assert!(cors(&answer).is_empty());
    assert_eq!(answer.header("content-security-policy"), Some("sandbox; default-src 'none'"));
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn a_preflight_of_an_allowed_origin_is_answered_here() {
    let (upstream, proxy) = open_to_two();
    let asked = "Access-Control-Request-Method: PATCH\r\n\
         Access-Control-Request-Headers: content-type,x-hubspot-account";
    // An account that does not exist is found out by the request itself.
    for path in ["/crm/v3/objects/contacts/1?x=y", "/@nobody/a", "/oauth/v1/token"] {
        let answer = sent(&proxy, "OPTIONS", path, &format!("Origin: {APP}\r\n{asked}"));
        assert_eq!(answer.status(), 204, "{path}: {answer:?}");
        assert_eq!(answer.header("access-control-allow-origin"), Some(APP));
        assert_eq!(answer.header("access-control-allow-methods"), Some("PATCH"));
        let names = answer.header("access-control-allow-headers");
        assert_eq!(names, Some("content-type,x-hubspot-account"));
        assert_eq!(answer.header("access-control-max-age"), Some("600"));
        assert_eq!(answer.header("vary"), Some("Origin"));
        assert_eq!(answer.header("access-control-allow-credentials"), None);
        assert_eq!(answer.header("access-control-allow-private-network"), None);
        assert_eq!(answer.header("content-length"), None);
    }
    let private = "Access-Control-Request-Private-Network: true";
    let lines = format!("Origin: {APP}\r\nAccess-Control-Request-Method: GET\r\n{private}");
    let answer = sent(&proxy, "OPTIONS", "/a", &lines);
    assert_eq!(answer.header("access-control-allow-private-network"), Some("true"));
    let lines = format!("Origin: https://evil.example\r\n{asked}\r\n{private}");
    let answer = sent(&proxy, "OPTIONS", "/a", &lines);
    assert_eq!((answer.status(), answer.refusal()), (403, Some("origin-not-allowed")));
    assert!(cors(&answer).is_empty(), "{answer:?}");
    let rebound = format!(
        "OPTIONS /a HTTP/1.1\r\nHost: evil.example:{}\r\nOrigin: {APP}\r\n{asked}\r\n\r\n",
        proxy.port
    );
    assert_eq!(exchange(proxy.port, rebound).refusal(), Some("host-not-allowed"));
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn a_refusal_can_be_read_by_the_page_that_gets_it() {
    let (upstream, proxy) = open_to_two();
    for (path, code) in [("/oauth/v1/token", "credential-path-blocked"), ("/_proxy/x", "not-found")]
    {
        let answer = sent(&proxy, "GET", path, &format!("Origin: {APP}"));
        assert_eq!(answer.refusal(), Some(code));
        assert_eq!(answer.header("access-control-allow-origin"), Some(APP));
        assert_eq!(answer.header("vary"), Some("Origin"));
        let exposed = answer.header("access-control-expose-headers").unwrap();
        assert!(exposed.contains("X-HubSpot-Proxy-Error"));
    }
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn origins_are_the_same_over_http_2() {
    let (upstream, proxy) = open_to_two();
    let port = proxy.port;
    block_on(async {
        let client = connect(port).await;
        let ask = |method: &str, origin: &str| {
            request(method, port, "/a")
                .header("origin", origin)
                .header("sec-fetch-site", "cross-site")
                .header("access-control-request-method", "PUT")
                .body(())
                .unwrap()
        };
        for origin in ["https://evil.example", "null", "http://localhost:30000"] {
            for method in ["POST", "OPTIONS"] {
                let answer = send(&client, ask(method, origin), None).await.unwrap();
                assert_eq!(answer.status, 403, "{origin}: {answer:?}");
                assert!(!answer.headers.contains_key("access-control-allow-origin"));
            }
        }
        let preflight = send(&client, ask("OPTIONS", APP), None).await.unwrap();
        assert_eq!(preflight.status, 204);
        assert_eq!(preflight.headers["access-control-allow-methods"], "PUT");
        assert_eq!(upstream.connections(), 0);
        let answer = send(&client, ask("PUT", APP), None).await.unwrap();
        assert_eq!(answer.status, 200);
        assert_eq!(answer.headers["access-control-allow-origin"], APP);
    });
    assert_eq!(upstream.only_request().method(), "PUT");
}

#[test]
fn without_a_list_no_answer_speaks_of_origins() {
    let upstream = Upstream::answering(PERMISSIVE);
    let proxy = Setup::in_front_of(&upstream.url()).start();
    let answer = sent(&proxy, "GET", "/a", "Sec-Fetch-Site: none\r\nSec-Fetch-Dest: document");
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.head.all("vary"), ["Accept-Encoding"]);
    assert!(cors(&answer).is_empty(), "{answer:?}");
}
