//! OAuth accounts against the emulator: when tokens are fetched, and what is said when none is.

use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::client::{Answer, exchange, get};
use crate::proxy::{Proxy, Setup};
use crate::waiting::until;

pub const CONTACTS: &str = "/crm/v3/objects/contacts?limit=1";

/// A proxy with the emulator's demo grant.
pub fn oauth_in_front_of(sandbox: &Proxy) -> Setup {
    Setup::without_account(&sandbox.url())
        .env("HUBSPOT_CLIENT_ID", "sandbox-client")
        .env("HUBSPOT_CLIENT_SECRET", "sandbox-secret")
        .env("HUBSPOT_REFRESH_TOKEN", "sandbox-refresh-token")
}

/// Turns something at the emulator.
pub fn control(sandbox: &Proxy, method: &str, path: &str, body: &str) -> Answer {
    let length = body.len();
    let answer = exchange(
        sandbox.port,
        format!(
            "{method} {path} HTTP/1.1\r\nHost: {{host}}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        ),
    );
    assert!(answer.status() < 300, "{answer:?}");
    answer
}

/// The requests that the emulator saw under a path.
pub fn arrived(sandbox: &Proxy, under: &str) -> Vec<Value> {
    let all = control(sandbox, "GET", "/sandbox/requests", "").json();
    let all = all.as_array().unwrap().clone();
    all.into_iter().filter(|entry| entry["path"].as_str().unwrap().starts_with(under)).collect()
}

#[test]
fn a_hundred_first_requests_share_one_token_call() {
    let sandbox = Setup::sandbox().start();
    let faults = r#"[{"path": "/oauth/**", "delay": "300ms"}]"#;
    control(&sandbox, "POST", "/sandbox/faults", faults);
    let proxy = oauth_in_front_of(&sandbox).start();
    let barrier = Arc::new(Barrier::new(100));
    let workers: Vec<_> = (0..100)
        .map(|_| {
            let (barrier, port) = (Arc::clone(&barrier), proxy.port);
            thread::spawn(move || {
                barrier.wait();
                get(port, CONTACTS).status()
            })
        })
        .collect();
    for worker in workers {
        assert_eq!(worker.join().unwrap(), 200);
    }
    assert_eq!(arrived(&sandbox, "/oauth").len(), 1);
    assert_eq!(arrived(&sandbox, "/crm").len(), 100);
}

#[test]
fn a_static_token_is_sent_as_it_is_and_its_401_is_passed_on() {
    let sandbox = Setup::sandbox().start();
    let good = Setup::without_account(&sandbox.url())
        .env("HUBSPOT_ACCESS_TOKEN", "sandbox-access-token")
        .start();
    assert_eq!(get(good.port, CONTACTS).status(), 200);
    let seen = arrived(&sandbox, "/crm");
    assert_eq!(seen[0]["headers"]["authorization"], "Bearer sandbox-access-token");
    let bad = Setup::in_front_of(&sandbox.url()).start();
    let answer = get(bad.port, CONTACTS);
    assert_eq!((answer.status(), answer.refusal()), (401, None));
    assert_eq!(arrived(&sandbox, "/crm").len(), 2);
}

#[test]
fn a_token_is_renewed_before_it_expires() {
    let sandbox = Setup::sandbox().arg("--token-ttl").arg("2s").start();
    let proxy = oauth_in_front_of(&sandbox).start();
    let began = std::time::Instant::now();
    while began.elapsed() < Duration::from_secs(7) {
        let answer = get(proxy.port, CONTACTS);
        assert_eq!(answer.status(), 200, "after {:?}: {answer:?}", began.elapsed());
        thread::sleep(Duration::from_millis(25));
    }
    assert!(arrived(&sandbox, "/crm").iter().all(|entry| entry["status"] == 200));
    let calls = arrived(&sandbox, "/oauth").len();
    assert!((3..=8).contains(&calls), "{calls} token calls in 7 s");
    // A pause longer than the life of a token.
    thread::sleep(Duration::from_millis(2300));
    assert_eq!(get(proxy.port, CONTACTS).status(), 200);
}

#[test]
fn a_refused_grant_asks_for_a_login_and_is_not_tried_again_and_again() {
    let sandbox = Setup::sandbox().start();
    control(&sandbox, "POST", "/sandbox/tokens/revoke", "");
    let proxy = oauth_in_front_of(&sandbox).start();
    for _ in 0..5 {
        let answer = get(proxy.port, CONTACTS);
        assert_eq!((answer.status(), answer.refusal()), (503, Some("needs-login")), "{answer:?}");
        assert_eq!(answer.header("x-should-retry"), Some("false"));
        assert_eq!(answer.header("retry-after"), None);
        assert!(!answer.text().contains("sandbox-refresh-token"));
    }
    assert_eq!(arrived(&sandbox, "/oauth").len(), 1);
    assert!(arrived(&sandbox, "/crm").is_empty());
    let ready = get(proxy.port, "/_proxy/ready");
    assert_eq!(ready.status(), 503);
    assert_eq!(ready.json()["accounts"][0]["reason"], "needs-login");
    assert_eq!(get(proxy.port, "/_proxy/health").status(), 200);
}

#[test]
fn a_wrong_client_secret_names_the_setting() {
    let sandbox = Setup::sandbox().start();
    let proxy =
        oauth_in_front_of(&sandbox).env("HUBSPOT_CLIENT_SECRET", "wrong-secret-4711").start();
    let answer = get(proxy.port, CONTACTS);
    assert_eq!((answer.status(), answer.refusal()), (503, Some("misconfigured")), "{answer:?}");
    assert_eq!(answer.header("x-should-retry"), Some("false"));
    assert!(answer.text().contains("secret"), "{}", answer.text());
    assert!(!answer.text().contains("4711"), "{}", answer.text());
}

#[test]
fn trouble_at_the_token_endpoint_is_temporary_and_over_when_it_is_over() {
    for (case, fault) in [
        ("500", r#"[{"path": "/oauth/**", "status": 500}]"#),
        ("429", r#"[{"path": "/oauth/**", "status": 429}]"#),
        ("closes", r#"[{"path": "/oauth/**", "drop": "before-head"}]"#),
        ("breaks off", r#"[{"path": "/oauth/**", "drop": "mid-body"}]"#),
    ] {
        let sandbox = Setup::sandbox().start();
        control(&sandbox, "POST", "/sandbox/faults", fault);
        let proxy = oauth_in_front_of(&sandbox).start();
        let answer = get(proxy.port, CONTACTS);
        let expected = (503, Some("token-unavailable"));
        assert_eq!((answer.status(), answer.refusal()), expected, "{case}: {answer:?}");
        let wait: u64 = answer.header("retry-after").expect(case).parse().unwrap();
        assert!((1..=60).contains(&wait), "{case}: {wait}");
        assert_eq!(answer.header("x-should-retry"), None, "{case}");
        let calls = arrived(&sandbox, "/oauth").len();
        for _ in 0..20 {
            get(proxy.port, CONTACTS);
        }
        let more = arrived(&sandbox, "/oauth").len() - calls;
        assert!(more <= 2, "{case}: {more} calls for 20 requests");
        control(&sandbox, "DELETE", "/sandbox/faults", "");
        until("it works again", || get(proxy.port, CONTACTS).status() == 200);
    }
}

#[test]
fn an_old_token_serves_while_a_new_one_cannot_be_had() {
    let sandbox = Setup::sandbox().arg("--token-ttl").arg("6s").start();
    let proxy = oauth_in_front_of(&sandbox).start();
    assert_eq!(get(proxy.port, CONTACTS).status(), 200);
    control(&sandbox, "POST", "/sandbox/faults", r#"[{"path": "/oauth/**", "status": 503}]"#);
    let began = std::time::Instant::now();
    while began.elapsed() < Duration::from_millis(5000) {
        assert_eq!(get(proxy.port, CONTACTS).status(), 200, "after {:?}", began.elapsed());
        thread::sleep(Duration::from_millis(100));
    }
    assert!(arrived(&sandbox, "/oauth").len() > 1, "it does try");
    control(&sandbox, "DELETE", "/sandbox/faults", "");
    until("it has a new one", || get(proxy.port, CONTACTS).status() == 200);
}

#[test]
fn the_built_in_emulator_answers_the_first_curl() {
    let proxy = Setup::serving().arg("--sandbox").start();
    let answer = get(proxy.port, CONTACTS);
    assert_eq!(answer.status(), 200, "{answer:?}");
    assert_eq!(answer.json()["results"].as_array().unwrap().len(), 1);
    let printed = proxy.stdout();
    assert!(printed.contains("curl"), "{printed}");
    assert!(!printed.contains("sandbox-secret"), "{printed}");
}
