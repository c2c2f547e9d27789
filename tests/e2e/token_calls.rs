//! The token endpoint misbehaves, by the byte: each answer has its consequence, none does harm.

use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Answer, get};
use crate::portal::Portal;
use crate::proxy::{Proxy, Setup};
use crate::tokens::{CONTACTS, arrived, control, oauth_in_front_of};
use crate::upstream::Upstream;
use crate::waiting::until;

fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n{body}")
}

fn reason(proxy: &Proxy) -> (u16, String, String) {
    let ready = get(proxy.port, "/_proxy/ready");
    let account = &ready.json()["accounts"][0];
    let text = |key: &str| account[key].as_str().unwrap_or_default().to_owned();
    (ready.status(), text("reason"), text("message"))
}

#[test]
fn every_answer_that_holds_no_token_has_its_consequence_and_no_secret_in_it() {
    let huge = format!(r#"{{"access_token":"LEAK","more":"{}"}}"#, "x".repeat(100_000));
    let cases = [
        ("200 OK", "", "", "token-unavailable"),
        ("200 OK", "", "<html>LEAK</html>", "token-unavailable"),
        ("200 OK", "", "[\"LEAK\"]", "token-unavailable"),
        ("200 OK", "", "{}", "token-unavailable"),
        ("200 OK", "", r#"{"access_token":"LE AK"}"#, "token-unavailable"),
        ("200 OK", "", r#"{"access_token":"LEAK\r\nX: y"}"#, "token-unavailable"),
        ("200 OK", "", r#"{"access_token":"LEAKé"}"#, "token-unavailable"),
        ("200 OK", "", &huge, "token-unavailable"),
        ("302 Found", "Location: /LEAK\r\n", "", "misconfigured"),
        ("400 Bad Request", "", r#"{"error":"invalid_client","message":"LEAK"}"#, "misconfigured"),
        ("401 Unauthorized", "", r#"{"status":"BAD_CLIENT_SECRET"}"#, "misconfigured"),
        ("400 Bad Request", "", r#"{"error":"invalid_grant","message":"LEAK"}"#, "needs-login"),
        ("400 Bad Request", "", "LEAK", "misconfigured"),
        ("404 Not Found", "", "LEAK", "misconfigured"),
        ("429 Too Many", "Retry-After: 7\r\n", "LEAK", "token-unavailable"),
        ("500 Oops", "", "LEAK", "token-unavailable"),
        ("503 Down", "Retry-After: soon\r\n", "LEAK", "token-unavailable"),
    ];
    for (status, headers, body, expected) in cases {
        let what = format!("{status} {}", &body[..body.len().min(60)]);
        let portal = Portal::start();
        portal.tokens_are(Some(&answer(status, headers, body)));
        let proxy = portal.accounts(&portal.upstream.url(), 1);
        let proxy = proxy.env("HUBSPOT_PROXY_LOG", "trace").start();
        let refused = get(proxy.port, "/@a0/a");
        assert_eq!((refused.status(), refused.refusal()), (503, Some(expected)), "{what}");
        let wait = refused.header("retry-after").map(|wait| wait.parse::<u64>().unwrap());
        assert_eq!(wait.is_some(), expected == "token-unavailable", "{what}");
        if headers == "Retry-After: 7\r\n" {
            // Less what has gone by since.
            assert!(matches!(wait, Some(6 | 7)), "{wait:?}");
        }
        let (status, code, message) = reason(&proxy);
        assert_eq!((status, code.as_str()), (503, expected), "{what}");
        for text in [refused.text(), &message, &proxy.stderr(), &proxy.stdout()] {
            for secret in ["LEAK", "4711", "seed-0"] {
                assert!(!text.contains(secret), "{what}: {secret} in {text}");
            }
        }
        assert_eq!((portal.token_calls(0), portal.attempts("/a").len()), (1, 0), "{what}");
    }
}

#[test]
fn the_time_that_the_endpoint_asks_for_is_left_to_it() {
    let portal = Portal::start();
    portal.tokens_are(Some(&answer("429 Too Many", "Retry-After: 3\r\n", "")));
    let proxy = portal.accounts(&portal.upstream.url(), 1).start();
    let began = Instant::now();
    assert_eq!(get(proxy.port, "/@a0/a").refusal(), Some("token-unavailable"));
    portal.tokens_are(None);
    until("it has a token", || get(proxy.port, "/@a0/a").status() == 200);
    let waited = began.elapsed();
    assert!((2900..6000).contains(&waited.as_millis()), "{waited:?}");
    assert_eq!(portal.token_calls(0), 2);
}

#[test]
fn an_endpoint_that_sends_without_end_or_nothing_is_given_up() {
    let endless = Upstream::start(|peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        let part = format!("{:x}\r\n{}\r\n", 60_000, "x".repeat(60_000));
        while peer.send(&part) {}
    });
    let slow = Upstream::start(|peer| {
        peer.request();
        while peer.send("H") {
            thread::sleep(Duration::from_millis(100));
        }
    });
    let silent = Upstream::start(|peer| {
        peer.request();
        peer.drain();
    });
    for (endpoint, longest) in [(&endless, 5), (&slow, 14), (&silent, 14)] {
        let proxy = Portal::start().accounts(&endpoint.url(), 1);
        let proxy = proxy.env("HUBSPOT_PROXY_OAUTH__TOKEN_URL", &endpoint.url()).start();
        let began = Instant::now();
        let refused = get(proxy.port, "/@a0/a");
        assert_eq!((refused.status(), refused.refusal()), (503, Some("token-unavailable")));
        assert!(began.elapsed() < Duration::from_secs(longest), "{:?}", began.elapsed());
        // The health of others does not depend on it.
        assert_eq!(get(proxy.port, "/_proxy/health").status(), 200);
    }
}

fn lost_answer(rotation: &str) -> (Proxy, Proxy, Answer) {
    let sandbox = Setup::sandbox().arg("--rotation").arg(rotation).start();
    let fault = r#"[{"path": "/oauth/**", "times": 1, "drop": "after-issue"}]"#;
    control(&sandbox, "POST", "/sandbox/faults", fault);
    let proxy = oauth_in_front_of(&sandbox).start();
    let first = get(proxy.port, CONTACTS);
    assert_eq!((first.status(), first.refusal()), (503, Some("token-unavailable")), "{first:?}");
    until("it is tried again", || {
        get(proxy.port, CONTACTS);
        arrived(&sandbox, "/oauth").len() > 1
    });
    let answer = get(proxy.port, CONTACTS);
    (sandbox, proxy, answer)
}

#[test]
fn an_answer_that_is_lost_costs_the_grant_only_under_strict_rotation_and_that_is_said() {
    for rotation in ["fixed", "grace"] {
        let (sandbox, _proxy, answer) = lost_answer(rotation);
        assert_eq!(answer.status(), 200, "{rotation}: {answer:?}");
        assert_eq!(arrived(&sandbox, "/oauth").len(), 2, "{rotation}");
    }
    let (sandbox, proxy, answer) = lost_answer("strict");
    assert_eq!((answer.status(), answer.refusal()), (503, Some("needs-login")), "{answer:?}");
    assert!(answer.text().contains("interrupted during a refresh"), "{}", answer.text());
    let (status, code, message) = reason(&proxy);
    assert_eq!((status, code.as_str()), (503, "needs-login"));
    assert!(message.contains("interrupted"), "{message}");
    for _ in 0..10 {
        get(proxy.port, CONTACTS);
    }
    assert_eq!(arrived(&sandbox, "/oauth").len(), 2);
}

#[test]
fn strict_rotation_goes_on_refresh_after_refresh() {
    let sandbox =
        Setup::sandbox().arg("--rotation").arg("strict").arg("--token-ttl").arg("1s").start();
    let proxy = oauth_in_front_of(&sandbox).start();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(5) {
        let answer = get(proxy.port, CONTACTS);
        assert_eq!(answer.status(), 200, "{answer:?}");
        thread::sleep(Duration::from_millis(20));
    }
    assert!(arrived(&sandbox, "/oauth").len() >= 5);
}

#[test]
fn settings_that_are_wrong_are_named() {
    let sandbox = Setup::sandbox().start();
    // Client id, client secret, hub_id; the refusal and what it says.
    let cases = [
        ("sandbox-client", "other-4711", "", "misconfigured", "client_secret"),
        ("other", "sandbox-secret", "", "misconfigured", "client_id"),
        ("sandbox-secret", "sandbox-client", "", "misconfigured", "swapped"),
        ("sandbox-client", "sandbox-secret", "hub_id = 999\n", "wrong-portal", "999"),
        ("sandbox-client", "sandbox-secret", "hub_id = 1234567\n", "", ""),
    ];
    for (id, secret, hub_id, expected, said) in cases {
        let file = format!(
            "[accounts.acme]\ntype = \"oauth\"\nclient_id = \"{id}\"\n{hub_id}\
             client_secret = {{ env = \"APP_SECRET\" }}\nrefresh_token = {{ env = \"SEED\" }}\n"
        );
        let proxy = Setup::without_account(&sandbox.url())
            .env("APP_SECRET", secret)
            .env("SEED", "sandbox-refresh-token")
            .file("proxy.toml", &file)
            .start();
        let seen = arrived(&sandbox, "/crm").len();
        let answer = get(proxy.port, CONTACTS);
        assert_eq!(answer.refusal().unwrap_or_default(), expected, "{answer:?}");
        let (status, code, message) = reason(&proxy);
        assert_eq!(
            (status, code.as_str()),
            (if expected.is_empty() { 200 } else { 503 }, expected)
        );
        assert!(answer.status() == 200 || answer.text().contains(said), "{}", answer.text());
        assert!(message.contains(said), "{message}");
        assert!(!answer.text().contains("4711") && !proxy.stderr().contains("4711"));
        let reached = arrived(&sandbox, "/crm").len() - seen;
        assert_eq!(reached, usize::from(expected.is_empty()), "{id} {hub_id}");
    }
}
