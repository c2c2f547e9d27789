//! Many requests at once whose token is over or refused: one token call, and each is served.

use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use crate::client::{Answer, exchange, get};
use crate::h2_client::{block_on, connect, request, send};
use crate::portal::note;
use crate::proxy::{Proxy, Setup};
use crate::tokens::{CONTACTS, arrived, control, oauth_in_front_of};

const MANY: usize = 500;

/// Runs `work` for each number, all at once.
fn at_once<T: Send + 'static>(work: impl Fn(usize) -> T + Send + Sync + 'static) -> Vec<T> {
    let (barrier, work) = (Arc::new(Barrier::new(MANY)), Arc::new(work));
    let workers: Vec<_> = (0..MANY)
        .map(|n| {
            let (barrier, work) = (Arc::clone(&barrier), Arc::clone(&work));
            let worker = thread::Builder::new().stack_size(128 * 1024).spawn(move || {
                barrier.wait();
                work(n)
            });
            worker.unwrap()
        })
        .collect();
    workers.into_iter().map(|worker| worker.join().unwrap()).collect()
}

fn body_of(n: usize) -> Vec<u8> {
    vec![b'a' + u8::try_from(n % 26).unwrap(); n * 100]
}

/// The second account's demo grant is the same.
fn two_accounts(sandbox: &Proxy) -> Proxy {
    let account = |name| {
        format!(
            "[accounts.{name}]\ntype = \"oauth\"\nclient_id = \"sandbox-client\"\n\
             client_secret = {{ env = \"APP_SECRET\" }}\nrefresh_token = {{ env = \"SEED\" }}\n"
        )
    };
    Setup::without_account(&sandbox.url())
        .env("APP_SECRET", "sandbox-secret")
        .env("SEED", "sandbox-refresh-token")
        .file("proxy.toml", &(account("one") + &account("two")))
        .start()
}

#[test]
fn five_hundred_requests_on_an_expired_token_share_one_call() {
    let sandbox = Setup::sandbox().arg("--token-ttl").arg("9s").start();
    let proxy = oauth_in_front_of(&sandbox).start();
    assert_eq!(get(proxy.port, CONTACTS).status(), 200);
    thread::sleep(Duration::from_millis(9050));
    control(&sandbox, "POST", "/sandbox/faults", r#"[{"path": "/oauth/**", "delay": "300ms"}]"#);
    let port = proxy.port;
    let answers = at_once(move |_| get(port, CONTACTS));
    for answer in &answers {
        assert_eq!((answer.status(), note(answer)), (200, ""), "{answer:?}");
    }
    assert_eq!(arrived(&sandbox, "/oauth").len(), 2);
    assert_eq!(arrived(&sandbox, "/crm").len(), 1 + MANY);
}

/// The statuses of all attempts to send request `n` of a storm.
fn attempts(seen: &[Value], storm: &str, n: usize) -> Vec<u64> {
    let (storm, n) = (Value::from(storm), Value::from(n.to_string()));
    let attempts = seen.iter().filter(|e| e["query"]["storm"] == storm && e["query"]["n"] == n);
    attempts.map(|entry| entry["status"].as_u64().unwrap()).collect()
}

fn over_http1(port: u16) -> impl Fn(usize) -> Answer {
    move |n| {
        let (target, body) = (format!("/@one/sandbox-data/v1/echo?storm=h1&n={n}"), body_of(n));
        let length = body.len();
        let head =
            format!("POST {target} HTTP/1.1\r\nHost: {{host}}\r\nContent-Length: {length}\r\n\r\n");
        exchange(port, [head.as_bytes(), &body].concat())
    }
}

/// All on one connection. Gives what the notes say.
fn over_http2(port: u16) -> Vec<String> {
    block_on(async {
        let client = connect(port).await;
        let requests = (0..MANY).map(|n| {
            let client = client.clone();
            tokio::spawn(async move {
                let target = format!("/@two/sandbox-data/v1/echo?storm=h2&n={n}");
                let request = request("POST", port, &target).body(()).unwrap();
                let body = Bytes::from(body_of(n));
                let answer = send(&client, request, Some(body.clone())).await.unwrap();
                assert_eq!(answer.status, 200, "{answer:?}");
                assert!(answer.body.unwrap() == body, "body {n}");
                answer.headers["x-hubspot-proxy"].to_str().unwrap().to_owned()
            })
        });
        let mut notes = Vec::new();
        for request in requests.collect::<Vec<_>>() {
            notes.push(request.await.unwrap());
        }
        notes
    })
}

#[test]
fn a_storm_of_refusals_costs_one_call_and_each_request_is_replayed_at_most_once() {
    let sandbox = Setup::sandbox().start();
    let proxy = two_accounts(&sandbox);
    for account in ["one", "two"] {
        assert_eq!(get(proxy.port, &format!("/@{account}{CONTACTS}")).status(), 200);
    }
    thread::sleep(Duration::from_millis(10_050));
    control(&sandbox, "POST", "/sandbox/tokens/expire", "");
    control(&sandbox, "POST", "/sandbox/faults", r#"[{"path": "/oauth/**", "delay": "500ms"}]"#);
    let port = proxy.port;
    let second = thread::spawn(move || over_http2(port));
    let first = at_once(over_http1(port));
    let second = second.join().unwrap();
    assert_eq!(arrived(&sandbox, "/oauth").len(), 2 + 2, "one more for each account");
    let seen = arrived(&sandbox, "/sandbox-data");
    let mut replayed = 0;
    for (n, (first, second)) in first.iter().zip(&second).enumerate() {
        assert_eq!(first.status(), 200, "{first:?}");
        assert!(first.body == body_of(n), "body {n}");
        let second_is_replayed = second.ends_with("; replayed");
        for (storm, is_replayed) in [("h1", note(first) == "replayed"), ("h2", second_is_replayed)]
        {
            let expected: &[u64] = if is_replayed { &[401, 200] } else { &[200] };
            assert_eq!(attempts(&seen, storm, n), expected, "{storm} {n}");
            replayed += usize::from(is_replayed);
        }
    }
    assert!(replayed > MANY, "only {replayed} met the old token");
}
