//! What a client that asks about its token is told: what HubSpot says of the account's, which it is asked
//! once, and never the token.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::client::{Answer, exchange, get};
use crate::home::Home;
use crate::proxy::{Proxy, Setup};
use crate::tokens::arrived;
use crate::upstream::{OK, Received, Upstream};

const OF_PRIVATE_APP: &str = "/oauth/v2/private-apps/get/access-token-info";
const INTROSPECTION: &str = "/oauth/2026-03/token/introspect";

/// As `@hubspot/mcp-server` asks, the placeholder that it was given in both places.
fn ask(proxy: &Proxy) -> Answer {
    let body = r#"{"tokenKey":"placeholder"}"#;
    let length = body.len();
    exchange(
        proxy.port,
        format!(
            "POST {OF_PRIVATE_APP} HTTP/1.1\r\nHost: {{host}}\r\nConnection: keep-alive\r\n\
             Authorization: Bearer placeholder\r\nContent-Type: application/json\r\n\
             User-Agent: mcp-server/0.4.0\r\naccept: */*\r\naccept-language: *\r\nsec-fetch-mode: cors\r\n\
             accept-encoding: gzip, deflate\r\nContent-Length: {length}\r\n\r\n{body}"
        ),
    )
}

fn known(proxy: &Proxy) -> Value {
    let answer = ask(proxy);
    assert_eq!(answer.status(), 200, "{answer:?}");
    assert!(answer.header("content-type").unwrap().contains("application/json"));
    answer.json()
}

/// An upstream that says of each static token, by its last letter, which portal it is for.
fn portals() -> Upstream {
    Upstream::start(|peer| {
        while let Some(request) = peer.request() {
            let sent = peer.send(match request.target() {
                OF_PRIVATE_APP => of_token(&request),
                _ => OK.to_owned(),
            });
            peer.keep(Received { line: "GET /asked HTTP/1.1".to_owned(), ..request });
            if !sent {
                return;
            }
        }
    })
}

fn of_token(request: &Received) -> String {
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    let last = body["tokenKey"].as_str().unwrap().chars().last().unwrap();
    let body = json!({"userId": 1, "hubId": last.to_digit(10).unwrap(), "appId": "3", "scopes": ["oauth", 7]});
    let body = body.to_string();
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// How often an upstream of [`portals`] was asked about a token, and with which.
fn asked(upstream: &Upstream) -> Vec<Value> {
    let all = upstream.requests();
    let bodies = all.iter().filter(|request| request.line.contains("/asked"));
    let bodies = bodies.filter_map(|request| serde_json::from_slice::<Value>(&request.body).ok());
    bodies.map(|body| body["tokenKey"].clone()).collect()
}

fn with_file(sandbox_or_upstream: &str, file: &str) -> Setup {
    Setup::without_account(sandbox_or_upstream)
        .file("proxy.toml", &format!("legacy_oauth_shim = true\n{file}"))
}

#[test]
fn of_a_static_token_hubspot_is_asked_once() {
    let (home, sandbox) = (Home::new(), Setup::sandbox().start());
    let proxy = with_file(&sandbox.url(), "")
        .env("HUBSPOT_ACCESS_TOKEN", "sandbox-access-token")
        .in_home(&home)
        .start();
    assert_eq!(get(proxy.port, "/crm/v3/objects/contacts?limit=1").status(), 200);
    assert!(arrived(&sandbox, OF_PRIVATE_APP).is_empty(), "not before somebody wants to know");
    let answers: Vec<Value> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..8).map(|_| scope.spawn(|| known(&proxy))).collect();
        asking.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    for answer in &answers {
        assert_eq!((&answer["hubId"], &answer["userId"]), (&json!(1234567), &json!(501)));
        assert!(answer["appId"].is_u64() && answer["scopes"].as_array().unwrap().len() > 5);
        assert!(!answer.to_string().contains("sandbox-access-token"));
    }
    let status = home.run(&["status", "--json"], &[], "");
    let status: Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(status["accounts"][0]["hub_id"], 1234567);
    assert_eq!(status["accounts"][0]["scopes"], answers[0]["scopes"]);
    assert!(home.run(&["status"], &[], "").stdout.contains("1234567"));
    assert_eq!(arrived(&sandbox, OF_PRIVATE_APP).len(), 1);
    let of_v1 = get(proxy.port, "/oauth/v1/access-tokens/placeholder").json();
    assert_eq!((&of_v1["hub_id"], &of_v1["user_id"]), (&json!(1234567), &json!(501)));
}

#[test]
fn status_asks_where_nobody_has_and_shows_what_is_known() {
    let (home, upstream) = (Home::new(), portals());
    let _proxy = Setup::without_account(&upstream.url())
        .env("HUBSPOT_ACCESS_TOKEN", "pat-na1-x-5")
        .in_home(&home)
        .start();
    let ran = home.run(&["status", "--json"], &[], "");
    let status: Value = serde_json::from_str(&ran.stdout).unwrap();
    let account = &status["accounts"][0];
    assert_eq!((&account["hub_id"], &account["app_id"]), (&json!(5), &json!(3)));
    assert_eq!(account["scopes"], json!(["oauth"]));
    assert_eq!(asked(&upstream), ["pat-na1-x-5"]);
}

#[test]
fn of_a_grant_the_app_asks() {
    let sandbox = Setup::sandbox().start();
    let proxy = with_file(&sandbox.url(), "")
        .env("HUBSPOT_CLIENT_ID", "sandbox-client")
        .env("HUBSPOT_CLIENT_SECRET", "sandbox-secret")
        .env("HUBSPOT_REFRESH_TOKEN", "sandbox-refresh-token")
        .start();
    let of_v1 = || get(proxy.port, "/oauth/v1/access-tokens/placeholder").json();
    let first = of_v1();
    assert_eq!(
        (&first["hub_id"], &first["user"]),
        (&json!(1234567), &json!("user501@example.com"))
    );
    assert_eq!(known(&proxy)["hubId"], 1234567);
    assert_eq!(of_v1(), first);
    assert_eq!(arrived(&sandbox, INTROSPECTION).len(), 1);
}

#[test]
fn of_a_personal_access_key_what_its_exchange_says_is_told() {
    let sandbox = Setup::sandbox().start();
    let proxy = with_file(&sandbox.url(), "")
        .env("HUBSPOT_PERSONAL_ACCESS_KEY", "sandbox-personal-access-key")
        .start();
    let known = known(&proxy);
    assert_eq!((&known["hubId"], &known["userId"]), (&json!(1234567), &json!(501)));
    assert!(!known["scopes"].as_array().unwrap().is_empty());
    assert!(
        arrived(&sandbox, INTROSPECTION).is_empty() && arrived(&sandbox, OF_PRIVATE_APP).is_empty()
    );
}

#[test]
fn in_the_sandbox_all_is_known_without_an_account() {
    let proxy = Setup::serving().arg("--sandbox").file("proxy.toml", "legacy_oauth_shim = true\n");
    let proxy = proxy.start();
    let known = known(&proxy);
    assert_eq!((&known["hubId"], &known["userId"]), (&json!(1234567), &json!(501)));
}

#[test]
fn what_hubspot_does_not_say_is_left_out_and_is_not_asked_again_at_once() {
    let answers = [
        "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>",
    ];
    for answer in answers {
        let upstream = Upstream::start(move |peer| {
            while let Some(request) = peer.request() {
                peer.keep(Received { line: "GET /asked HTTP/1.1".to_owned(), ..request });
                if !peer.send(answer) {
                    return;
                }
            }
        });
        let proxy = with_file(&upstream.url(), "")
            .env("HUBSPOT_ACCESS_TOKEN", "pat-na1-not-known-there")
            .start();
        for _ in 0..3 {
            let known = known(&proxy);
            assert_eq!(known, json!({"userId": null, "hubId": null, "appId": null, "scopes": []}));
        }
        assert_eq!(asked(&upstream).len(), 1, "{answer}");
        // Nobody is refused because of it.
        let status = answer.split(' ').nth(1).unwrap();
        assert_eq!(get(proxy.port, "/crm/v3/x").status().to_string(), status);
    }
}

#[test]
fn nothing_is_sent_to_an_introspection_endpoint_of_another_origin() {
    let (sandbox, elsewhere) = (Setup::sandbox().start(), Upstream::answering(OK));
    let file = format!("oauth.introspect_url = \"{}/introspect\"\n", elsewhere.url());
    let proxy = with_file(&sandbox.url(), &file)
        .env("HUBSPOT_CLIENT_ID", "sandbox-client")
        .env("HUBSPOT_CLIENT_SECRET", "sandbox-secret")
        .env("HUBSPOT_REFRESH_TOKEN", "sandbox-refresh-token")
        .start();
    // What came with the token is told all the same.
    assert_eq!(known(&proxy)["hubId"], 1234567);
    assert!(elsewhere.bytes().is_empty());
}

#[test]
fn another_token_is_asked_about_anew() {
    let (home, upstream) = (Home::new(), portals());
    let file = "[accounts.a]\ntype = \"access_token\"\ntoken = { file = \"a.token\" }\n\
                [accounts.b]\ntype = \"access_token\"\ntoken = { file = \"b.token\" }\n";
    let proxy = with_file(&upstream.url(), &format!("default_account = \"a\"\n{file}"))
        .env("HUBSPOT_PROXY_LOG", "info")
        .file("a.token", "pat-na1-of-portal-7")
        .file("b.token", "pat-na1-of-portal-8")
        .in_home(&home)
        .start();
    assert_eq!(known(&proxy)["hubId"], 7);
    std::fs::write(home.path().join("a.token"), "pat-na1-of-portal-9").unwrap();
    proxy.hang_up();
    crate::waiting::until("it is reloaded", || proxy.stderr().contains("was reloaded"));
    assert_eq!(known(&proxy)["hubId"], 9);
    assert_eq!(known(&proxy)["hubId"], 9);
    let asked: Vec<_> = asked(&upstream).iter().map(|t| t.as_str().unwrap().to_owned()).collect();
    let once: HashSet<_> = asked.iter().collect();
    assert_eq!((asked.len(), once.len()), (2, 2), "{asked:?}");
}
