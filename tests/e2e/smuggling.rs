//! Requests whose ends two readers could see in different places.

use crate::client::Client;
use crate::proxy::Setup;
use crate::upstream::{OK, Upstream};
use crate::waiting::until;

/// A request, and the body with which it may go on: `None` is for a refusal. Where both framings
/// are there, chunked holds and the connection ends (RFC 9112, section 6.3).
struct Case {
    name: &'static str,
    request: &'static str,
    body: Option<&'static str>,
}

const INNER: &str = "GET /smuggled HTTP/1.1\r\nHost: {host}\r\n\r\n";

const CASES: &[Case] = &[
    Case {
        name: "length before chunked",
        request: "POST /a HTTP/1.1\r\nHost: {host}\r\nContent-Length: 6\r\n\
            Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        body: Some(""),
    },
    Case {
        name: "chunked before a length that is too short",
        request: "POST /a HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\
            Content-Length: 2\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        body: Some("hello"),
    },
    Case {
        name: "a length that is too short before chunked",
        request: "POST /a HTTP/1.1\r\nHost: {host}\r\nContent-Length: 2\r\n\
            Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        body: Some("hello"),
    },
    Case {
        name: "two lengths that differ",
        request: "POST /a HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\n\
            Content-Length: 0\r\n\r\nhello",
        body: None,
    },
    Case {
        name: "the same length twice",
        request: "POST /a HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\n\
            Content-Length: 5\r\n\r\nhello",
        body: Some("hello"),
    },
    Case {
        name: "a list of lengths",
        request: "POST /a HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5, 5\r\n\r\nhello",
        body: None,
    },
    Case {
        name: "a length with a sign",
        request: "POST /a HTTP/1.1\r\nHost: {host}\r\nContent-Length: +5\r\n\r\nhello",
        body: None,
    },
    Case {
        name: "a hexadecimal length",
        request: "POST /a HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0x5\r\n\r\nhello",
        body: None,
    },
    Case {
        name: "a length that no number holds",
        request: "POST /a HTTP/1.1\r\nHost: {host}\r\n\
            Content-Length: 18446744073709551621\r\n\r\nhello",
        body: None,
    },
    Case {
        name: "gzip, chunked",
        request: "POST /a HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: gzip, chunked\r\n\r\n\
            5\r\nhello\r\n0\r\n\r\n",
        body: None,
    },
    Case {
        name: "chunked twice",
        request: "POST /a HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\
            Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        body: None,
    },
    Case {
        name: "chunked, identity",
        request: "POST /a HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked, identity\r\n\r\n\
            5\r\nhello\r\n0\r\n\r\n",
        body: None,
    },
    Case {
        name: "a coding nobody knows",
        request: "POST /a HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: xchunked\r\n\r\n\
            5\r\nhello\r\n0\r\n\r\n",
        body: None,
    },
    Case {
        name: "a space before the colon",
        request: "POST /a HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding : chunked\r\n\
            Content-Length: 5\r\n\r\nhello",
        body: None,
    },
    Case {
        name: "a folded line",
        request: "POST /a HTTP/1.1\r\nHost: {host}\r\nX: y\r\n Transfer-Encoding: chunked\r\n\
            Content-Length: 5\r\n\r\nhello",
        body: None,
    },
    Case {
        name: "a bare carriage return in a value",
        request: "POST /a HTTP/1.1\r\nHost: {host}\r\nX: y\rTransfer-Encoding: chunked\r\n\
            Content-Length: 5\r\n\r\nhello",
        body: None,
    },
    Case {
        name: "NUL in a value",
        request: "POST /a HTTP/1.1\r\nHost: {host}\r\nX: y\0z\r\nContent-Length: 5\r\n\r\nhello",
        body: None,
    },
    Case {
        name: "chunk extensions",
        request: "POST /a HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n\
            5;a=b;c=\"d\"\r\nhello\r\n0;e\r\n\r\n",
        body: Some("hello"),
    },
    Case {
        name: "capitals in the coding",
        request: "POST /a HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: Chunked\r\n\r\n\
            5\r\nhello\r\n0\r\n\r\n",
        body: Some("hello"),
    },
    Case {
        name: "a chunk size with a sign",
        request: "POST /a HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n\
            +5\r\nhello\r\n0\r\n\r\n",
        body: None,
    },
    Case {
        name: "a chunk size with 0x",
        request: "POST /a HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n\
            0x5\r\nhello\r\n0\r\n\r\n",
        body: None,
    },
    Case {
        name: "a chunk size that no number holds",
        request: "POST /a HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n\
            10000000000000005\r\nhello\r\n0\r\n\r\n",
        body: None,
    },
    Case {
        name: "a chunk longer than it says",
        request: "POST /a HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n\
            5\r\nhelloworld\r\n0\r\n\r\n",
        body: None,
    },
    Case {
        name: "bare line feeds in chunks",
        request: "POST /a HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n\
            5\nhello\n0\n\n",
        body: None,
    },
    Case {
        name: "chunked in HTTP/1.0",
        request: "POST /a HTTP/1.0\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n\
            5\r\nhello\r\n0\r\n\r\n",
        body: None,
    },
    Case {
        name: "bare line feeds in the head",
        request: "POST /a HTTP/1.1\nHost: {host}\nContent-Length: 5\n\nhello",
        body: Some("hello"),
    },
    Case {
        name: "a GET with a body",
        request: "GET /a HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\n\r\nhello",
        body: Some("hello"),
    },
    Case {
        name: "a GET with chunks",
        request: "GET /a HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n\
            5\r\nhello\r\n0\r\n\r\n",
        body: Some("hello"),
    },
];

#[test]
fn a_request_with_doubtful_framing_is_refused_or_sent_on_as_exactly_one() {
    let upstream = Upstream::answering(OK);
    let proxy = Setup::in_front_of(&upstream.url()).start();
    let mut wrong = Vec::new();
    for case in CASES {
        upstream.forget();
        let mut client = Client::connect(proxy.port);
        client.send(format!("{}{INNER}", case.request));
        let first = client.try_answer_to("POST");
        // The second request is read as one if the proxy kept the connection.
        let second = client.try_answer_to("GET").map(|answer| answer.status());
        let seen: Vec<_> = upstream
            .requests()
            .into_iter()
            .filter(|r| r.whole)
            .map(|r| (r.target().to_owned(), String::from_utf8_lossy(&r.body).into_owned()))
            .collect();
        let status = first.map(|answer| answer.status());
        let right = match case.body {
            Some(body) => {
                let mut expected = vec![("/a".to_owned(), body.to_owned())];
                if second.is_some() {
                    expected.push(("/smuggled".to_owned(), String::new()));
                }
                status == Some(200) && second.is_none_or(|s| s == 200) && seen == expected
            }
            None => status.is_none_or(|s| s == 400) && second.is_none() && seen.is_empty(),
        };
        if !right {
            wrong.push(format!("{}: answers {status:?}, {second:?}; seen {seen:?}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

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
