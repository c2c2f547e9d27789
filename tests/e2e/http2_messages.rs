//! Answers and uploads over HTTP/2 to the upstream, frame by frame.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::client::{Answer, Client, get, post};
use crate::h2_frames::{DATA, END_HEADERS, END_STREAM, Frames, HEADERS, REFUSED_STREAM};
use crate::http2_upstream::{load, over_http2, setup, upstream};

/// `:status: 200` and `:status: 304`, then `content-length: 99` as a literal (RFC 7541).
const OK_99: &[u8] = &[0x88, 0x0f, 0x0d, 0x02, b'9', b'9'];
const NOT_MODIFIED_99: &[u8] = &[0x8b, 0x0f, 0x0d, 0x02, b'9', b'9'];
const OK_5: &[u8] = &[0x88, 0x0f, 0x0d, 0x01, b'5'];
const EARLY_HINTS: &[u8] = &[0x08, 0x03, b'1', b'0', b'3'];

fn answered_by(serve: impl Fn(&mut Frames, u32) + Send + Sync + 'static, method: &str) -> Answer {
    tried(serve, method).expect("an answer")
}

/// `None` where the connection is closed without an answer.
fn tried(serve: impl Fn(&mut Frames, u32) + Send + Sync + 'static, method: &str) -> Option<Answer> {
    let (upstream, authority) = upstream(move |frames| {
        while let Some(stream) = frames.request() {
            serve(frames, stream);
        }
    });
    let proxy = setup(&upstream, &authority).start();
    let _load = load(&proxy, &upstream);
    let mut client = Client::connect(proxy.port);
    client.send(format!("{method} /a HTTP/1.1\r\nHost: {{host}}\r\n\r\n"));
    let answer = client.try_answer_to(method);
    assert_eq!(over_http2(&upstream).len(), 1, "it went over HTTP/2, once");
    answer
}

#[test]
fn answers_without_a_body_keep_their_length() {
    let whole = END_HEADERS | END_STREAM;
    let head = answered_by(move |f, stream| f.send(HEADERS, whole, stream, OK_99), "HEAD");
    assert_eq!((head.status(), head.header("content-length")), (200, Some("99")));
    let same = answered_by(move |f, stream| f.send(HEADERS, whole, stream, NOT_MODIFIED_99), "GET");
    assert_eq!((same.status(), same.header("transfer-encoding")), (304, None));
    // The end may come in a frame of its own.
    let head = answered_by(
        |f, stream| {
            f.send(HEADERS, END_HEADERS, stream, OK_99);
            f.send(DATA, END_STREAM, stream, b"");
        },
        "HEAD",
    );
    assert_eq!((head.status(), head.header("content-length")), (200, Some("99")));
}

#[test]
fn a_body_that_differs_from_its_length_never_looks_whole() {
    for body in [&b"hell"[..], b"hello!", b""] {
        let answer = tried(
            move |f, stream| {
                f.send(HEADERS, END_HEADERS, stream, OK_5);
                f.send(DATA, END_STREAM, stream, body);
            },
            "GET",
        );
        let broken = answer.as_ref().is_none_or(|a| !a.whole || a.status() == 502);
        assert!(broken, "{body:?}: {answer:?}");
    }
    let right = answered_by(
        |f, stream| {
            f.send(HEADERS, END_HEADERS, stream, OK_5);
            f.send(DATA, END_STREAM, stream, b"hello");
        },
        "GET",
    );
    assert!(right.whole && right.body == b"hello" && right.header("content-length") == Some("5"));
}

#[test]
fn interim_answers_are_dropped() {
    let answer = answered_by(
        |f, stream| {
            f.send(HEADERS, END_HEADERS, stream, EARLY_HINTS);
            f.send_ok(stream);
        },
        "GET",
    );
    assert_eq!((answer.status(), answer.text()), (200, "h2"));
}

#[test]
fn an_upload_is_paced_by_the_upstream_and_arrives_unchanged() {
    const LENGTH: usize = 3_000_000;
    let received = Arc::new(Mutex::new(Vec::<u8>::new()));
    let kept = Arc::clone(&received);
    let (upstream, authority) = upstream(move |frames| {
        while let Some(frame) = frames.next() {
            if frame.kind != DATA {
                continue;
            }
            kept.lock().unwrap().extend(&frame.payload);
            let length = u32::try_from(frame.payload.len()).unwrap();
            if frame.flags & END_STREAM != 0 {
                frames.send_ok(frame.stream);
            } else if length > 0 {
                frames.widen(frame.stream, length);
            }
        }
    });
    let proxy = setup(&upstream, &authority).start();
    let _load = load(&proxy, &upstream);
    let body: Vec<u8> = (0..LENGTH).map(|i| b'a' + u8::try_from(i % 23).unwrap()).collect();
    let answer = post(proxy.port, "/a", std::str::from_utf8(&body).unwrap());
    assert_eq!((answer.status(), answer.text()), (200, "h2"));
    assert!(*received.lock().unwrap() == body);
}

#[test]
fn a_limit_on_streams_is_kept_and_serves_everybody() {
    let (upstream, authority) = upstream(|frames| {
        frames.limit_streams(1);
        while let Some(stream) = frames.request() {
            thread::sleep(Duration::from_millis(2));
            frames.send_ok(stream);
        }
    });
    let proxy = setup(&upstream, &authority).start();
    let _load = load(&proxy, &upstream);
    thread::scope(|scope| {
        for _ in 0..30 {
            scope.spawn(|| {
                let mut client = Client::connect(proxy.port);
                for _ in 0..5 {
                    client.send("GET /a HTTP/1.1\r\nHost: {host}\r\n\r\n");
                    let answer = client.answer_to("GET");
                    assert!(answer.status() == 200 && answer.whole, "{answer:?}");
                }
            });
        }
    });
    assert_eq!(get(proxy.port, "/a").status(), 200);
}

#[test]
fn a_burst_on_a_new_connection_keeps_within_a_limit_that_is_still_to_come() {
    const LIMIT: usize = 100;
    // Strict as a server may be: what is beyond the limit is refused.
    let (upstream, authority) = upstream(|frames| {
        frames.limit_streams(u32::try_from(LIMIT).unwrap());
        frames.give_up_after(Duration::from_millis(200));
        let mut open = Vec::new();
        loop {
            match frames.next() {
                Some(frame) if frame.kind == HEADERS && open.len() >= LIMIT => {
                    frames.reset(frame.stream, REFUSED_STREAM);
                }
                Some(frame) if frame.kind == HEADERS => open.push(frame.stream),
                Some(_) => {}
                None if open.is_empty() => return,
                // Nothing more comes until these are answered.
                None => open.drain(..).for_each(|stream| frames.send_ok(stream)),
            }
        }
    });
    let proxy = setup(&upstream, &authority).start();
    let _load = load(&proxy, &upstream);
    let mut clients: Vec<_> = (0..400).map(|_| Client::connect(proxy.port)).collect();
    for client in &mut clients {
        client.send("POST /a HTTP/1.1\r\nHost: {host}\r\nContent-Length: 4\r\n\r\nbody");
    }
    for client in &mut clients {
        let answer = client.answer_to("POST");
        assert_eq!(answer.status(), 200, "{answer:?}");
    }
}
