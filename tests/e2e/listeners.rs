//! Addresses that serve one account only.

use crate::client::exchange;
use crate::h2_client::{block_on, connect, request, send};
use crate::proxy::{Proxy, Setup};
use crate::upstream::{OK, Upstream};
use crate::waiting::until;

const FILE: &str = "
default_account = \"beta\"
[accounts.acme]
type = \"access_token\"
token = { env = \"ACME_TOKEN\" }
listen = [\"localhost:0\"]
[accounts.beta]
type = \"access_token\"
token = { env = \"BETA_TOKEN\" }
[accounts.gamma]
type = \"access_token\"
token = { env = \"GAMMA_TOKEN\" }
listen = [\"127.0.0.1:0\"]
";

fn start(upstream: &Upstream) -> Proxy {
    Setup::without_account(&upstream.url())
        .file("proxy.toml", FILE)
        .env("ACME_TOKEN", "acme-token")
        .env("BETA_TOKEN", "beta-token")
        .env("GAMMA_TOKEN", "gamma-token")
        .start()
}

/// The port of an account's own address, as the proxy prints it.
fn port_of(proxy: &Proxy, account: &str) -> u16 {
    until("all of the start is printed", || proxy.stdout().contains("Try: "));
    let (output, end) = (proxy.stdout(), format!(" for account {account}"));
    let line = output.lines().find_map(|line| line.strip_suffix(&end));
    let line = line.unwrap_or_else(|| panic!("no address for {account}: {output}"));
    assert!(line.starts_with("Listening on http://"), "{line}");
    line.rsplit(':').next().unwrap().parse().unwrap()
}

#[test]
fn a_request_gets_the_account_of_the_address_it_came_in_at() {
    let upstream = Upstream::answering(OK);
    let proxy = start(&upstream);
    let (acme, gamma) = (port_of(&proxy, "acme"), port_of(&proxy, "gamma"));
    type Case = (u16, &'static str, &'static str, Result<&'static str, &'static str>);
    let cases: [Case; 14] = [
        (proxy.port, "/a", "", Ok("beta-token")),
        (proxy.port, "/@acme/a", "", Ok("acme-token")),
        (proxy.port, "/@gamma/a", "", Ok("gamma-token")),
        (acme, "/a", "", Ok("acme-token")),
        (acme, "/@acme/a", "", Ok("acme-token")),
        (acme, "/a", "X-HubSpot-Account: acme\r\n", Ok("acme-token")),
        (acme, "/@beta/a", "", Err("account-conflict")),
        (acme, "/@gamma/a", "", Err("account-conflict")),
        (acme, "/a", "X-HubSpot-Account: beta\r\n", Err("account-conflict")),
        (acme, "/@acme/a", "X-HubSpot-Account: beta\r\n", Err("account-conflict")),
        (acme, "/@nobody/a", "", Err("unknown-account")),
        (acme, "/oauth/v1/token", "", Err("credential-path-blocked")),
        (gamma, "/a", "", Ok("gamma-token")),
        (gamma, "/@acme/a", "", Err("account-conflict")),
    ];
    for (port, target, lines, expected) in cases {
        upstream.forget();
        let text = format!("GET {target} HTTP/1.1\r\nHost: {{host}}\r\n{lines}\r\n");
        let answer = exchange(port, text);
        assert_eq!(answer.refusal(), expected.err(), "{port} {target} {lines}");
        match expected {
            Ok(token) => {
                let seen = upstream.only_request();
                assert_eq!(seen.all("authorization"), [format!("Bearer {token}")], "{target}");
                assert_eq!(seen.target(), "/a");
            }
            Err(_) => assert!(upstream.requests().is_empty(), "{target}"),
        }
    }
}

#[test]
fn an_accounts_own_address_has_the_gate_of_every_other() {
    let upstream = Upstream::answering(OK);
    let proxy = start(&upstream);
    let acme = port_of(&proxy, "acme");
    for (lines, code) in [
        (format!("Host: localhost:{}", proxy.port), "host-not-allowed"),
        ("Host: evil.example".to_owned(), "host-not-allowed"),
        (format!("Host: localhost:{acme}\r\nOrigin: http://evil.example"), "origin-not-allowed"),
    ] {
        let answer = exchange(acme, format!("GET /a HTTP/1.1\r\n{lines}\r\n\r\n"));
        assert_eq!(answer.refusal(), Some(code), "{lines}");
    }
    assert_eq!(upstream.connections(), 0);
    let health = exchange(acme, "GET /_proxy/health HTTP/1.1\r\nHost: {host}\r\n\r\n");
    assert_eq!(health.status(), 200);
}

#[test]
fn the_account_of_an_address_holds_for_every_stream_of_a_connection() {
    let upstream = Upstream::answering(OK);
    let proxy = start(&upstream);
    let acme = port_of(&proxy, "acme");
    block_on(async {
        let client = connect(acme).await;
        for (target, expected) in
            [("/a", None), ("/@beta/a", Some("account-conflict")), ("/@acme/b", None)]
        {
            let request = request("GET", acme, target).body(()).unwrap();
            let answer = send(&client, request, None).await.unwrap();
            assert_eq!(answer.refusal(), expected, "{target}: {answer:?}");
        }
    });
    let seen = upstream.requests();
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(|request| request.all("authorization") == ["Bearer acme-token"]));
}

#[test]
fn an_accounts_address_that_is_taken_fails_the_start() {
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap().port();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_hubspot-proxy"))
        .args(["serve", "--listen", "localhost:0"])
        .current_dir(tempfile::tempdir().unwrap().path())
        .env_clear()
        .env("HUBSPOT_ACCESS_TOKEN", "t")
        .env("HUBSPOT_PROXY_ACCOUNTS__DEFAULT__LISTEN", format!("localhost:{port}"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains(&port.to_string()) && errors.contains("in use"), "{errors}");
}
