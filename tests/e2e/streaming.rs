//! Bodies that pass while they are still being written, and every way to say where they end.

use std::io::{Read, Write};
use std::sync::mpsc::channel;
use std::thread;

use crate::client::{Client, exchange, get};
use crate::h2_client::{block_on, connect, request, send};
use crate::proxy::Setup;
use crate::upstream::{OK, Upstream};
use crate::waiting::PATIENCE;

#[test]
fn the_first_byte_of_an_answer_arrives_while_the_upstream_is_still_sending() {
    for (case, framing) in [
        ("length", "Content-Length: 10\r\n\r\nhello"),
        ("chunked", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"),
        ("up to the end", "\r\nhello"),
        (
            "events",
            "Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        ),
    ] {
        let (go_on, wait) = channel::<()>();
        let wait = std::sync::Mutex::new(wait);
        let upstream = Upstream::start(move |peer| {
            peer.request();
            peer.send(format!("HTTP/1.1 200 OK\r\n{framing}"));
            wait.lock().unwrap().recv_timeout(PATIENCE).unwrap();
            peer.send(if framing.contains("chunked") {
                "5\r\nworld\r\n0\r\n\r\n"
            } else {
                "world"
            });
        });
        let proxy = Setup::in_front_of(&upstream.url()).start();
        let mut client = Client::connect(proxy.port);
        client.send("GET /a HTTP/1.1\r\nHost: {host}\r\nAccept: text/event-stream\r\n\r\n");
        let head = client.head();
        let first = client.some_bytes();
        assert!(crate::client::find(&first, b"hello").is_some(), "{case}");
        go_on.send(()).unwrap();
        let rest = if head.header("content-length").is_some() { 5 } else { 8 };
        let mut last = Vec::new();
        while last.len() < rest {
            last.extend(client.some_bytes());
        }
        assert!(crate::client::find(&last, b"world").is_some(), "{case}: {last:?}");
    }
}

#[test]
fn an_upload_and_its_echo_pass_at_the_same_time() {
    let upstream = Upstream::start(|peer| {
        peer.head();
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        while !peer.buffer.ends_with(b"0\r\n\r\n") || !peer.buffer.is_empty() {
            if peer.buffer.is_empty() && !peer.read_more() {
                return;
            }
            let part = std::mem::take(&mut peer.buffer);
            peer.send(&part);
            if part.ends_with(b"0\r\n\r\n") {
                return;
            }
        }
    });
    let proxy = Setup::in_front_of(&upstream.url()).start();
    let mut client = Client::connect(proxy.port);
    client.send("POST /a HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n");
    for round in 0..50 {
        let word = format!("word-{round:03}");
        client.send(format!("8\r\n{word}\r\n"));
        if round == 0 {
            assert_eq!(client.head().status, 200);
        }
        let mut echoed = Vec::new();
        while crate::client::find(&echoed, word.as_bytes()).is_none() {
            echoed.extend(client.some_bytes());
        }
    }
    client.send("0\r\n\r\n");
    let mut end = Vec::new();
    while crate::client::find(&end, b"0\r\n\r\n").is_none() {
        end.extend(client.some_bytes());
    }
}

#[test]
fn answers_without_a_body_keep_their_headers_and_the_connection() {
    type Headers = &'static [(&'static str, Option<&'static str>)];
    let cases: [(&str, &str, Headers); 6] = [
        (
            "HEAD",
            "200 OK\r\nContent-Length: 1234\r\nETag: \"a\"\r\n",
            &[("content-length", Some("1234")), ("etag", Some("\"a\""))],
        ),
        (
            "HEAD",
            "200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
            &[("content-encoding", Some("gzip"))],
        ),
        (
            "DELETE",
            "204 No Content\r\nX-Kept: 1\r\n",
            &[("x-kept", Some("1")), ("content-length", None)],
        ),
        (
            "GET",
            "304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 99\r\n",
            &[("etag", Some("\"a\"")), ("transfer-encoding", None)],
        ),
        ("GET", "304 Not Modified\r\nETag: \"a\"\r\n", &[("etag", Some("\"a\""))]),
        ("POST", "200 OK\r\nContent-Length: 0\r\n", &[("content-length", Some("0"))]),
    ];
    for (method, answer, expected) in cases {
        let upstream = Upstream::answering(format!("HTTP/1.1 {answer}\r\n"));
        let proxy =
            Setup::in_front_of(&upstream.url()).env("HUBSPOT_PROXY_SERVER__THREADS", "1").start();
        let mut client = Client::connect(proxy.port);
        for round in 0..3 {
            client.send(format!(
                "{method} /a HTTP/1.1\r\nHost: {{host}}\r\nIf-None-Match: \"a\"\r\n\r\n"
            ));
            let seen = client.answer_to(method);
            assert_eq!(seen.status().to_string(), &answer[..3], "{method} {answer} {round}");
            assert!(seen.body.is_empty() && seen.whole);
            for (name, value) in expected {
                assert_eq!(seen.header(name), *value, "{method} {answer}: {name}");
            }
        }
        assert_eq!(upstream.connections(), 1, "{method} {answer}: the connection is kept");
    }
}

#[test]
fn compressed_bytes_pass_untouched() {
    let bytes: Vec<u8> =
        [0x1f, 0x8b, 0x08, 0x00].into_iter().chain((0..=255).cycle().take(5000)).collect();
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        bytes.len()
    )
    .into_bytes();
    answer.extend(&bytes);
    let upstream = Upstream::answering(answer);
    let proxy = Setup::in_front_of(&upstream.url()).start();
    let text = "GET /a HTTP/1.1\r\nHost: {host}\r\nAccept-Encoding: gzip, br\r\n\r\n";
    let seen = exchange(proxy.port, text);
    assert_eq!(seen.header("content-encoding"), Some("gzip"));
    assert!(seen.body == bytes);
    assert_eq!(upstream.only_request().all("accept-encoding"), ["gzip, br"]);
}

#[test]
fn declared_trailers_pass_both_ways() {
    let upstream = Upstream::answering(
        "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n\
         2\r\nok\r\n0\r\nX-Sum: 42\r\n\r\n",
    );
    let proxy = Setup::in_front_of(&upstream.url()).start();
    let answer = exchange(
        proxy.port,
        "POST /a HTTP/1.1\r\nHost: {host}\r\nTE: trailers\r\nTrailer: X-Up\r\n\
         Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Up: 1\r\n\r\n",
    );
    let lower = |pairs: &[(String, String)]| {
        pairs.iter().map(|(n, v)| format!("{}={v}", n.to_lowercase())).collect::<Vec<_>>()
    };
    assert_eq!(lower(&answer.trailers), ["x-sum=42"], "{answer:?}");
    let seen = upstream.only_request();
    assert_eq!(lower(&seen.trailers), ["x-up=1"]);
    assert_eq!((seen.all("te"), seen.all("trailer")), (vec!["trailers"], vec!["X-Up"]));
    block_on(async {
        let client = connect(proxy.port).await;
        let request = request("GET", proxy.port, "/a").header("te", "trailers").body(()).unwrap();
        let answer = send(&client, request, None).await.unwrap();
        assert_eq!(answer.trailers.unwrap()["x-sum"], "42");
    });
}

#[test]
fn an_answers_trailers_are_filtered_as_its_headers_are() {
    let upstream = Upstream::answering(
        "HTTP/1.1 200 OK\r\nTrailer: X-Sum, Set-Cookie, X-HubSpot-Proxy-Error\r\n\
         Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 42\r\nSet-Cookie: a=b\r\n\
         X-HubSpot-Proxy-Error: forged\r\nAccess-Control-Allow-Origin: *\r\n\r\n",
    );
    let proxy = Setup::in_front_of(&upstream.url()).start();
    let text = "GET /a HTTP/1.1\r\nHost: {host}\r\nTE: trailers\r\n\r\n";
    let names: Vec<_> =
        exchange(proxy.port, text).trailers.into_iter().map(|(n, _)| n.to_lowercase()).collect();
    assert_eq!(names, ["x-sum"]);
    block_on(async {
        let client = connect(proxy.port).await;
        let request = request("GET", proxy.port, "/a").header("te", "trailers").body(()).unwrap();
        let trailers = send(&client, request, None).await.unwrap().trailers.unwrap();
        let names: Vec<_> = trailers.keys().map(http::HeaderName::as_str).collect();
        assert_eq!(names, ["x-sum"]);
    });
}

#[test]
fn interim_answers_of_the_upstream_are_dropped() {
    let upstream = Upstream::answering(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n\
         HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    );
    let proxy = Setup::in_front_of(&upstream.url()).start();
    let mut client = Client::connect(proxy.port);
    for _ in 0..3 {
        client.send("GET /a HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let head = client.head();
        assert_eq!(head.status, 200);
        assert_eq!(client.rest_of(head, "GET").body, b"ok");
    }
}

#[test]
fn continue_is_said_when_the_body_is_wanted_and_not_before_a_refusal() {
    let upstream = Upstream::answering(OK);
    let proxy = Setup::in_front_of(&upstream.url()).start();
    let wanted = "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    let mut client = Client::connect(proxy.port);
    for _ in 0..2 {
        client.send(format!("POST /a HTTP/1.1\r\nHost: {{host}}\r\n{wanted}"));
        assert_eq!(client.head().status, 100);
        client.send("hello");
        assert_eq!(client.head().status, 200);
        assert_eq!(client.some_bytes(), b"ok");
    }
    assert!(upstream.requests().iter().all(|r| r.all("expect").is_empty() && r.body == b"hello"));
    for refused in [
        format!("POST /oauth/v1/token HTTP/1.1\r\nHost: {{host}}\r\n{wanted}"),
        format!("POST /a HTTP/1.1\r\nHost: evil.example\r\n{wanted}"),
        format!("POST /a HTTP/1.1\r\nHost: {{host}}\r\nOrigin: null\r\n{wanted}"),
    ] {
        let mut client = Client::connect(proxy.port);
        client.send(&refused);
        let head = client.head();
        assert_eq!(head.status, 403, "{refused}");
        assert_eq!(head.header("connection"), Some("close"), "{refused}");
    }
    // A client that does not wait gets its answer as well.
    let mut client = Client::connect(proxy.port);
    client.send(format!("POST /a HTTP/1.1\r\nHost: {{host}}\r\n{wanted}hello"));
    assert_eq!(client.answer_to("POST").status(), 200);
}

#[test]
fn old_clients_and_old_upstreams_are_served() {
    for (case, answer) in [
        ("HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\nhello"),
        ("HTTP/1.0 with length", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
        ("up to the end", "HTTP/1.1 200 OK\r\n\r\nhello"),
        ("closing", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello"),
        ("chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
        ("without reason", "HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\nhello"),
    ] {
        let upstream = Upstream::start(move |peer| {
            peer.request();
            peer.send(answer);
        });
        let proxy = Setup::in_front_of(&upstream.url()).start();
        let new = get(proxy.port, "/a");
        assert!(new.status() == 200 && new.whole && new.body == b"hello", "{case}: {new:?}");
        let mut client = Client::connect(proxy.port);
        client.send("GET /a HTTP/1.0\r\nHost: {host}\r\n\r\n");
        let old = client.answer_to("GET");
        assert_eq!(old.header("transfer-encoding"), None, "{case}: HTTP/1.0 knows no chunks");
        assert!(old.status() == 200 && old.whole && old.body == b"hello", "{case}: {old:?}");
        assert!(client.is_closed(), "{case}");
        block_on(async {
            let client = connect(proxy.port).await;
            let request = request("GET", proxy.port, "/a").body(()).unwrap();
            let answer = send(&client, request, None).await.unwrap();
            assert_eq!(answer.body.unwrap(), b"hello", "{case}");
        });
    }
}

const LARGE: usize = 64 * 1024 * 1024;

/// Bytes that repeat with no power of two, so that a part in the wrong place is noticed.
fn pattern(at: usize, length: usize) -> Vec<u8> {
    (at..at + length).map(|i| u8::try_from(i % 251).unwrap()).collect()
}

/// What a transfer may take beside a proxy at rest, in KiB; unoptimised code takes more.
#[cfg(target_os = "linux")]
const MEMORY: u64 = if cfg!(debug_assertions) { 48 * 1024 } else { 24 * 1024 };

#[test]
#[cfg(target_os = "linux")]
fn large_bodies_pass_unchanged_and_are_not_collected() {
    let upstream = Upstream::start(|peer| {
        while let Some(head) = peer.head() {
            if head.method() == "GET" {
                peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n"));
                let mut at = 0;
                while at < LARGE {
                    let length = (1 << 20).min(LARGE - at);
                    peer.send(pattern(at, length));
                    at += length;
                }
                continue;
            }
            let mut at = 0;
            let mut same = true;
            while at < LARGE {
                if peer.buffer.is_empty() && !peer.read_more() {
                    return;
                }
                let part = std::mem::take(&mut peer.buffer);
                same &= part == pattern(at, part.len());
                at += part.len();
            }
            let verdict = if same { "same" } else { "diff" };
            peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n{verdict}"));
        }
    });
    let proxy = Setup::in_front_of(&upstream.url()).start();
    let mut client = Client::connect(proxy.port);
    client.send(format!("PUT /a HTTP/1.1\r\nHost: {{host}}\r\nContent-Length: {LARGE}\r\n\r\n"));
    let mut at = 0;
    while at < LARGE {
        let length = (1 << 20).min(LARGE - at);
        client.stream.write_all(&pattern(at, length)).unwrap();
        at += length;
    }
    assert_eq!(client.answer_to("PUT").text(), "same");
    client.send("GET /a HTTP/1.1\r\nHost: {host}\r\n\r\n");
    assert_eq!(client.head().header("content-length"), Some(LARGE.to_string().as_str()));
    let mut at = 0;
    // Not as fast as it comes at first: what the client does not take must not pile up here.
    thread::sleep(std::time::Duration::from_millis(300));
    let mut part = client.taken();
    while at < LARGE {
        if part.is_empty() {
            part.resize(256 * 1024, 0);
            let count = client.stream.read(&mut part).unwrap();
            assert!(count > 0, "ended after {at}");
            part.truncate(count);
        }
        assert!(part == pattern(at, part.len()), "other bytes after {at}");
        at += part.len();
        part.clear();
    }
    let peak = proxy.peak_memory();
    assert!(peak < MEMORY, "{peak} KiB");
}
