//! Small things of a message that have to arrive as they were sent.

use crate::client::{Client, exchange, get};
use crate::h2_client::{block_on, connect, request, send};
use crate::proxy::Setup;
use crate::upstream::{OK, Upstream};

#[test]
fn header_values_pass_byte_for_byte() {
    let upstream = Upstream::answering(
        &b"HTTP/1.1 200 OK\r\nX-Latin: caf\xe9\r\nX-Empty:\r\nX-Many: 1\r\nX-Many: 2\r\nX-Tab: a\tb\r\nContent-Length: 2\r\n\r\nok"[..],
    );
    let proxy = Setup::in_front_of(&upstream.url()).start();
    let mut client = Client::connect(proxy.port);
    client.send(&b"GET /a HTTP/1.1\r\nHost: {host}\r\nX-Latin: caf\xe9\r\nX-Empty:\r\nX-Many: 1\r\nX-Many: 2\r\nX-Tab: a\tb\r\n\r\n"[..]);
    let answer = client.answer_to("GET");
    let latin = "caf\u{fffd}";
    assert_eq!(answer.head.all("x-latin"), [latin]);
    assert_eq!((answer.head.all("x-empty"), answer.head.all("x-many")), (vec![""], vec!["1", "2"]));
    let seen = upstream.only_request();
    assert_eq!(seen.all("x-latin"), [latin]);
    assert_eq!((seen.all("x-empty"), seen.all("x-many")), (vec![""], vec!["1", "2"]));
    assert_eq!((seen.all("x-tab"), answer.head.all("x-tab")), (vec!["a\tb"], vec!["a\tb"]));
    let bytes = upstream.bytes();
    assert!(crate::client::find(&bytes, b"caf\xe9").is_some());
}

#[test]
fn an_empty_body_is_announced_as_the_client_did() {
    let upstream = Upstream::answering(OK);
    let proxy = Setup::in_front_of(&upstream.url()).start();
    for method in ["POST", "PUT", "PATCH", "DELETE", "GET"] {
        upstream.forget();
        let text = format!("{method} /a HTTP/1.1\r\nHost: {{host}}\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(exchange(proxy.port, text).status(), 200);
        let seen = upstream.only_request();
        assert_eq!(seen.all("content-length"), ["0"], "{method}");
        assert!(seen.all("transfer-encoding").is_empty(), "{method}");
    }
}

#[test]
fn an_empty_body_over_http_2_is_announced() {
    let upstream = Upstream::answering(OK);
    let proxy = Setup::in_front_of(&upstream.url()).start();
    for method in ["POST", "PUT", "PATCH"] {
        upstream.forget();
        block_on(async {
            let client = connect(proxy.port).await;
            let request = request(method, proxy.port, "/a").body(()).unwrap();
            assert_eq!(send(&client, request, None).await.unwrap().status, 200);
        });
        // Servers may ask for a length where a body is usual (RFC 9110, section 8.6).
        let seen = upstream.only_request();
        assert_eq!(seen.all("content-length"), ["0"], "{method} over HTTP/2");
    }
}

#[test]
fn methods_nobody_thought_of_pass() {
    let upstream = Upstream::answering(OK);
    let proxy = Setup::in_front_of(&upstream.url()).start();
    for method in ["PATCH", "OPTIONS", "PROPFIND", "QUERY", "M-SEARCH"] {
        upstream.forget();
        let text = format!("{method} /a HTTP/1.1\r\nHost: {{host}}\r\n\r\n");
        assert_eq!(exchange(proxy.port, text).status(), 200, "{method}");
        assert_eq!(upstream.only_request().method(), method);
    }
}

#[test]
fn error_answers_of_the_upstream_pass_as_they_are() {
    for status in [400, 401, 403, 404, 409, 413, 429, 431, 500, 502, 503, 504, 520, 599] {
        let body = format!("{{\"status\":\"error\",\"category\":\"C{status}\"}}");
        let upstream = Upstream::answering(format!(
            "HTTP/1.1 {status} Some Reason\r\nRetry-After: 7\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        let proxy = Setup::in_front_of(&upstream.url()).start();
        let answer = get(proxy.port, "/a");
        assert_eq!((answer.status(), answer.text()), (status, body.as_str()));
        assert_eq!(answer.head.reason, "Some Reason");
        assert_eq!((answer.refusal(), answer.header("x-should-retry")), (None, None));
        assert_eq!(answer.header("retry-after"), Some("7"));
        assert_eq!(upstream.requests().len(), 1, "{status}: not repeated");
    }
}

#[test]
fn a_client_that_asks_to_close_is_closed() {
    let upstream = Upstream::answering(OK);
    let proxy = Setup::in_front_of(&upstream.url()).start();
    for target in ["/a", "/_proxy/health", "/oauth/x"] {
        let mut client = Client::connect(proxy.port);
        client
            .send(format!("GET {target} HTTP/1.1\r\nHost: {{host}}\r\nConnection: close\r\n\r\n"));
        assert_eq!(client.answer_to("GET").header("connection"), Some("close"), "{target}");
        assert!(client.is_closed(), "{target}");
    }
    let mut client = Client::connect(proxy.port);
    for _ in 0..2 {
        client.send("GET /a HTTP/1.0\r\nHost: {host}\r\nConnection: keep-alive\r\n\r\n");
        assert_eq!(client.answer_to("GET").status(), 200);
    }
}

#[test]
fn who_is_told_that_an_old_path_is_not_there_gets_a_hint() {
    let upstream = Upstream::start(|peer| {
        while let Some(request) = peer.request() {
            let status =
                if request.target().ends_with("/gone") { "410 Gone" } else { "404 Not Found" };
            let status = if request.target().ends_with("/here") { "200 OK" } else { status };
            peer.send(format!("HTTP/1.1 {status}\r\nContent-Length: 4\r\n\r\nbody"));
        }
    });
    let proxy = Setup::in_front_of(&upstream.url()).start();
    for (target, hinted) in [
        ("/contacts/v1/contact/vid/1", true),
        ("/Contacts/V1/lists/gone", true),
        ("/@default/deals/v1/deal?a=b", true),
        ("/contacts/v1/here", false),
        ("/crm/v3/objects/contacts/1", false),
    ] {
        let answer = get(proxy.port, target);
        let header = answer.header("x-hubspot-proxy").unwrap();
        assert_eq!(header.ends_with("; account=default; hint=old-path"), hinted, "{header}");
        assert_eq!((answer.text(), answer.refusal()), ("body", None));
    }
    get(proxy.port, "/contacts/v1/again");
    let told = "use /crm/objects/2026-03/contacts instead";
    crate::waiting::until("the log says it", || proxy.stderr().contains(told));
    assert_eq!(proxy.stderr().matches(told).count(), 1);
}
