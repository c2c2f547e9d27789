//! Answers that come while the client is still sending, from upstreams that then close.

use std::io::Write;
use std::thread;

use crate::client::Client;
use crate::h2_client::{block_on, connect, request, send};
use crate::proxy::{Proxy, Setup};
use crate::tls::Authority;
use crate::upstream::{Peer, Upstream};
use crate::waiting::until;

/// How an upstream takes its leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leave {
    /// It ends its side and reads on.
    Politely,
    /// It closes with what it has not read, which makes its kernel send a reset.
    Unread,
    /// It resets the connection right away.
    Reset,
    /// It answers at the head, before any of the body can have come.
    AtTheHead,
}

const LEAVES: [Leave; 4] = [Leave::Politely, Leave::Unread, Leave::Reset, Leave::AtTheHead];
const BODY: usize = 3 * 1024 * 1024;
const ANSWERS: [(u16, &str); 2] = [
    (401, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 5\r\n\r\nearly"),
    (413, "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 5\r\n\r\nearly"),
];

fn answer_early(peer: &mut Peer, leave: Leave, answer: &str) {
    let Some(head) = peer.head() else { return };
    peer.keep(head);
    if leave != Leave::AtTheHead {
        while peer.buffer.len() < 64 * 1024 && peer.read_more() {}
    }
    peer.send(answer);
    match leave {
        Leave::Politely => {
            peer.close_sending();
            peer.drain();
        }
        Leave::Unread | Leave::AtTheHead => {}
        Leave::Reset => peer.reset(),
    }
}

/// Sends all it has to send, as simple clients do, and only then reads.
fn upload(proxy: &Proxy, chunked: bool, expected: u16) {
    let mut client = Client::connect(proxy.port);
    let framing = match chunked {
        true => "Transfer-Encoding: chunked".to_owned(),
        false => format!("Content-Length: {BODY}"),
    };
    client.send(format!("POST /upload HTTP/1.1\r\nHost: {{host}}\r\n{framing}\r\n\r\n"));
    let part = vec![b'x'; 64 * 1024];
    let mut sending = client.stream.try_clone().unwrap();
    let sender = thread::spawn(move || {
        for _ in 0..BODY / part.len() {
            let written = match chunked {
                true => sending
                    .write_all(b"10000\r\n")
                    .and_then(|()| sending.write_all(&part))
                    .and_then(|()| sending.write_all(b"\r\n")),
                false => sending.write_all(&part),
            };
            if written.is_err() {
                return;
            }
        }
        if chunked {
            // The proxy may have closed behind its answer.
            let _ = sending.write_all(b"0\r\n\r\n");
        }
    });
    let answer = client.answer_to("POST");
    assert_eq!((answer.status(), answer.text()), (expected, "early"), "{answer:?}");
    assert_eq!(answer.refusal(), None);
    drop(client);
    sender.join().unwrap();
}

#[test]
fn an_early_answer_reaches_the_client_a_thousand_times() {
    const AT_ONCE: usize = 8;
    const EACH: usize = 16;
    let mut uploads = 0;
    for leave in LEAVES {
        for (status, answer) in ANSWERS {
            let upstream = Upstream::start(move |peer| answer_early(peer, leave, answer));
            let proxy = Setup::in_front_of(&upstream.url()).start();
            let base = proxy.settled_files();
            thread::scope(|scope| {
                for worker in 0..AT_ONCE {
                    let proxy = &proxy;
                    scope.spawn(move || {
                        for round in 0..EACH {
                            upload(proxy, (worker + round) % 2 == 0, status);
                        }
                    });
                }
            });
            uploads += AT_ONCE * EACH;
            assert_eq!(upstream.requests().len(), AT_ONCE * EACH, "{leave:?}: sent twice");
            // A thread that has started late has a few files of its own.
            until("the proxy has closed what it opened", || proxy.open_files() <= base + 8);
        }
    }
    assert!(uploads >= 1000, "{uploads}");
}

#[test]
fn a_connection_with_half_a_body_on_it_is_never_used_again() {
    let upstream = Upstream::start(|peer| {
        while let Some(head) = peer.head() {
            peer.keep(head);
            peer.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 5\r\n\r\nearly");
        }
    });
    let proxy =
        Setup::in_front_of(&upstream.url()).env("HUBSPOT_PROXY_SERVER__THREADS", "1").start();
    for round in 1..5 {
        let mut client = Client::connect(proxy.port);
        client.send("POST /half HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1000\r\n\r\nhalf");
        assert_eq!(client.answer_to("POST").text(), "early");
        drop(client);
        assert_eq!(upstream.connections(), round);
    }
}

/// As the smallest clients do: all is sent before the first byte is read.
fn upload_then_read(proxy: &Proxy, expected: u16) {
    let mut client = Client::connect(proxy.port);
    client.send(format!("POST /a HTTP/1.1\r\nHost: {{host}}\r\nContent-Length: {BODY}\r\n\r\n"));
    client.send(vec![b'x'; BODY]);
    let answer = client.answer_to("POST");
    assert_eq!((answer.status(), answer.text()), (expected, "early"), "{answer:?}");
}

#[test]
fn a_client_that_sends_all_before_it_reads_gets_the_early_answer_as_well() {
    for leave in LEAVES {
        let (status, answer) = ANSWERS[1];
        let upstream = Upstream::start(move |peer| answer_early(peer, leave, answer));
        let proxy = Setup::in_front_of(&upstream.url()).start();
        for _ in 0..20 {
            upload_then_read(&proxy, status);
        }
        assert_eq!(upstream.requests().len(), 20, "{leave:?}");
    }
}

#[test]
fn an_early_answer_over_tls_reaches_the_client() {
    let authority = Authority::new();
    for leave in LEAVES {
        for (status, answer) in ANSWERS {
            let tls = authority.server("localhost", &["http/1.1"]);
            let upstream = Upstream::start_tls(tls, move |peer| answer_early(peer, leave, answer));
            let url = format!("https://localhost:{}", upstream.port);
            let proxy = Setup::in_front_of(&url).trusting(&authority.file).start();
            thread::scope(|scope| {
                for worker in 0..4 {
                    let proxy = &proxy;
                    scope.spawn(move || {
                        for round in 0..10 {
                            upload(proxy, (worker + round) % 2 == 0, status);
                        }
                    });
                }
            });
            assert_eq!(upstream.requests().len(), 40, "{leave:?}");
        }
    }
}

#[test]
fn an_early_answer_reaches_a_client_over_http2() {
    for leave in LEAVES {
        let (status, answer) = ANSWERS[0];
        let upstream = Upstream::start(move |peer| answer_early(peer, leave, answer));
        let proxy = Setup::in_front_of(&upstream.url()).start();
        block_on(async {
            let client = connect(proxy.port).await;
            for _ in 0..50 {
                let request = request("POST", proxy.port, "/a").body(()).unwrap();
                let answer = send(&client, request, Some(vec![b'x'; BODY].into())).await.unwrap();
                assert_eq!(answer.status, status, "{leave:?}");
                assert_eq!(answer.body.unwrap(), b"early", "{leave:?}");
            }
        });
        assert_eq!(upstream.requests().len(), 50, "{leave:?}");
    }
}
