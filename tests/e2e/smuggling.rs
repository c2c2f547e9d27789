//! Requests one behind the other, and bodies that break off. Doubtful framing is in `attacks`.

use crate::client::Client;
use crate::proxy::Setup;
use crate::upstream::{OK, Upstream};
use crate::waiting::until;

#[test]
fn requests_sent_in_one_go_are_answered_in_turn() {
    let upstream = Upstream::start(|peer| {
        while let Some(request) = peer.request() {
            let body = format!("{} {}", request.target(), String::from_utf8_lossy(&request.body));
            let length = body.len();
            peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}"));
        }
    });
    let proxy = Setup::in_front_of(&upstream.url()).start();
    let mut client = Client::connect(proxy.port);
    client.send(
        "POST /1 HTTP/1.1\r\nHost: {host}\r\nContent-Length: 3\r\n\r\nabc\
         GET /2 HTTP/1.1\r\nHost: {host}\r\n\r\n\
         POST /3 HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nxy\r\n0\r\n\r\n\
         HEAD /4 HTTP/1.1\r\nHost: {host}\r\n\r\n\
         GET /_proxy/health HTTP/1.1\r\nHost: {host}\r\n\r\n",
    );
    assert_eq!(client.answer_to("POST").text(), "/1 abc");
    assert_eq!(client.answer_to("GET").text(), "/2 ");
    assert_eq!(client.answer_to("POST").text(), "/3 xy");
    assert_eq!(client.answer_to("HEAD").header("content-length"), Some("3"));
    assert_eq!(client.answer_to("GET").status(), 200);
}

#[test]
fn the_body_of_a_refused_request_is_never_taken_for_a_request() {
    let upstream = Upstream::answering(OK);
    let proxy = Setup::in_front_of(&upstream.url()).start();
    let inner = format!("GET /inner HTTP/1.1\r\nHost: localhost:{}\r\n\r\n", proxy.port);
    let length = inner.len();
    let chunk = format!("{length:x}\r\n{inner}\r\n0\r\n\r\n");
    for first in ["POST /oauth/v1/token", "POST /a/../b", "POST /_proxy/health", "TRACE /a"] {
        for (framing, body) in [
            (format!("Content-Length: {length}"), &inner),
            ("Transfer-Encoding: chunked".to_owned(), &chunk),
            (format!("Content-Length: {length}\r\nExpect: 100-continue"), &inner),
            (format!("Content-Length: {length}\r\nOrigin: null"), &inner),
        ] {
            let mut client = Client::connect(proxy.port);
            client.send(format!("{first} HTTP/1.1\r\nHost: {{host}}\r\n{framing}\r\n\r\n{body}"));
            let answer = client.answer_to("POST");
            assert!(answer.status() >= 400, "{first}: {answer:?}");
            let next = client.try_answer_to("GET");
            assert!(next.is_none(), "{first} {framing}: {next:?}");
        }
    }
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn a_body_that_the_client_breaks_off_never_looks_whole_to_the_upstream() {
    let upstream = Upstream::answering(OK);
    let proxy = Setup::in_front_of(&upstream.url()).start();
    for (framing, part) in [
        ("Content-Length: 10", "hello"),
        ("Transfer-Encoding: chunked", "5\r\nhello\r\n"),
        ("Transfer-Encoding: chunked", "a\r\nhello"),
        ("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n"),
        ("Transfer-Encoding: chunked", "5\r\nhello\r\nxyz\r\n"),
    ] {
        upstream.forget();
        let mut client = Client::connect(proxy.port);
        client.send(format!("POST /a HTTP/1.1\r\nHost: {{host}}\r\n{framing}\r\n\r\n{part}"));
        client.stream.shutdown(std::net::Shutdown::Write).unwrap();
        let answer = client.try_answer_to("POST");
        assert!(answer.is_none_or(|answer| answer.status() == 400), "{part:?}");
        until("the upstream is let go", || upstream.open() == 0);
        assert!(
            upstream.requests().iter().all(|r| !r.whole),
            "{part:?}: {:?}",
            upstream.requests()
        );
    }
}
