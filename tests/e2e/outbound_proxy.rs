//! The way to the upstream through a proxy of the network.

use crate::client::get;
use crate::proxy::{Setup, TOKEN};
use crate::tls::Authority;
use crate::upstream::{OK, Peer, Upstream};

/// A name that leads nowhere, so that only the outbound proxy can.
const NAME: &str = "api.hubapi.invalid";

fn serve_all(peer: &mut Peer) {
    while peer.request().is_some() && peer.send(OK) {}
}

/// Answers `CONNECT` as the test says and, where that opens the tunnel, joins it to `behind`.
fn tunnelling(answer: &'static str, behind: u16) -> Upstream {
    Upstream::start(move |peer| {
        let Some(connect) = peer.head() else { return };
        peer.keep(connect);
        peer.send(answer);
        if !answer.starts_with("HTTP/1.1 200") {
            return;
        }
        let far = std::net::TcpStream::connect(("127.0.0.1", behind)).unwrap();
        let (mut from, mut to) = (far.try_clone().unwrap(), peer.socket.try_clone().unwrap());
        let back = std::thread::spawn(move || {
            // Either side may end it.
            let _ = std::io::copy(&mut from, &mut to);
            let _ = to.shutdown(std::net::Shutdown::Both);
        });
        let (mut from, mut to) = (peer.socket.try_clone().unwrap(), far);
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Both);
        back.join().unwrap();
    })
}

#[test]
fn https_goes_through_the_outbound_proxy_which_sees_no_credential() {
    let authority = Authority::new();
    let upstream = Upstream::start_tls(authority.server(NAME, &["http/1.1"]), serve_all);
    let tunnel = tunnelling("HTTP/1.1 200 Connection established\r\n\r\n", upstream.port);
    let proxy_url = format!("http://127.0.0.1:{}", tunnel.port);
    let with_user = format!("http://us%40er:pa%3Ass@127.0.0.1:{}", tunnel.port);
    let cases = [
        ("HTTPS_PROXY", proxy_url.as_str()),
        ("https_proxy", proxy_url.as_str()),
        ("ALL_PROXY", proxy_url.as_str()),
        ("HUBSPOT_PROXY_UPSTREAM__PROXY", proxy_url.as_str()),
        ("HTTPS_PROXY", with_user.as_str()),
    ];
    for (variable, value) in cases {
        tunnel.forget();
        upstream.forget();
        let proxy = Setup::in_front_of(&format!("https://{NAME}"))
            .trusting(&authority.file)
            .env(variable, value)
            .start();
        assert_eq!(get(proxy.port, "/a").body, b"ok", "{variable}");
        let connect = tunnel.only_request();
        assert_eq!(connect.line, format!("CONNECT {NAME}:443 HTTP/1.1"));
        assert_eq!(connect.all("host"), [format!("{NAME}:443")]);
        let user = connect.all("proxy-authorization");
        match value.contains('@') {
            true => assert_eq!(user, ["Basic dXNAZXI6cGE6c3M="], "us@er:pa:ss"),
            false => assert!(user.is_empty()),
        }
        let seen = upstream.only_request();
        assert_eq!(seen.all("host"), [NAME]);
        assert_eq!(seen.all("authorization"), [format!("Bearer {TOKEN}")]);
        assert!(seen.all("proxy-authorization").is_empty());
        assert!(!String::from_utf8_lossy(&tunnel.bytes()).contains(TOKEN));
        assert!(!proxy.stdout().contains("pa%3Ass") && !proxy.stderr().contains("pa%3Ass"));
    }
}

#[test]
fn no_proxy_and_loopback_go_directly() {
    let authority = Authority::new();
    let upstream = Upstream::start_tls(authority.server("localhost", &["http/1.1"]), serve_all);
    let tunnel = tunnelling("HTTP/1.1 502 Bad Gateway\r\n\r\n", upstream.port);
    let tunnel_url = format!("http://127.0.0.1:{}", tunnel.port);
    let local = Setup::in_front_of(&format!("https://localhost:{}", upstream.port))
        .trusting(&authority.file)
        .env("HTTPS_PROXY", &tunnel_url)
        .start();
    assert_eq!(get(local.port, "/a").body, b"ok");
    for listed in [NAME, ".invalid", "hubapi.invalid", "*"] {
        let proxy = Setup::in_front_of(&format!("https://{NAME}"))
            .trusting(&authority.file)
            .env("HTTPS_PROXY", &tunnel_url)
            .env("NO_PROXY", listed)
            .start();
        let answer = get(proxy.port, "/a");
        assert_eq!(answer.refusal(), Some("upstream-unreachable"), "{listed}");
        assert!(answer.text().contains("resolved"), "{listed}: {}", answer.text());
    }
    assert_eq!(tunnel.connections(), 0);
}

#[test]
fn what_the_outbound_proxy_refuses_is_said() {
    let authority = Authority::new();
    for (answer, named) in [
        ("HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n", "407"),
        ("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "403"),
        ("SSH-2.0-x\r\n\r\n", "HTTP proxy"),
        ("", "closed"),
    ] {
        let tunnel = tunnelling(answer, 0);
        let proxy = Setup::in_front_of(&format!("https://{NAME}"))
            .trusting(&authority.file)
            .env("HTTPS_PROXY", &format!("http://user:secret-4711@127.0.0.1:{}", tunnel.port))
            .start();
        let answer = get(proxy.port, "/a");
        let expected = (502, Some("upstream-unreachable"));
        assert_eq!((answer.status(), answer.refusal()), expected, "{answer:?}");
        assert!(answer.text().contains(named), "{named}: {}", answer.text());
        assert!(!answer.text().contains("4711"), "{}", answer.text());
    }
}
