//! Answers that attack: interim ones without an end, heads that are too large, lines that would speak for
//! the proxy.
#![cfg(target_os = "linux")]

use std::time::{Duration, Instant};

use crate::client::get;
use crate::h2_frames::{END_HEADERS, HEADERS};
use crate::http2_upstream::{load, setup, upstream};
use crate::proxy::Setup;
use crate::upstream::{OK, Upstream};

/// For so long an upstream has no end of interim answers.
const FLOOD: Duration = Duration::from_secs(3);
/// `:status: 103` and a line of some length.
const HINTS: &[u8] = b"\x08\x03103\x00\x04link\x22</a/very/long/path/to/a/script.js>";

#[test]
fn interim_answers_without_an_end_cost_no_memory() {
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a.js>; rel=preload\r\n\r\n".repeat(500);
    let upstream = Upstream::start(move |peer| {
        while let Some(request) = peer.request() {
            let began = Instant::now();
            while request.target() == "/flood" && began.elapsed() < FLOOD {
                if !peer.send(&hints) {
                    return;
                }
            }
            peer.send(OK);
        }
    });
    let proxy =
        Setup::in_front_of(&upstream.url()).env("HUBSPOT_PROXY_SERVER__THREADS", "2").start();
    assert_eq!(get(proxy.port, "/a").status(), 200);
    let before = proxy.peak_memory();
    assert_eq!(get(proxy.port, "/flood").status(), 200);
    let grown = proxy.peak_memory() - before;
    assert!(grown < 8 * 1024, "{grown} KiB more");
}

#[test]
fn interim_answers_without_an_end_cost_no_memory_over_http_2_either() {
    let (upstream, authority) = upstream(|frames| {
        while let Some(stream) = frames.request() {
            let began = Instant::now();
            while began.elapsed() < FLOOD {
                for _ in 0..100 {
                    frames.send(HEADERS, END_HEADERS, stream, HINTS);
                }
            }
            frames.send_ok(stream);
        }
    });
    let proxy = setup(&upstream, &authority).env("HUBSPOT_PROXY_LOG", "info").start();
    let _load = load(&proxy, &upstream);
    let before = proxy.peak_memory();
    let answer = get(proxy.port, "/flood");
    let grown = proxy.peak_memory() - before;
    assert!(grown < 24 * 1024, "{grown} KiB more, {}", answer.status());
    // Whatever becomes of that answer, the others are served.
    assert_eq!(get(proxy.port, "/_proxy/health").status(), 200);
}

#[test]
fn interim_answers_alone_are_no_answer() {
    let upstream = Upstream::start(|peer| {
        while peer.request().is_some() {
            while peer.send("HTTP/1.1 100 Continue\r\n\r\n".repeat(50)) {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    });
    let proxy = Setup::in_front_of(&upstream.url())
        .env("HUBSPOT_PROXY_UPSTREAM__RESPONSE_TIMEOUT", "1s")
        .start();
    let answer = get(proxy.port, "/a");
    assert_eq!((answer.status(), answer.refusal()), (504, Some("upstream-timeout")));
}

#[test]
fn answers_that_break_the_rules_are_told_from_good_ones_and_poison_nothing() {
    let large = "x".repeat(2 * 1024 * 1024);
    let many = "X-Many: 1\r\n".repeat(90);
    let evil = [
        format!("HTTP/1.1 200 OK\r\nX-Large: {large}\r\nContent-Length: 0\r\n\r\n"),
        format!("HTTP/1.1 200 OK\r\n{}Content-Length: 0\r\n\r\n", "X-Many: 1\r\n".repeat(5000)),
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nokk".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n X-Folded: 1\r\n\r\nok".to_owned(),
        "HTTP/1.1 200 OK\r\nX Bad: 1\r\nContent-Length: 2\r\n\r\nok".to_owned(),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\nok\r\n0\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nok".to_owned(),
        "HTTP/9.9 200 OK\r\n\r\n".to_owned(),
        "HTTP/1.1 999999 OK\r\n\r\n".to_owned(),
        "SSH-2.0-OpenSSH\r\n".to_owned(),
    ];
    let fine = format!("HTTP/1.1 200 OK\r\n{many}Content-Length: 2\r\n\r\nok");
    for answer in evil.into_iter().chain([fine.clone()]) {
        let is_fine = answer == fine;
        let shown = answer[..answer.len().min(80)].to_owned();
        let upstream = Upstream::start(move |peer| {
            while let Some(request) = peer.request() {
                let sent = peer.send(if request.target() == "/evil" { &answer } else { OK });
                if request.target() == "/evil" || !sent {
                    // What follows is nobody's answer.
                    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
                    return;
                }
            }
        });
        let proxy =
            Setup::in_front_of(&upstream.url()).env("HUBSPOT_PROXY_SERVER__THREADS", "1").start();
        let mut client = crate::client::Client::connect(proxy.port);
        client.send("GET /evil HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let got = client.try_answer_to("GET");
        let got = got.map(|answer| (answer.status(), answer.whole, answer.body));
        match is_fine {
            true => assert_eq!(got, Some((200, true, b"ok".to_vec()))),
            false => assert!(!matches!(&got, Some((200, true, _))), "{shown}: {got:?}"),
        }
        for _ in 0..3 {
            let next = get(proxy.port, "/good");
            assert_eq!((next.status(), next.text()), (200, "ok"), "{shown}");
        }
    }
}

#[test]
fn no_part_of_an_answer_speaks_for_the_proxy_or_its_origin() {
    let lines = "Set-Cookie: a=b; Domain=localhost\r\nX-HubSpot-Proxy: id=evil\r\nX-HubSpot-Proxy-Error: internal\r\n\
                 Access-Control-Allow-Origin: *\r\nClear-Site-Data: \"*\"\r\nStrict-Transport-Security: max-age=9\r\n\
                 Connection: x-hubspot-proxy, content-type, x-nothing\r\nX-Nothing: 1\r\n";
    let trailer =
        "Trailer: set-cookie, x-hubspot-proxy-error, x-good\r\nTransfer-Encoding: chunked\r\n";
    let answer = format!(
        "HTTP/1.1 200 OK\r\n{lines}{trailer}\r\n2\r\nok\r\n0\r\nSet-Cookie: c=d\r\nX-HubSpot-Proxy-Error: internal\r\n\
         Access-Control-Allow-Origin: *\r\nX-Good: 1\r\n\r\n"
    );
    let upstream = Upstream::answering(answer);
    let proxy = Setup::in_front_of(&upstream.url()).start();
    let answer = crate::client::exchange(
        proxy.port,
        "GET /a HTTP/1.1\r\nHost: {host}\r\nTE: trailers\r\n\r\n",
    );
    let names: Vec<_> = answer.head.headers.iter().map(|(name, _)| name.to_lowercase()).collect();
    for name in
        ["set-cookie", "x-hubspot-proxy-error", "access-control-allow-origin", "clear-site-data"]
    {
        assert!(!names.iter().any(|known| known == name), "{name}: {names:?}");
    }
    assert!(!names.contains(&"x-nothing".to_owned()));
    assert!(!answer.header("x-hubspot-proxy").unwrap().contains("evil"));
    let trailers: Vec<_> = answer.trailers.iter().map(|(name, _)| name.to_lowercase()).collect();
    assert_eq!(trailers, ["x-good"]);
}
