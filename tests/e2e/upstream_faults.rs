//! Upstreams that misbehave: what the client is told, and that nothing is sent twice.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::client::{Answer, Client, exchange, get, post};
use crate::h2_client::{block_on, connect, request, send};
use crate::proxy::Setup;
use crate::tls::Authority;
use crate::upstream::{OK, Peer, Upstream};
use crate::waiting::until;

fn assert_fault(answer: &Answer, status: u16, code: &str, may_repeat: bool, case: &str) {
    assert_eq!((answer.status(), answer.refusal()), (status, Some(code)), "{case}: {answer:?}");
    let should_retry = (!may_repeat).then_some("false");
    assert_eq!(answer.header("x-should-retry"), should_retry, "{case}");
    assert_eq!(answer.json()["status"], "error", "{case}");
}

#[test]
fn an_upstream_that_is_not_there_is_unreachable() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let proxy = Setup::in_front_of(&format!("http://127.0.0.1:{free}")).start();
    for answer in [get(proxy.port, "/a"), post(proxy.port, "/a", "b")] {
        assert_fault(&answer, 502, "upstream-unreachable", true, "refused");
        assert!(answer.text().contains("127.0.0.1"), "{}", answer.text());
    }
    assert_eq!(get(proxy.port, "/_proxy/health").status(), 200);
}

#[test]
fn a_name_that_nobody_knows_is_named() {
    let authority = Authority::new();
    let proxy =
        Setup::in_front_of("https://no-such-host.invalid").trusting(&authority.file).start();
    let answer = get(proxy.port, "/a");
    assert_fault(&answer, 502, "upstream-unreachable", true, "resolve");
    assert!(answer.text().contains("no-such-host.invalid"), "{}", answer.text());
}

#[test]
fn an_upstream_that_gives_no_answer_is_reported_and_the_proxy_goes_on() {
    type Fault = fn(&mut Peer);
    let cases: [(&str, Fault); 11] = [
        ("closes after the head", |peer| drop(peer.head())),
        ("resets", |peer| {
            peer.head();
            peer.reset();
        }),
        ("closes in its status line", |peer| {
            peer.request();
            peer.send("HTTP/1.1 20");
        }),
        ("closes in its head", |peer| {
            peer.request();
            peer.send("HTTP/1.1 200 OK\r\nContent-Le");
        }),
        ("garbage", |peer| {
            peer.request();
            peer.send("SSH-2.0-OpenSSH_9.2p1\r\n\r\n");
            peer.drain();
        }),
        ("binary garbage", |peer| {
            peer.request();
            peer.send([0x15, 0x03, 0x01, 0x00, 0x02, 0x02, 0x46, b'\r', b'\n', b'\r', b'\n']);
            peer.drain();
        }),
        ("a head too large", |peer| {
            peer.request();
            peer.send("HTTP/1.1 200 OK\r\n");
            let line = format!("X: {}\r\n", "y".repeat(8000));
            while peer.send(&line) {}
        }),
        ("too many headers", |peer| {
            peer.request();
            peer.send(format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(2000)));
            peer.drain();
        }),
        ("two lengths", |peer| {
            peer.request();
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc");
            peer.drain();
        }),
        ("a space before the colon", |peer| {
            peer.request();
            peer.send("HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nabc");
            peer.drain();
        }),
        ("nothing but 1xx", |peer| {
            peer.request();
            peer.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
        }),
    ];
    for (case, fault) in cases {
        let upstream = Upstream::start(fault);
        let proxy = Setup::in_front_of(&upstream.url()).start();
        let answer = get(proxy.port, "/a");
        assert_fault(&answer, 502, "upstream-closed", true, case);
        assert_eq!(upstream.connections(), 1, "{case}: a fresh connection is not tried again");
        let answer = post(proxy.port, "/a", "body");
        assert_fault(&answer, 502, "upstream-closed", false, case);
        assert_eq!(upstream.connections(), 2, "{case}");
        assert_eq!(get(proxy.port, "/_proxy/health").status(), 200, "{case}");
    }
}

#[test]
fn an_upstream_that_closes_every_connection_is_reported() {
    let upstream = Upstream::start(|_| {});
    let proxy = Setup::in_front_of(&upstream.url()).start();
    for _ in 0..20 {
        // Whether a byte had left by then is a matter of luck, and with it the advice on repeating.
        let answer = post(proxy.port, "/a", "body");
        let expected = (502, Some("upstream-closed"));
        assert_eq!((answer.status(), answer.refusal()), expected, "{answer:?}");
    }
    assert!(upstream.connections() <= 40, "{}", upstream.connections());
}

#[test]
fn an_upstream_that_is_silent_is_given_up_after_the_time_set() {
    let upstream = Upstream::start(|peer| {
        peer.request();
        peer.drain();
    });
    let proxy = Setup::in_front_of(&upstream.url())
        .env("HUBSPOT_PROXY_UPSTREAM__RESPONSE_TIMEOUT", "300ms")
        .start();
    let began = Instant::now();
    assert_fault(&get(proxy.port, "/a"), 504, "upstream-timeout", true, "GET");
    assert!(began.elapsed() >= Duration::from_millis(300));
    assert_fault(&post(proxy.port, "/a", "b"), 504, "upstream-timeout", false, "POST");
    let delete = "DELETE /a HTTP/1.1\r\nHost: {host}\r\n\r\n";
    assert_fault(&exchange(proxy.port, delete), 504, "upstream-timeout", false, "DELETE");
    assert_eq!(upstream.connections(), 3, "none is sent twice");
    until("the connections are given up", || upstream.open() == 0);
}

#[test]
fn a_slow_upload_is_not_taken_for_a_silent_upstream() {
    let upstream = Upstream::answering(OK);
    let proxy = Setup::in_front_of(&upstream.url())
        .env("HUBSPOT_PROXY_UPSTREAM__RESPONSE_TIMEOUT", "500ms")
        .start();
    let mut client = Client::connect(proxy.port);
    client.send("POST /a HTTP/1.1\r\nHost: {host}\r\nContent-Length: 8\r\n\r\n");
    for part in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        std::thread::sleep(Duration::from_millis(150));
        client.send(part);
    }
    assert_eq!(client.answer_to("POST").status(), 200);
    assert_eq!(upstream.only_request().body, b"abcdefgh");
}

#[test]
fn a_body_that_breaks_off_never_looks_whole() {
    let cases = [
        ("half of its length", "Content-Length: 10\r\n\r\nhello", false),
        ("half of its length, reset", "Content-Length: 10\r\n\r\nhello", true),
        ("chunks without an end", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", false),
        ("half a chunk", "Transfer-Encoding: chunked\r\n\r\na\r\nhello", false),
        ("chunks without an end, reset", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", true),
        (
            "an end without the last line",
            "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
            false,
        ),
        ("a wrong chunk size", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n", false),
        ("up to the end, reset", "\r\nhello", true),
    ];
    for (case, rest, reset) in cases {
        let upstream = Upstream::start(move |peer| {
            peer.request();
            peer.send(format!("HTTP/1.1 200 OK\r\n{rest}"));
            if reset {
                // So that the bytes are read before the reset comes.
                std::thread::sleep(Duration::from_millis(50));
                peer.reset();
            }
        });
        let proxy = Setup::in_front_of(&upstream.url()).start();
        let answer = get(proxy.port, "/a");
        // An answer without length is sent on in chunks, so that its end can be missed.
        assert!(answer.status() == 200 && !answer.whole, "{case}: {answer:?}");
        let old = exchange(proxy.port, "GET /a HTTP/1.0\r\nHost: {host}\r\n\r\n");
        assert!(!old.whole || old.header("content-length").is_none(), "{case}: {old:?}");
        block_on(async {
            let client = connect(proxy.port).await;
            let request = request("GET", proxy.port, "/a").body(()).unwrap();
            match send(&client, request, None).await {
                Ok(answer) => assert!(answer.body.is_err(), "{case}: {answer:?}"),
                Err(error) => assert!(error.is_reset(), "{case}: {error}"),
            }
        });
    }
}

#[test]
fn an_answer_that_breaks_off_at_once_still_shows_its_head() {
    for rest in ["Content-Length: 10\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\nzz\r\n"] {
        let upstream = Upstream::start(move |peer| {
            peer.request();
            peer.send(format!("HTTP/1.1 201 Created\r\n{rest}"));
        });
        let proxy = Setup::in_front_of(&upstream.url()).start();
        for _ in 0..20 {
            let answer = post(proxy.port, "/a", "body");
            assert!(answer.status() == 201 && !answer.whole, "{answer:?}");
        }
    }
}

#[test]
fn an_idle_connection_that_the_upstream_closed_is_not_noticed_by_a_client() {
    // Each connection serves one request, says nothing of closing, and closes at the next.
    let upstream = Upstream::start(|peer| {
        peer.request();
        peer.send(OK);
        while peer.buffer.is_empty() && peer.read_more() {}
    });
    let proxy =
        Setup::in_front_of(&upstream.url()).env("HUBSPOT_PROXY_SERVER__THREADS", "1").start();
    for round in 1..20 {
        assert_eq!(get(proxy.port, "/a").status(), 200, "{round}");
        assert_eq!(upstream.requests().len(), round);
    }
    let head = exchange(proxy.port, "HEAD /a HTTP/1.1\r\nHost: {host}\r\n\r\n");
    assert_eq!(head.status(), 200);
}

#[test]
fn a_request_that_may_have_changed_something_is_never_sent_twice() {
    for (method, body) in
        [("POST", "{}"), ("PATCH", "{}"), ("PUT", "{}"), ("DELETE", ""), ("POST", "")]
    {
        // Answers the first request of a connection, reads the second whole and closes.
        let upstream = Upstream::start(|peer| {
            peer.request();
            peer.send(OK);
            peer.request();
        });
        let proxy =
            Setup::in_front_of(&upstream.url()).env("HUBSPOT_PROXY_SERVER__THREADS", "1").start();
        assert_eq!(get(proxy.port, "/a").status(), 200);
        let length = body.len();
        let answer = exchange(
            proxy.port,
            format!(
                "{method} /b HTTP/1.1\r\nHost: {{host}}\r\nContent-Length: {length}\r\n\r\n{body}"
            ),
        );
        assert_fault(&answer, 502, "upstream-closed", false, method);
        let sent = upstream.requests().iter().filter(|r| r.method() == method).count();
        assert_eq!((sent, upstream.connections()), (1, 1), "{method}");
    }
}

#[test]
fn a_connection_that_is_to_close_is_not_used_again() {
    let upstream = Upstream::start(|peer| {
        while peer.request().is_some() {
            peer.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let proxy =
        Setup::in_front_of(&upstream.url()).env("HUBSPOT_PROXY_SERVER__THREADS", "1").start();
    let mut client = Client::connect(proxy.port);
    for round in 1..10 {
        client.send("POST /a HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1\r\n\r\nx");
        let answer = client.answer_to("POST");
        // The upstream's connection is none of the client's business.
        assert_eq!((answer.status(), answer.header("connection")), (200, None));
        assert_eq!(upstream.connections(), round);
    }
}

#[test]
fn a_client_that_goes_away_takes_its_request_with_it() {
    let upstream = Upstream::start(|peer| {
        peer.request();
        peer.drain();
    });
    let proxy = Setup::in_front_of(&upstream.url()).start();
    let base = proxy.settled_files();
    let mut client = Client::connect(proxy.port);
    client.send("GET /a HTTP/1.1\r\nHost: {host}\r\n\r\n");
    until("the request is there", || upstream.requests().len() == 1);
    drop(client);
    until("the upstream is let go", || upstream.open() == 0);
    let mut client = Client::connect(proxy.port);
    client.send("POST /a HTTP/1.1\r\nHost: {host}\r\nContent-Length: 100\r\n\r\nhalf");
    until("the second is there", || upstream.connections() == 2);
    drop(client);
    until("the upstream is let go", || upstream.open() == 0);
    let half = upstream.requests().into_iter().find(|r| r.method() == "POST");
    assert!(half.is_none_or(|half| !half.whole), "half a body must not look whole");
    until("all is closed", || proxy.open_files() <= base);
}

#[test]
fn a_client_that_stops_sending_is_told_so_and_one_that_is_slow_is_served() {
    let upstream = Upstream::answering(OK);
    let proxy = Setup::in_front_of(&upstream.url())
        .env("HUBSPOT_PROXY_UPSTREAM__RESPONSE_TIMEOUT", "400ms")
        .start();
    let head = "POST /a HTTP/1.1\r\nHost: {host}\r\nContent-Length: 10\r\n\r\n";
    let mut stalled = Client::connect(proxy.port);
    let answer = stalled.send(head).send("abc").answer_to("POST");
    assert_eq!((answer.status(), answer.refusal()), (400, Some("bad-request")));
    assert!(answer.text().contains("no more of its body has come"), "{}", answer.text());
    assert_eq!(answer.header("connection"), Some("close"));
    let mut slow = Client::connect(proxy.port);
    slow.send(head);
    for _ in 0..10 {
        std::thread::sleep(std::time::Duration::from_millis(100));
        slow.send("x");
    }
    assert_eq!(slow.answer_to("POST").status(), 200);
    let whole = upstream.requests().into_iter().filter(|request| request.whole);
    assert_eq!(whole.count(), 1);
}
