//! Several accounts in one proxy: each request gets the token of the account that it names.

use crate::client::exchange;
use crate::proxy::{Proxy, Setup};
use crate::upstream::{Received, Upstream};

const FILE: &str = "
[accounts.acme]
type = \"access_token\"
token = { env = \"ACME_TOKEN\" }
hub_id = 111

[accounts.beta]
type = \"access_token\"
token = { file = \"beta.token\" }
hub_id = 222

[accounts.twin]
type = \"access_token\"
token = { command = [\"/bin/echo\", \"twin-token\"] }
hub_id = 222
";

/// Says whose a token is, as HubSpot does, and answers everything else with two bytes.
fn hubspot() -> Upstream {
    Upstream::start(|peer| {
        while let Some(request) = peer.request() {
            let body = match String::from_utf8_lossy(&request.body) {
                _ if !request.target().starts_with("/oauth/") => "ok".to_owned(),
                text if text.contains("acme-token") => r#"{"hubId":111}"#.to_owned(),
                _ => r#"{"hubId":222}"#.to_owned(),
            };
            let length = body.len();
            peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}"));
        }
    })
}

/// Requests of clients, without the proxy's own about its tokens.
fn from_clients(upstream: &Upstream) -> Vec<Received> {
    let all = upstream.requests().into_iter();
    all.filter(|request| !request.target().starts_with("/oauth/")).collect()
}

fn start(upstream: &Upstream, more: &str) -> Proxy {
    Setup::without_account(&upstream.url())
        .file("proxy.toml", &format!("{more}{FILE}"))
        .file("beta.token", "beta-token\n")
        .env("ACME_TOKEN", "acme-token")
        .start()
}

#[test]
fn a_request_gets_the_token_of_the_account_it_names() {
    let upstream = hubspot();
    let proxy = start(&upstream, "default_account = \"beta\"\n");
    // Target, headers, and the token with the account's name, or the error.
    type Case = (&'static str, &'static str, Result<(&'static str, &'static str), &'static str>);
    let cases: &[Case] = &[
        ("/a", "", Ok(("beta-token", "beta"))),
        ("/@acme/a", "", Ok(("acme-token", "acme"))),
        ("/@111/a", "", Ok(("acme-token", "acme"))),
        ("/@twin/a", "", Ok(("twin-token", "twin"))),
        ("/a", "X-HubSpot-Account: acme\r\n", Ok(("acme-token", "acme"))),
        ("/a", "X-HubSpot-Account: 111\r\n", Ok(("acme-token", "acme"))),
        ("/@acme/a", "X-HubSpot-Account: 111\r\n", Ok(("acme-token", "acme"))),
        ("/@acme/a", "X-HubSpot-Account: beta\r\n", Err("account-conflict")),
        ("/a", "X-HubSpot-Account: acme\r\nX-HubSpot-Account: beta\r\n", Err("account-conflict")),
        ("/@222/a", "", Err("account-conflict")),
        ("/@gamma/a", "", Err("unknown-account")),
        ("/@/a", "", Err("unknown-account")),
        ("/a", "X-HubSpot-Account: \r\n", Err("unknown-account")),
        ("/a", "X-HubSpot-Account: acme, beta\r\n", Err("unknown-account")),
        ("/@acme/@beta/a", "", Err("bad-request-target")),
        ("/%40acme/a", "", Ok(("beta-token", "beta"))),
    ];
    for (target, lines, expected) in cases {
        upstream.forget();
        let text = format!("GET {target} HTTP/1.1\r\nHost: {{host}}\r\n{lines}\r\n");
        let answer = exchange(proxy.port, text);
        match expected {
            Err(code) => {
                assert_eq!(
                    (answer.status(), answer.refusal()),
                    (400, Some(*code)),
                    "{target} {lines}"
                );
                assert!(from_clients(&upstream).is_empty(), "{target} {lines}");
            }
            Ok((token, name)) => {
                let seen = from_clients(&upstream).remove(0);
                assert_eq!(
                    seen.all("authorization"),
                    [format!("Bearer {token}")],
                    "{target} {lines}"
                );
                assert!(seen.all("x-hubspot-account").is_empty());
                let ours = answer.header("x-hubspot-proxy").unwrap();
                assert!(ours.ends_with(&format!("account={name}")), "{ours}");
                assert!(seen.target() == "/a" || target.starts_with("/%40"), "{seen:?}");
            }
        }
    }
}

#[test]
fn a_request_that_names_no_account_is_refused_where_none_is_the_default() {
    let upstream = hubspot();
    let proxy = start(&upstream, "");
    let answer = exchange(proxy.port, "GET /a HTTP/1.1\r\nHost: {host}\r\n\r\n");
    assert_eq!((answer.status(), answer.refusal()), (400, Some("account-required")));
    let ready = exchange(proxy.port, "GET /_proxy/ready HTTP/1.1\r\nHost: {host}\r\n\r\n");
    assert_eq!(ready.status(), 200);
    assert_eq!(ready.json()["accounts"].as_array().unwrap().len(), 3);
    assert!(from_clients(&upstream).is_empty());
}

#[test]
fn a_token_of_another_portal_is_never_used() {
    let upstream = hubspot();
    let proxy = Setup::without_account(&upstream.url())
        .file(
            "proxy.toml",
            "[accounts.acme]\ntype = \"access_token\"\ntoken = { env = \"T\" }\nhub_id = 333\n",
        )
        .env("T", "acme-token")
        .start();
    for _ in 0..3 {
        let answer = exchange(proxy.port, "GET /a HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!((answer.status(), answer.refusal()), (503, Some("wrong-portal")), "{answer:?}");
        assert_eq!(answer.header("x-should-retry"), Some("false"));
    }
    assert!(from_clients(&upstream).is_empty());
}
