//! Start, stop, and how long a connection lives.

use std::net::TcpStream;
use std::process::Command;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use crate::client::{Client, get};
use crate::h2_client::{block_on, connect, request, send};
use crate::proxy::Setup;
use crate::upstream::{OK, Upstream};
use crate::waiting::{PATIENCE, until};

#[test]
fn a_download_finishes_after_sigterm_while_new_connections_are_refused() {
    let (go_on, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let upstream = Upstream::start(move |peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
        wait.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        peer.send("world");
    });
    let mut proxy = Setup::in_front_of(&upstream.url()).start();
    let mut client = Client::connect(proxy.port);
    client.send("GET /a HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let head = client.head();
    assert_eq!(head.status, 200);
    let port = proxy.port;
    proxy.terminate();
    until("connections are refused", || TcpStream::connect(("127.0.0.1", port)).is_err());
    assert!(!proxy.has_ended(), "a download is under way");
    go_on.send(()).unwrap();
    let answer = client.rest_of(head, "GET");
    assert!(answer.whole && answer.body == b"helloworld", "{answer:?}");
    assert_eq!(proxy.exit_status().code(), Some(0));
}

/// The kernel counts code that has run as the process's memory, the start's too.
#[cfg(target_os = "linux")]
#[test]
fn code_of_the_start_does_not_stay_in_memory() {
    let upstream = Upstream::answering(OK);
    let proxy = Setup::in_front_of(&upstream.url()).start();
    until("1 MiB is given back", || proxy.memory() + 1024 < proxy.peak_memory());
    assert_eq!(get(proxy.port, "/a").status(), 200);
}

#[test]
fn what_does_not_end_in_time_is_cut_after_the_grace() {
    let upstream = Upstream::start(|peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
        peer.drain();
    });
    let mut proxy = Setup::in_front_of(&upstream.url())
        .env("HUBSPOT_PROXY_SERVER__SHUTDOWN_GRACE", "300ms")
        .start();
    let mut client = Client::connect(proxy.port);
    client.send("GET /a HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let head = client.head();
    let began = Instant::now();
    proxy.terminate();
    assert_eq!(proxy.exit_status().code(), Some(0));
    assert!(began.elapsed() >= Duration::from_millis(300));
    assert!(!client.rest_of(head, "GET").whole);
}

#[test]
fn a_second_signal_cuts_what_is_under_way() {
    let upstream = Upstream::start(|peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
        peer.drain();
    });
    let mut proxy = Setup::in_front_of(&upstream.url()).start();
    let mut client = Client::connect(proxy.port);
    client.send("GET /a HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let head = client.head();
    let began = Instant::now();
    let port = proxy.port;
    proxy.terminate();
    until("connections are refused", || TcpStream::connect(("127.0.0.1", port)).is_err());
    proxy.terminate();
    proxy.exit_status();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(!client.rest_of(head, "GET").whole);
}

#[test]
fn idle_connections_do_not_hold_up_the_end() {
    let upstream = Upstream::answering(OK);
    let mut proxy = Setup::in_front_of(&upstream.url()).start();
    let mut used: Vec<_> = (0..10).map(|_| Client::connect(proxy.port)).collect();
    for client in &mut used {
        client.send("GET /a HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(client.answer_to("GET").status(), 200);
    }
    let _unused: Vec<_> = (0..10).map(|_| Client::connect(proxy.port)).collect();
    block_on(async {
        let client = connect(proxy.port).await;
        let request = request("GET", proxy.port, "/a").body(()).unwrap();
        assert_eq!(send(&client, request, None).await.unwrap().status, 200);
        // The connection is driven meanwhile.
        let ended = tokio::task::spawn_blocking(move || {
            let began = Instant::now();
            proxy.terminate();
            assert_eq!(proxy.exit_status().code(), Some(0));
            began.elapsed()
        });
        let took = ended.await.unwrap();
        assert!(took < Duration::from_secs(3), "{took:?}");
    });
    for client in &mut used {
        assert!(client.is_closed());
    }
}

#[test]
fn a_request_that_has_not_begun_does_not_hold_up_the_end() {
    let upstream = Upstream::answering(OK);
    let mut proxy = Setup::in_front_of(&upstream.url()).start();
    let mut half: Vec<_> = (0..3).map(|_| Client::connect(proxy.port)).collect();
    for client in &mut half {
        client.send("GET /a HTTP/1.1\r\nHo");
    }
    assert_eq!(get(proxy.port, "/a").status(), 200);
    let began = Instant::now();
    proxy.terminate();
    assert_eq!(proxy.exit_status().code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

#[test]
fn an_interrupt_ends_it_as_well() {
    let upstream = Upstream::answering(OK);
    let mut proxy = Setup::in_front_of(&upstream.url()).start();
    let pid = rustix::process::Pid::from_raw(proxy.pid().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(proxy.exit_status().code(), Some(0));
}

#[test]
fn a_second_instance_on_the_same_port_says_so_and_ends() {
    let upstream = Upstream::answering(OK);
    let proxy = Setup::in_front_of(&upstream.url()).start();
    for listen in ["localhost", "127.0.0.1"] {
        let listen = format!("{listen}:{}", proxy.port);
        let second = Command::new(env!("CARGO_BIN_EXE_hubspot-proxy"))
            .args(["--listen", &listen])
            .env_clear()
            .env("HOME", "/nonexistent")
            .env("HUBSPOT_ACCESS_TOKEN", "pat-na1-second")
            .env("HUBSPOT_PROXY_UPSTREAM__URL", upstream.url())
            .output()
            .unwrap();
        let errors = String::from_utf8(second.stderr).unwrap();
        assert_eq!(second.status.code(), Some(1), "{errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
        assert!(errors.starts_with("error: "), "{errors}");
        assert!(errors.contains(&proxy.port.to_string()), "{errors}");
        assert!(second.stdout.is_empty());
    }
    assert_eq!(get(proxy.port, "/a").status(), 200);
}

#[test]
fn a_connection_that_rested_works_again_and_is_closed_when_it_rests_too_long() {
    let upstream = Upstream::answering(OK);
    let proxy =
        Setup::in_front_of(&upstream.url()).env("HUBSPOT_PROXY_SERVER__IDLE_TIMEOUT", "2s").start();
    let mut client = Client::connect(proxy.port);
    // Longer than it takes to be parked, shorter than the limit.
    for _ in 0..3 {
        client.send("GET /a HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(client.answer_to("GET").body, b"ok");
        std::thread::sleep(Duration::from_millis(1200));
    }
    let began = Instant::now();
    assert!(client.is_closed());
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    block_on(async {
        let client = connect(proxy.port).await;
        let first = request("GET", proxy.port, "/a").body(()).unwrap();
        assert_eq!(send(&client, first, None).await.unwrap().status, 200);
        let ended = async {
            while client.clone().ready().await.is_ok() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(8), ended).await.expect("it is closed");
    });
}

#[test]
fn a_request_that_comes_in_pieces_is_served_and_one_that_stops_is_given_up() {
    let upstream = Upstream::answering(OK);
    let proxy = Setup::in_front_of(&upstream.url())
        .env("HUBSPOT_PROXY_SERVER__HEADER_TIMEOUT", "1s")
        .start();
    let host = format!("Host: localhost:{}", proxy.port);
    let mut slow = Client::connect(proxy.port);
    // The second time on a connection that has served already.
    for _ in 0..2 {
        for piece in ["GE", "T /a HT", "TP/1.1\r", "\n", host.as_str(), "\r\n\r", "\n"] {
            slow.send(piece);
            std::thread::sleep(Duration::from_millis(40));
        }
        assert_eq!(slow.answer_to("GET").status(), 200);
    }
    for already_served in [false, true] {
        for part in ["G", "GET /a HTTP/1.1\r\nHo", "PRI * HTTP/2.0\r\n\r\n"] {
            let mut client = Client::connect(proxy.port);
            if already_served {
                client.send("GET /a HTTP/1.1\r\nHost: {host}\r\n\r\n");
                assert_eq!(client.answer_to("GET").status(), 200);
                if part.starts_with("PRI") {
                    continue;
                }
            }
            let began = Instant::now();
            client.send(part);
            // Whether it is told why is not promised.
            if let Some(head) = client.try_head() {
                assert!(matches!(head.status, 400 | 408), "{part:?}: {head:?}");
            }
            let took = began.elapsed();
            let expected = Duration::from_millis(900)..Duration::from_secs(5);
            assert!(expected.contains(&took), "{part:?} {already_served}: {took:?}");
        }
    }
}

#[test]
fn beyond_the_limit_of_connections_requests_are_told_to_come_back() {
    let upstream = Upstream::answering(OK);
    let proxy = Setup::in_front_of(&upstream.url())
        .env("HUBSPOT_PROXY_SERVER__MAX_CONNECTIONS", "4")
        .start();
    let mut held: Vec<_> = (0..4).map(|_| Client::connect(proxy.port)).collect();
    for client in &mut held {
        client.send("GET /a HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(client.answer_to("GET").status(), 200);
    }
    let mut beyond = Client::connect(proxy.port);
    beyond.send("GET /a HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let answer = beyond.answer_to("GET");
    assert_eq!((answer.status(), answer.refusal()), (503, Some("overloaded")));
    assert!(answer.header("retry-after").is_some());
    assert_eq!(answer.header("x-should-retry"), None);
    drop(held);
    // It came too early, but that is not its fate for ever: either it is served now, or it has been
    // told that this connection ends.
    if answer.header("connection") != Some("close") {
        until("there is room", || {
            beyond.stream.try_clone().is_ok() && get(proxy.port, "/a").status() == 200
        });
        beyond.send("GET /a HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(beyond.answer_to("GET").status(), 200, "refused for ever");
    }
    until("there is room again", || get(proxy.port, "/a").status() == 200);
}
