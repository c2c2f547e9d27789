//! Upstreams behind TLS: who is trusted, what is said when nobody is, and connections that end.

use std::time::{Duration, Instant};

use crate::client::{Answer, exchange, get, post};
use crate::proxy::{Proxy, Setup, TOKEN};
use crate::tls::Authority;
use crate::upstream::{OK, Peer, Upstream};

fn assert_unreachable(answer: &Answer, case: &str) {
    let expected = (502, Some("upstream-unreachable"));
    assert_eq!((answer.status(), answer.refusal()), expected, "{case}: {answer:?}");
    assert_eq!(answer.header("x-should-retry"), None, "{case}");
    assert!(!answer.text().contains(TOKEN), "{case}");
}

#[test]
fn what_is_wrong_with_tls_is_said() {
    let ours = Authority::new();
    let other = Authority::new();
    let serve = |peer: &mut Peer| while peer.request().is_some() && peer.send(OK) {};
    let strange = Upstream::start_tls(other.server("localhost", &["http/1.1"]), serve);
    let misnamed = Upstream::start_tls(ours.server("api.example", &["http/1.1"]), serve);
    let plain = Upstream::start(|peer| {
        peer.read_more();
        peer.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    });
    let good = Upstream::start_tls(ours.server("localhost", &["http/1.1"]), serve);
    for (case, port, named) in [
        ("another authority", strange.port, "certificate"),
        ("another name", misnamed.port, "certificate"),
        ("no TLS", plain.port, "TLS"),
    ] {
        let url = format!("https://localhost:{port}");
        let proxy = Setup::in_front_of(&url).trusting(&ours.file).start();
        let answer = get(proxy.port, "/a");
        assert_unreachable(&answer, case);
        assert!(answer.text().contains(named), "{case}: {}", answer.text());
    }
    for upstream in [&strange, &misnamed] {
        assert!(upstream.bytes().is_empty(), "the token went to a stranger");
    }
    let url = format!("https://localhost:{}", good.port);
    let proxy = Setup::in_front_of(&url).trusting(&ours.file).start();
    assert_eq!(get(proxy.port, "/a").body, b"ok");
    let from_env = Setup::in_front_of(&url).env("SSL_CERT_FILE", ours.file.to_str().unwrap());
    assert_eq!(get(from_env.start().port, "/a").body, b"ok");
}

#[test]
fn an_answer_over_tls_that_is_cut_never_looks_whole() {
    let authority = Authority::new();
    let tls = authority.server("localhost", &["http/1.1"]);
    // No length and no close_notify: whoever cuts the line could end the answer where he likes.
    let upstream = Upstream::start_tls(tls, |peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\n\r\nhello");
    });
    let url = format!("https://localhost:{}", upstream.port);
    let proxy = Setup::in_front_of(&url).trusting(&authority.file).start();
    let answer = get(proxy.port, "/a");
    assert!(answer.status() == 200 && !answer.whole, "{answer:?}");
}

#[test]
fn a_handshake_that_never_ends_is_given_up() {
    let authority = Authority::new();
    let silent = Upstream::start(Peer::drain);
    let direct = Setup::in_front_of(&format!("https://localhost:{}", silent.port));
    let tunnel_url = format!("http://127.0.0.1:{}", silent.port);
    let tunnelled =
        Setup::in_front_of("https://api.hubapi.invalid").env("HTTPS_PROXY", &tunnel_url);
    for (case, setup) in [("TLS", direct), ("CONNECT", tunnelled)] {
        let proxy = setup
            .trusting(&authority.file)
            .env("HUBSPOT_PROXY_UPSTREAM__CONNECT_TIMEOUT", "300ms")
            .start();
        let began = Instant::now();
        assert_unreachable(&get(proxy.port, "/a"), case);
        let took = began.elapsed();
        assert!((Duration::from_millis(300)..Duration::from_secs(5)).contains(&took), "{took:?}");
    }
}

/// An upstream that answers the first request of a connection, reads the second and closes.
fn closing_at_the_second(authority: &Authority) -> (Upstream, Proxy) {
    let tls = authority.server("localhost", &["http/1.1"]);
    let upstream = Upstream::start_tls(tls, |peer| {
        peer.request();
        peer.send(OK);
        peer.request();
    });
    let proxy = Setup::in_front_of(&format!("https://localhost:{}", upstream.port))
        .trusting(&authority.file)
        .env("HUBSPOT_PROXY_SERVER__THREADS", "1")
        .start();
    assert_eq!(get(proxy.port, "/a").status(), 200);
    (upstream, proxy)
}

#[test]
fn a_get_on_a_connection_that_ends_is_sent_again_and_a_post_is_not() {
    let authority = Authority::new();
    let (upstream, proxy) = closing_at_the_second(&authority);
    assert_eq!(get(proxy.port, "/b").status(), 200);
    assert_eq!(upstream.connections(), 2);
    let (upstream, proxy) = closing_at_the_second(&authority);
    let answer = post(proxy.port, "/b", "body");
    assert_eq!((answer.status(), answer.refusal()), (502, Some("upstream-closed")), "{answer:?}");
    assert_eq!(answer.header("x-should-retry"), Some("false"));
    assert_eq!((upstream.requests().len(), upstream.connections()), (2, 1));
    // No body, but it may have changed something.
    let (upstream, proxy) = closing_at_the_second(&authority);
    let answer = exchange(proxy.port, "DELETE /b HTTP/1.1\r\nHost: {host}\r\n\r\n");
    assert_eq!(answer.refusal(), Some("upstream-closed"));
    assert_eq!((upstream.requests().len(), upstream.connections()), (2, 1));
}
