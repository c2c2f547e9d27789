//! Requests of several accounts side by side: none gets another account's token.

use std::collections::HashMap;
use std::thread;

use crate::client::Client;
use crate::h2_client::{block_on, connect, request, send};
use crate::proxy::Setup;
use crate::upstream::{Received, Upstream};

const NAMES: [&str; 3] = ["acme", "beta", "gamma"];
const H1_CONNECTIONS: usize = 8;
const H2_CONNECTIONS: usize = 2;
const EACH: usize = 1000;

const FILE: &str = r#"default_account = "gamma"
[accounts.acme]
type = "access_token"
token = { env = "ACME_TOKEN" }
[accounts.beta]
type = "access_token"
token = { env = "BETA_TOKEN" }
[accounts.gamma]
type = "access_token"
token = { env = "GAMMA_TOKEN" }
"#;

fn token(name: &str) -> String {
    format!("pat-na1-only-for-{name}")
}

/// Prefix and header by which request `number` names its account: both ways, and none at all.
fn naming(number: usize) -> (&'static str, &'static str, &'static str) {
    [
        ("acme", "/@acme", ""),
        ("beta", "", "beta"),
        ("gamma", "", ""),
        ("beta", "/@beta", ""),
        ("acme", "", "acme"),
        ("gamma", "/@gamma", "gamma"),
        ("acme", "/@acme", "acme"),
    ][number % 7]
}

/// Answers with what it was asked for and by whose token.
fn said(request: &Received) -> String {
    format!("{} {}", request.target(), request.all("authorization").join("+"))
}

fn expected(name: &str, target: &str) -> String {
    format!("{target} Bearer {}", token(name))
}

fn over_http_1(port: u16, connection: usize) {
    let mut client = Client::connect(port);
    for number in 0..EACH {
        let (name, prefix, header) = naming(number + connection);
        let target = format!("/{name}/{connection}/{number}");
        let header = match header {
            "" => String::new(),
            header => format!("X-HubSpot-Account: {header}\r\n"),
        };
        client.send(format!("GET {prefix}{target} HTTP/1.1\r\nHost: {{host}}\r\n{header}\r\n"));
        assert_eq!(client.answer_to("GET").text(), expected(name, &target));
    }
}

async fn over_http_2(port: u16, connection: usize) {
    let client = connect(port).await;
    for first in (0..EACH).step_by(50) {
        let mut under_way = Vec::new();
        for number in first..first + 50 {
            let (name, prefix, header) = naming(number + connection);
            let target = format!("/{name}/{connection}/{number}");
            let mut head = request("GET", port, &format!("{prefix}{target}"));
            if !header.is_empty() {
                head = head.header("x-hubspot-account", header);
            }
            let (client, head) = (client.clone(), head.body(()).unwrap());
            under_way.push(tokio::spawn(async move {
                let answer = send(&client, head, None).await.unwrap();
                let body = String::from_utf8(answer.body.unwrap()).unwrap();
                assert_eq!(body, expected(name, &target));
            }));
        }
        for task in under_way {
            task.await.unwrap();
        }
    }
}

#[test]
fn ten_thousand_requests_of_three_accounts_each_carry_their_own_token() {
    let upstream = Upstream::start(|peer| {
        while let Some(request) = peer.request() {
            let body = said(&request);
            let length = body.len();
            peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}"));
        }
    });
    let setup = Setup::without_account(&upstream.url())
        .file("proxy.toml", FILE)
        .env("HUBSPOT_PROXY_LOG", "info");
    let proxy = NAMES
        .iter()
        .fold(setup, |setup, name| {
            setup.env(&format!("{}_TOKEN", name.to_uppercase()), &token(name))
        })
        .start();
    let port = proxy.port;
    let http_1 = (0..H1_CONNECTIONS).map(|c| thread::spawn(move || over_http_1(port, c)));
    let http_2 = (H1_CONNECTIONS..H1_CONNECTIONS + H2_CONNECTIONS)
        .map(|c| thread::spawn(move || block_on(over_http_2(port, c))));
    let all: Vec<_> = http_1.chain(http_2).collect();
    for one in all {
        one.join().unwrap();
    }
    let mut arrived: HashMap<String, usize> = HashMap::new();
    for request in upstream.requests() {
        let name = request.target().split('/').nth(1).unwrap().to_owned();
        assert_eq!(request.all("authorization"), [format!("Bearer {}", token(&name))]);
        *arrived.entry(name).or_default() += 1;
    }
    assert_eq!(arrived.len(), NAMES.len());
    assert_eq!(arrived.values().sum::<usize>(), (H1_CONNECTIONS + H2_CONNECTIONS) * EACH);
}
