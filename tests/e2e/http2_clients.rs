//! Clients that speak HTTP/2: many requests on one connection, large bodies, and the end.

use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Duration;

use bytes::Bytes;

use crate::h2_client::{block_on, connect, request, send};
use crate::proxy::Setup;
use crate::upstream::{OK, Upstream};
use crate::waiting::{PATIENCE, until};

const LARGE: usize = 8 * 1024 * 1024;

#[test]
fn hundreds_of_requests_share_a_connection() {
    let upstream = Upstream::answering(OK);
    let proxy = Setup::in_front_of(&upstream.url()).start();
    block_on(async {
        let client = connect(proxy.port).await;
        let mut running = Vec::new();
        for round in 0..600 {
            let request = request("GET", proxy.port, &format!("/{round}")).body(()).unwrap();
            let client = client.clone();
            running.push(tokio::spawn(async move { send(&client, request, None).await }));
        }
        for answer in running {
            let answer = answer.await.unwrap().unwrap();
            assert_eq!(
                (answer.status.as_u16(), answer.body.unwrap().as_slice()),
                (200, &b"ok"[..])
            );
        }
    });
    assert_eq!(upstream.requests().len(), 600);
}

#[test]
fn large_bodies_pass_unchanged_both_ways() {
    let upstream = Upstream::start(|peer| {
        while let Some(request) = peer.request() {
            let length = request.body.len();
            peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"));
            peer.send(&request.body);
        }
    });
    let proxy = Setup::in_front_of(&upstream.url()).start();
    let sent: Bytes = (0..LARGE).map(|i| u8::try_from(i % 251).unwrap()).collect();
    block_on(async {
        let client = connect(proxy.port).await;
        for with_length in [true, false] {
            let mut request = request("POST", proxy.port, "/a");
            if with_length {
                request = request.header("content-length", LARGE);
            }
            let request = request.body(()).unwrap();
            let answer = send(&client, request, Some(sent.clone())).await.unwrap();
            assert_eq!(answer.headers["content-length"], LARGE.to_string());
            assert!(answer.body.unwrap() == sent);
        }
    });
    let framings: Vec<_> = upstream
        .requests()
        .iter()
        .map(|r| (r.all("content-length").len(), r.all("transfer-encoding").len()))
        .collect();
    assert_eq!(framings, [(1, 0), (0, 1)]);
}

#[test]
fn a_body_that_differs_from_its_length_never_looks_whole_to_the_upstream() {
    let upstream = Upstream::answering(OK);
    let proxy = Setup::in_front_of(&upstream.url()).start();
    for (announced, body) in [("10", "hello"), ("2", "hello")] {
        upstream.forget();
        block_on(async {
            let client = connect(proxy.port).await;
            let request = request("POST", proxy.port, "/a").header("content-length", announced);
            let answer = send(&client, request.body(()).unwrap(), Some(body.into())).await;
            let refused = answer.as_ref().map_or(true, |a| a.status.as_u16() == 400);
            assert!(refused, "{announced}: {answer:?}");
        });
        let whole = upstream.requests().into_iter().filter(|r| r.whole).count();
        assert_eq!(whole, 0, "{announced}");
    }
}

#[test]
fn an_answer_that_is_not_read_holds_up_no_other() {
    let upstream = Upstream::start(|peer| {
        while let Some(request) = peer.request() {
            let length = if request.target() == "/large" { LARGE } else { 2 };
            peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"));
            peer.send(vec![b'x'; length]);
        }
    });
    let proxy = Setup::in_front_of(&upstream.url()).start();
    block_on(async {
        let client = connect(proxy.port).await;
        let mut sender = client.clone().ready().await.unwrap();
        let large = request("GET", proxy.port, "/large").body(()).unwrap();
        let (unread, _) = sender.send_request(large, true).unwrap();
        let unread = unread.await.unwrap();
        for _ in 0..20 {
            // The connection's own window is the client's; the large body has its share of it.
            let small = request("GET", proxy.port, "/small").body(()).unwrap();
            let mut one = client.clone().ready().await.unwrap();
            let (answer, _) = one.send_request(small, true).unwrap();
            let answer = tokio::time::timeout(PATIENCE, answer).await.expect("a head in time");
            assert_eq!(answer.unwrap().status(), 200);
        }
        drop(unread);
    });
}

#[test]
fn a_cancelled_request_is_cancelled_upstream() {
    let upstream = Upstream::start(|peer| {
        peer.request();
        peer.drain();
    });
    let proxy = Setup::in_front_of(&upstream.url()).start();
    block_on(async {
        let client = connect(proxy.port).await;
        let mut sender = client.clone().ready().await.unwrap();
        let head = request("GET", proxy.port, "/a").body(()).unwrap();
        let (answer, mut stream) = sender.send_request(head, true).unwrap();
        let wait = tokio::task::spawn_blocking(move || {
            until("the request is there", || upstream.requests().len() == 1);
            upstream
        });
        let upstream = wait.await.unwrap();
        stream.send_reset(h2::Reason::CANCEL);
        drop(answer);
        let wait = tokio::task::spawn_blocking(move || {
            until("it is cancelled there", || upstream.open() == 0);
        });
        wait.await.unwrap();
        let health = request("GET", proxy.port, "/_proxy/health").body(()).unwrap();
        assert_eq!(send(&client, health, None).await.unwrap().status, 200);
    });
}

#[test]
fn a_stream_finishes_after_sigterm() {
    let (go_on, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let upstream = Upstream::start(move |peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
        wait.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        peer.send("world");
    });
    let mut proxy = Setup::in_front_of(&upstream.url()).start();
    let port = proxy.port;
    block_on(async {
        let client = connect(port).await;
        let mut sender = client.clone().ready().await.unwrap();
        let head = request("GET", port, "/a").body(()).unwrap();
        let (answer, _) = sender.send_request(head, true).unwrap();
        let mut body = answer.await.unwrap().into_body();
        assert_eq!(body.data().await.unwrap().unwrap(), "hello");
        proxy.terminate();
        let refused = async {
            while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, refused).await.expect("new connections are refused");
        go_on.send(()).unwrap();
        assert_eq!(body.data().await.unwrap().unwrap(), "world");
        assert!(body.data().await.is_none());
        let ended = tokio::task::spawn_blocking(move || proxy.exit_status().code());
        assert_eq!(ended.await.unwrap(), Some(0));
    });
}
